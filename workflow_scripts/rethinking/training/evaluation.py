"""Loss, accuracy and predictions of a network in evaluation mode."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rethinking.config.cell_settings import CellSettings
from rethinking.training.steps import autocast, memory_layout


@dataclass
class Evaluation:
    """Results of one pass in evaluation mode."""

    loss: float  # mean cross-entropy, nats
    accuracy: float  # percent
    predictions: np.ndarray  # (n,) int64 classes
    ranks: np.ndarray  # (n,) int64, classes that the network finds likelier than the given label
    confidence: np.ndarray  # (n,) float32, softmax probability of the given label


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    blocks: Iterable[Tensor],
    labels: np.ndarray,
    settings: CellSettings,
    between: Callable[[], None] = lambda: None,
) -> Evaluation:
    """Loss and accuracy in evaluation mode over a whole set, given as blocks of preprocessed images (n, c, h, w).

    ``between`` is called after each block of images, because a whole set can take long.
    """
    model.eval()
    layout = memory_layout(model)
    # Numbers of each image; the logits of a large set would take gigabytes.
    losses, classes, ranks = [], [], []
    first = 0
    for block in blocks:
        with autocast(block.device, settings):
            logits = model(block.contiguous(memory_format=layout)).float()
        given = torch.from_numpy(labels[first : first + len(block)]).to(block.device)
        first += len(block)
        losses.append(F.log_softmax(logits, 1).gather(1, given[:, None])[:, 0])
        classes.append(logits.argmax(1))
        ranks.append(label_ranks(logits, given))
        between()
    log_probability = torch.cat(losses)
    predictions = torch.cat(classes).cpu().numpy()
    return Evaluation(
        loss=-log_probability.double().mean().item(),
        accuracy=percent_equal(predictions, labels),
        predictions=predictions,
        ranks=torch.cat(ranks).cpu().numpy(),
        confidence=log_probability.exp().cpu().numpy(),
    )


def label_ranks(logits: Tensor, labels: Tensor) -> Tensor:
    """How many classes a network finds likelier than the label: logits (n, classes), labels (n,) -> int64 (n,).

    Of equal logits the first counts as the likeliest, as for the predicted class, so rank 0 is a correct prediction.
    """
    own = logits.gather(1, labels[:, None])
    earlier = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    return ((logits > own) | ((logits == own) & earlier)).sum(1)


def percent_within(ranks: np.ndarray, k: int) -> float:
    """Percentage of images whose label is among the ``k`` likeliest classes."""
    return 100 * float(np.mean(ranks < k))


def percent_equal(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Percentage of predictions (n,) that equal the labels (n,)."""
    return 100 * float(np.mean(predictions == labels))
