"""The small Inception of the paper's figure 3, with and without batch normalisation."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rethinking.models.layers import SameConv2d, SameMaxPool2d, ShiftedBatchNorm2d
from rethinking.registry import model
from rethinking.run.files import UserError

# number of channels -> the layers between a convolution and its ReLU
Norm = Callable[[int], list[nn.Module]]


class ConvModule(nn.Sequential):
    """Convolution, batch normalisation (optional), ReLU.

    There is one bias for each channel, of the convolution or, as in TensorFlow's slim, the shift of the normalisation.
    Only then is the number of parameters the paper's 1,649,402, both with and without normalisation (inferred).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, norm: Norm) -> None:
        norms = norm(out_channels)
        bias = not any(isinstance(each, ShiftedBatchNorm2d) for each in norms)
        super().__init__(SameConv2d(in_channels, out_channels, kernel, stride, bias), *norms, nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in, h, w) -> (batch, out, ceil(h / stride), ceil(w / stride))."""
        convolution, norm = self[0], self[1]
        if not (self.training and isinstance(norm, nn.BatchNorm2d)) or convolution.bias is None:
            return super().forward(x)
        # Normalisation over the batch takes the bias away again. To add it, and to find its gradient, which is zero,
        # would be two passes over the activations, an eighth of a step's time on a GPU.
        x = self[2](norm(convolution(x, with_bias=False)))
        norm.running_mean.data.add_(convolution.bias.data, alpha=norm.momentum)
        return x


class InceptionModule(nn.Module):
    """1x1 and 3x3 convolution modules side by side, concatenated over channels."""

    def __init__(self, in_channels: int, narrow: int, wide: int, norm: Norm) -> None:
        super().__init__()
        self.conv1x1 = ConvModule(in_channels, narrow, 1, 1, norm)
        self.conv3x3 = ConvModule(in_channels, wide, 3, 1, norm)
        self.out_channels = narrow + wide

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in, h, w) -> (batch, narrow + wide, h, w)."""
        return torch.cat([self.conv1x1(x), self.conv3x3(x)], dim=1)


class DownsampleModule(nn.Module):
    """3x3 convolution module and 3x3 max-pooling, both with stride 2, concatenated."""

    def __init__(self, in_channels: int, wide: int, norm: Norm) -> None:
        super().__init__()
        self.conv3x3 = ConvModule(in_channels, wide, 3, 2, norm)
        self.pool = SameMaxPool2d()
        self.out_channels = in_channels + wide

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in, h, w) -> (batch, in + wide, ceil(h / 2), ceil(w / 2))."""
        return torch.cat([self.conv3x3(x), self.pool(x)], dim=1)


class Inception(nn.Module):
    """The small Inception (figure 3): 1,649,402 parameters on images with three channels."""

    # (1x1 channels, 3x3 channels), or the 3x3 channels of a module that halves the size
    MODULES = (
        (32, 32), (32, 48), 80,
        (112, 48), (96, 64), (80, 80), (48, 96), 96,
        (176, 160), (176, 160),
    )  # fmt: skip

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int, norm: Norm) -> None:
        super().__init__()
        layers: list[nn.Module] = [ConvModule(image_shape[0], 96, 3, 1, norm)]
        channels = 96
        for widths in self.MODULES:
            module = (
                DownsampleModule(channels, widths, norm)
                if isinstance(widths, int)
                else InceptionModule(channels, *widths, norm)
            )
            layers.append(module)
            channels = module.out_channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, height, width) -> (batch, classes)."""
        # The paper's 7x7 mean pooling covers the whole map at 28x28; here at any size.
        return self.classifier(self.features(x).mean(dim=(2, 3)))


@model("inception", title="Inception", megaflops=1221)
def inception(
    image_shape: tuple[int, int, int],
    num_classes: int,
    batch_norm_affine: bool = False,
    batch_norm_shift: bool = False,
) -> nn.Module:
    """The small Inception with batch normalisation.

    Args:
        image_shape, num_classes: as of any network.
        batch_norm_affine: train a scale and a shift behind each normalisation.
        batch_norm_shift: train a shift behind each in place of the bias before it, which it takes away.

    Raises:
        UserError: both are asked for.
    """
    if batch_norm_affine and batch_norm_shift:
        raise UserError("the network 'inception' takes batch_norm_affine or batch_norm_shift, not both")

    def norm(channels: int) -> list[nn.Module]:
        if batch_norm_shift:
            return [ShiftedBatchNorm2d(channels)]
        return [nn.BatchNorm2d(channels, affine=batch_norm_affine)]

    return Inception(image_shape, num_classes, norm)


@model("inception_no_bn", title="Inception w/o BatchNorm", megaflops=1221)
def inception_no_bn(image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The small Inception without batch normalisation."""
    return Inception(image_shape, num_classes, lambda channels: [])
