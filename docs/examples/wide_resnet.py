"""The Wide ResNet 28-1 of the first author's own code (no widening): 369,498 parameters."""

import torch.nn.functional as F
from torch import nn

from rethinking.registry import model


class Block(nn.Module):
    """Normalisation, ReLU and convolution twice, around a shortcut."""

    def __init__(self, channels, out_channels, stride):
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(out_channels)
        self.conv1 = nn.Conv2d(channels, out_channels, 3, stride, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut = None
        if channels != out_channels:
            self.shortcut = nn.Conv2d(channels, out_channels, 1, stride, bias=False)

    def forward(self, x):
        y = F.relu(self.norm1(x))
        x = x if self.shortcut is None else self.shortcut(y)
        return x + self.conv2(F.relu(self.norm2(self.conv1(y))))


class WideResNet(nn.Module):
    """A convolution, three groups of residual blocks, mean over places, linear layer."""

    def __init__(self, image_shape, num_classes, blocks):
        super().__init__()
        layers, channels = [nn.Conv2d(image_shape[0], 16, 3, padding=1, bias=False)], 16
        for width, stride in ((16, 1), (32, 2), (64, 2)):
            for number in range(blocks):
                layers.append(Block(channels, width, stride if number == 0 else 1))
                channels = width
        self.features = nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU())
        self.classifier = nn.Linear(channels, num_classes)

    def forward(self, x):
        return self.classifier(self.features(x).mean(dim=(2, 3)))


@model("wrn_28_1", title="Wide ResNet 28-1", megaflops=250)
def wrn_28_1(image_shape, num_classes, blocks: int = 4):
    """A network for images (channels, height, width); an argument with a default is an option of its architecture."""
    return WideResNet(image_shape, num_classes, blocks)
