"""Make two altered copies of a CIFAR-10 image archive: detail taken away, and detail added.

    python results/reference/jpeg_gap/make_copies.py data/cifar10-jpeg.tar.xz data

writes ``cifar10-jpeg30.tar`` (each image compressed again as JPEG of quality 30) and ``cifar10-noise8.tar``
(Gaussian noise with a standard deviation of 8 of 255 levels added once to each value, clipped to bytes).
"""

import argparse
import io
import sys
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[3] / "workflow_scripts"))

from rethinking.data.image_folders import read_images
from rethinking.run.files import atomic_path
from rethinking.streams import stream


def main() -> None:
    """Read the archive, write both copies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path)
    parser.add_argument("output", type=Path, help="folder")
    args = parser.parse_args()

    dataset = read_images(args.archive)
    rng = stream(0, "noise on images")
    with (
        atomic_path(args.output / "cifar10-jpeg30.tar") as coarse_path,
        atomic_path(args.output / "cifar10-noise8.tar") as noisy_path,
        tarfile.open(coarse_path, "w") as coarse,
        tarfile.open(noisy_path, "w") as noisy,
    ):
        for part, split in (("train", dataset.train), ("test", dataset.test)):
            for number, (image, label) in enumerate(zip(split.images, split.labels, strict=True)):
                pixels = image.transpose(1, 2, 0)
                name = f"{part}/{dataset.class_names[label]}/{number:05d}"
                add(coarse, f"{name}.jpg", pixels, quality=30)
                changed = np.rint(pixels + 8 * rng.standard_normal(pixels.shape))
                add(noisy, f"{name}.png", changed.clip(0, 255).astype(np.uint8), compress_level=1)


def add(archive: tarfile.TarFile, name: str, pixels: np.ndarray, **options: int) -> None:
    """Add an image (height, width, 3) uint8 to an archive, in the format of its name's ending."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG" if name.endswith(".jpg") else "PNG", **options)
    member = tarfile.TarInfo(name)
    member.size = buffer.tell()
    buffer.seek(0)
    archive.addfile(member, buffer)


if __name__ == "__main__":
    main()
