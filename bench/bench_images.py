"""How fast images are decoded and preprocessed, against torchvision's ImageFolder, transforms and DataLoader.

    python bench/bench_images.py [FOLDER]

Both read the same files, FOLDER/<class>/*.JPEG, in one run: with the transforms of evaluation and with augmentation, to
batches of 299x299. Without FOLDER, 500x375 images of smooth noise are made. Images per second of one core are counted
by processor time, so that other programs on the machine do not matter much.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torchvision.transforms as transforms
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from rethinking.data.image_files import Images
from rethinking.training.batches_imagenet import Streamed
from rethinking.training.inception_preprocessing import AREA, ASPECT, DRAWS, distort, to_range

SIZE, BATCH, REPEATS = 299, 32, 3
IMAGES = 192


def main() -> None:
    """Measure both in turn and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="folder of <class>/*.JPEG")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        folder = args.folder or make_images(Path(made))
        for augment in (False, True):
            ours, theirs = [], []
            for _ in range(REPEATS):
                ours.append(rate(our_batches(folder, augment)))
                theirs.append(rate(their_batches(folder, augment)))
            print(
                f"{'with' if augment else 'without'} augmentation: {max(ours):.0f} images per second and core, "
                f"torchvision {max(theirs):.0f}, ratio {max(ours) / max(theirs):.2f}"
            )


def make_images(folder: Path) -> Path:
    """Write images of the size and compression of ImageNet's."""
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        small = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).resize((500, 375), Image.BICUBIC)
        noisy = np.asarray(small) + rng.normal(0, 6, (375, 500, 1))
        path = folder / f"n{number % 2:08d}" / f"{number}.JPEG"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
    return folder


def rate(batches: Iterator[Tensor]) -> float:
    """Images per second of processor time, of this process and of those that it waited for."""
    started, count = processor_seconds(), 0
    for images in batches:
        count += len(images)
    return count / (processor_seconds() - started)


def processor_seconds() -> float:
    """Time that this process and its finished children have used."""
    return sum(os.times()[:4])


def our_batches(folder: Path, augment: bool) -> Iterator[Tensor]:
    """Streamed batches in [-1, 1]."""
    names = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*"))
    source = Streamed(Images(names, folder=folder), None, SIZE, torch.device("cpu"))
    rng = np.random.default_rng(0)
    order = rng.permutation(len(names))
    requests = [
        (index, rng.random((len(index), DRAWS)) if augment else None)
        for index in np.split(order, range(BATCH, len(order), BATCH))
    ]
    for images, (_, draws) in zip(source.batches(requests), requests, strict=True):
        yield to_range(images) if draws is None else distort(images, torch.from_numpy(draws).float())


def their_batches(folder: Path, augment: bool) -> Iterator[Tensor]:
    """The batches of the usual PyTorch example, with the same distortions."""
    if augment:
        steps = [
            transforms.RandomResizedCrop(SIZE, scale=AREA, ratio=ASPECT),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(brightness=32 / 255, saturation=0.5, contrast=0.5, hue=0.2),
        ]
    else:
        steps = [transforms.Resize(round(SIZE / 0.875)), transforms.CenterCrop(SIZE)]
    steps += [transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
    dataset = ImageFolder(str(folder), transforms.Compose(steps))
    for images, _ in DataLoader(dataset, BATCH, shuffle=True, num_workers=1):
        yield images


if __name__ == "__main__":
    start = time.perf_counter()
    main()
    print(f"{time.perf_counter() - start:.0f} s")
