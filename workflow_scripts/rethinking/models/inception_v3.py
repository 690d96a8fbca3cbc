"""Inception V3, the paper's network on ImageNet (appendix A)."""

from torch import nn

from rethinking.registry import model
from rethinking.run.files import UserError

SMALLEST = 75  # pixels; below, the last grid would be empty
WITH_HEAD = 299  # pixels; below, the grid is too small for the auxiliary head
BATCH_NORM_EPSILON = 0.001


@model("inception_v3", title="Inception V3", megaflops=298, smallest=75, auxiliary_head=299)
def inception_v3(
    image_shape: tuple[int, int, int],
    num_classes: int,
    dropout: float = 0.0,
    batch_norm_decay: float = 0.9997,
) -> nn.Module:
    """Torchvision's Inception V3: 23,834,568 parameters without the auxiliary head and with 1000 classes.

    In training it returns the logits and those of its auxiliary head, which it has from 299x299 pixels on.

    Args:
        image_shape: (3, height, width) of square images of at least 75 pixels.
        num_classes: number of logits.
        dropout: share of the 2048 features that is dropped; 0 in cells without the regulariser.
        batch_norm_decay: what batch normalisation keeps of its running statistics at a micro-batch.

    Raises:
        UserError: the images are too small or not in colour.
    """
    # Imported here, because other networks must not wait for it.
    from torchvision.models.inception import Inception3

    channels, height, width = image_shape
    if channels != 3 or min(height, width) < SMALLEST:
        raise UserError(
            f"the network 'inception_v3' takes images with 3 channels and at least {SMALLEST}x{SMALLEST} pixels, not "
            f"{channels} with {height}x{width}; correct the data set's input_size"
        )
    network = Inception3(num_classes, aux_logits=min(height, width) >= WITH_HEAD, init_weights=False, dropout=dropout)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = BATCH_NORM_EPSILON, 1 - batch_norm_decay
    # Deviations of the initial weights where the package has other ones than 0.1.
    network.fc.deviation = 0.01
    if network.AuxLogits is not None:
        network.AuxLogits.conv1.conv.deviation = 0.01
        network.AuxLogits.fc.deviation = 0.001
    return network
