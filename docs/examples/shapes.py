"""An own folder of images, train/<class>/*.png and test/<class>/*.png, under its own name."""

from rethinking.data.image_folders import read_images
from rethinking.registry import dataset


@dataset("shapes", title="Shapes")
def shapes(path):
    """All images of the folder that the configuration names as datasets.shapes.path."""
    return read_images(path)
