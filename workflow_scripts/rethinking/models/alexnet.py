"""The small AlexNet (appendix A)."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from rethinking.models.layers import SameConv2d, SameMaxPool2d
from rethinking.registry import model


class LocalResponseNorm(nn.Module):
    """Krizhevsky's normalisation across channels, x / (k + alpha / size * sum x^2)^0.75.

    The same numbers as ``torch.nn.LocalResponseNorm(size, alpha, 0.75, k)``, with a banded 1x1
    convolution and reciprocal square roots in place of a 3-D average pool and a power; the
    exponent is fixed for that reason.
    """

    band: Tensor

    def __init__(self, channels: int, size: int = 9, alpha: float = 1e-3, k: float = 1.0) -> None:
        super().__init__()
        self.alpha, self.size, self.k = alpha, size, k
        index = torch.arange(channels)
        band = (index[:, None] - index[None, :]).abs() <= size // 2
        # Not among the saved weights, because it follows from the arguments.
        self.register_buffer("band", band.float()[:, :, None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, h, w) -> the same shape."""
        return _Normalise.apply(x, self.band.to(x.dtype), self.alpha / self.size, self.k)


class _Normalise(torch.autograd.Function):
    """y = x s^-0.75 with s = k + a B x^2 and a symmetric band B; half the operations of autograd's own derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, band: Tensor, a: float, k: float) -> Tensor:
        # s in float32, because k + a small number would round to k in bfloat16.
        root = F.conv2d(x * x, band).float().mul_(a).add_(k).rsqrt_()
        scale, inverse = (root * root.sqrt()).to(x.dtype), (root * root).to(x.dtype)
        ctx.save_for_backward(x, band, scale, inverse)
        ctx.a = a
        return x * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        # dx = g s^-0.75 - 1.5 a x B (g x s^-1.75)
        x, band, scale, inverse = ctx.saved_tensors
        scaled = gradient * scale
        return scaled - x * F.conv2d(scaled * x * inverse, band).mul_(1.5 * ctx.a), None, None, None


@model("alexnet", title="AlexNet", megaflops=147)
class AlexNet(nn.Module):
    """Two of (5x5 convolution, ReLU, max-pool, local response norm), then linear 384, 192, classes.

    1,387,786 parameters on 28x28x3 images (table 1), with or without the normalisation, which has
    none. The widths follow from that number; the constants of the normalisation are those of
    TensorFlow's CIFAR-10 tutorial (inferred).
    """

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int, local_response_norm: bool = True) -> None:
        super().__init__()
        channels, height, width = image_shape

        def norm() -> nn.Module:
            return LocalResponseNorm(64) if local_response_norm else nn.Identity()

        self.features = nn.Sequential(
            SameConv2d(channels, 64, 5), nn.ReLU(), SameMaxPool2d(), norm(),
            SameConv2d(64, 64, 5), nn.ReLU(), SameMaxPool2d(), norm(),
        )  # fmt: skip
        quarter = (-(-height // 4)) * (-(-width // 4))
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64 * quarter, 384), nn.ReLU(),
            nn.Linear(384, 192), nn.ReLU(),
            nn.Linear(192, num_classes),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, classes)."""
        return self.classifier(self.features(x))
