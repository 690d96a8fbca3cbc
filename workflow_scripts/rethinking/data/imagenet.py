"""Stub."""

from rethinking.registry import dataset


@dataset("imagenet", title="ImageNet", sources=("archive", "images"))
@dataset("imagenet100", title="ImageNet-100", sources=("archive", "images"))
@dataset("imagenette", title="Imagenette", sources=("archive", "images"))
def find_images(path):
    """Stub."""
