"""The small Inception of the paper's figure 3, with and without batch normalisation."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rethinking.models.layers import SameConv2d, SameMaxPool2d
from rethinking.registry import model

# number of channels -> the layers between a convolution and its ReLU
Norm = Callable[[int], list[nn.Module]]


class ConvModule(nn.Sequential):
    """Convolution, batch normalisation (optional), ReLU.

    The convolution keeps its bias and the normalisation has no parameters: only then is the number of
    parameters the paper's 1,649,402, both with and without normalisation (inferred).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, norm: Norm) -> None:
        convolution = SameConv2d(in_channels, out_channels, kernel, stride)
        super().__init__(convolution, *norm(out_channels), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in, h, w) -> (batch, out, ceil(h / stride), ceil(w / stride))."""
        convolution, norm = self[0], self[1]
        if not (self.training and isinstance(norm, nn.BatchNorm2d)):
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
    image_shape: tuple[int, int, int], num_classes: int, batch_norm_affine: bool = False
) -> nn.Module:
    """The small Inception with batch normalisation; affine adds a trained scale and shift per channel."""
    return Inception(
        image_shape, num_classes, lambda channels: [nn.BatchNorm2d(channels, affine=batch_norm_affine)]
    )


@model("inception_no_bn", title="Inception w/o BatchNorm", megaflops=1221)
def inception_no_bn(image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The small Inception without batch normalisation."""
    return Inception(image_shape, num_classes, lambda channels: [])
