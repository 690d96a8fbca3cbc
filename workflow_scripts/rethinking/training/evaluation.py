"""Loss, accuracy and predictions of a network in evaluation mode."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rethinking.config.cell_settings import CellSettings
from rethinking.run.team import ALONE, Team
from rethinking.training.steps import autocast, memory_layout, rare_shape


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
    team: Team = ALONE,
    block_size: int = 0,
) -> Evaluation:
    """Loss and accuracy in evaluation mode over a whole set, given as blocks of preprocessed images (n, c, h, w).

    ``between`` is called after each block of images, because a whole set can take long. Workers take turns with the
    blocks, of ``block_size`` images, and each gets the results on all; it is given its own blocks alone.
    """
    model.eval()
    layout, device = memory_layout(model), next(model.parameters()).device
    # Numbers of each image; the logits of a large set would take gigabytes. What other workers evaluate is left at
    # what changes no sum.
    log_probability = torch.full((len(labels),), -0.0, device=device)
    classes, ranks = torch.zeros((2, len(labels)), dtype=torch.int64, device=device)
    given = torch.from_numpy(labels).to(device)  # once; each copy to a GPU waits for it
    first = team.rank * block_size
    rounds = 0
    for block in blocks:
        here = slice(first, first + len(block))
        with autocast(block.device, settings), rare_shape(len(block) < block_size):
            logits = model(block.contiguous(memory_format=layout)).float()
        log_probability[here] = F.log_softmax(logits, 1).gather(1, given[here, None])[:, 0]
        classes[here] = logits.argmax(1)
        ranks[here] = label_ranks(logits, given[here])
        first += len(block) + (team.size - 1) * block_size
        rounds += 1
        between()
    if team.size > 1:
        # All workers ask the same number of times whether to stop.
        for _ in range(rounds, math.ceil(len(labels) / block_size / team.size)):
            between()
        log_probability, classes, ranks = (team.add_up(each) for each in (log_probability, classes, ranks))
    predictions = classes.cpu().numpy()
    return Evaluation(
        loss=-log_probability.double().mean().item(),
        accuracy=percent_equal(predictions, labels),
        predictions=predictions,
        ranks=ranks.cpu().numpy(),
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
