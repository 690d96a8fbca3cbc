"""Layers with the conventions of TensorFlow, in which the paper's networks were written, and functions behind layers."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's SAME padding of one axis: (before, after), the odd one after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """Square convolution with SAME padding: output size is ceil(input size / stride)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, bias: bool = True) -> None:
        # With stride 1 and an odd kernel, SAME is symmetric and needs no copy.
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(in_channels, out_channels, kernel, stride, padding, bias=bias)
        if kernel % 2 == 0:
            raise ValueError("SameConv2d takes odd kernels")

    def forward(self, x: Tensor, with_bias: bool = True) -> Tensor:
        """(batch, in, h, w) -> (batch, out, ceil(h / stride), ceil(w / stride))."""
        if self.stride[0] > 1:
            top, bottom = same_padding(x.shape[2], self.kernel_size[0], self.stride[0])
            left, right = same_padding(x.shape[3], self.kernel_size[1], self.stride[1])
            x = F.pad(x, (left, right, top, bottom))
        return self._conv_forward(x, self.weight, self.bias if with_bias else None)


class ShiftedBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with a trained shift and no scale, which a ReLU and a convolution behind it make needless."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, affine=False)
        self.bias = nn.Parameter(torch.zeros(channels))

    def reset_parameters(self) -> None:
        """Forget the statistics and shift by 0."""
        super().reset_parameters()
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class SameMaxPool2d(nn.Module):
    """3x3 max-pooling with stride 2 and SAME padding (padded places never win)."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, h, w) -> (batch, channels, ceil(h / 2), ceil(w / 2))."""
        # SAME pads odd sizes by (1, 1) and even sizes by (0, 1); the latter is what
        # ceil_mode does without a copy.
        padding = (x.shape[2] % 2, x.shape[3] % 2)
        return F.max_pool2d(x, 3, 2, padding=padding, ceil_mode=True)


def batch_norms(model: nn.Module) -> list[nn.BatchNorm1d | nn.BatchNorm2d]:
    """The normalisations of a network whose running statistics are means over the micro-batches of a batch."""
    kinds = nn.BatchNorm1d | nn.BatchNorm2d
    return [module for module in model.modules() if isinstance(module, kinds) and module.track_running_stats]


@contextmanager
def hooked(layers: Iterable[nn.Module], hook: Callable[..., Any]) -> Iterator[None]:
    """Call a function after each of some layers has run."""
    handles = [layer.register_forward_hook(hook) for layer in layers]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
