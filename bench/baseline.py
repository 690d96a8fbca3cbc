"""The baseline for our training speed: the PyTorch loop that reproductions of the paper use.

One image at a time is opened and transformed, a DataLoader makes batches of them, arithmetic is float32 and the
loss is read after every step, as in the authors' own https://github.com/pluskid/fitting-random-labels.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice, repeat

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from rethinking.config.cell_settings import CellSettings
from rethinking.models import build_model
from rethinking.models.alexnet import LocalResponseNorm

Transform = Callable[[Image.Image], Tensor]
WARM_UP_STEPS = 2


class ImageDataset(Dataset):
    """Images in memory, delivered as by ``torchvision.datasets.CIFAR10``: ``transform(PIL image), label``."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Transform) -> None:
        """Take images (n, 3, height, width) of uint8 and labels (n,)."""
        self.images = np.ascontiguousarray(images.transpose(0, 2, 3, 1))
        self.labels = labels.tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[index])), self.labels[index]


def standardise(image: Tensor) -> Tensor:
    """Per-image whitening of one (channels, height, width) image on the scale 0 to 1, as in ``preprocessing``."""
    deviation, mean = torch.std_mean(image, correction=0)
    return (image - mean) / deviation.clamp(min=image.numel() ** -0.5)


def build_transform(size: int) -> Transform:
    """Crop centrally to ``size``, make a tensor, standardise."""
    from torchvision import transforms  # takes two seconds, so import it only to load images

    return transforms.Compose([transforms.CenterCrop(size), transforms.ToTensor(), transforms.Lambda(standardise)])


def build_baseline(name: str, image_shape: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The network of this name from torch's own layers; arguments and errors as in ``models.build_model``."""
    model = build_model(name, image_shape, num_classes)
    for parent in list(model.modules()):
        for child, layer in parent.named_children():
            if isinstance(layer, LocalResponseNorm):
                stock = nn.LocalResponseNorm(layer.size, alpha=layer.alpha, beta=0.75, k=layer.k)
                setattr(parent, child, stock)
    return model


def build_loader(dataset: Dataset, settings: CellSettings, num_workers: int, pin_memory: bool) -> DataLoader:
    """Batches of one epoch in random order."""
    return DataLoader(dataset, settings.batch_size, shuffle=True, num_workers=num_workers, pin_memory=pin_memory)


def train_steps(
    model: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    settings: CellSettings,
    device: torch.device,
) -> Iterator[float]:
    """Train on (images, labels) batches; yield the loss of each step once its weights are updated."""
    model = model.to(device).train()
    criterion = nn.CrossEntropyLoss()
    optimiser = torch.optim.SGD(model.parameters(), settings.learning_rate, momentum=settings.momentum)
    for images, labels in batches:
        images, labels = images.to(device), labels.to(device)
        loss = criterion(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield loss.item()


def measure_baseline(
    model: nn.Module, loader: DataLoader, settings: CellSettings, device: torch.device, steps: int
) -> float:
    """Images per second over ``steps`` steps, including loading, after some warm-up steps."""
    epochs = chain.from_iterable(repeat(loader))
    losses = train_steps(model, epochs, settings, device)
    sum(islice(losses, WARM_UP_STEPS))
    started = time.perf_counter()
    # Each step ends by reading its loss, so the device has finished the counted work.
    sum(islice(losses, steps))
    return steps * settings.batch_size / (time.perf_counter() - started)
