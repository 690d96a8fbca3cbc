"""Image files for tests."""

import numpy as np
from PIL import Image

from rethinking.streams import stream


def write_image(path, seed, mode="RGB", size=(5, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    width, height = size
    shape = (height, width) if mode == "L" else (height, width, 3)
    pixels = stream(seed, "image").integers(0, 256, shape, np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels
