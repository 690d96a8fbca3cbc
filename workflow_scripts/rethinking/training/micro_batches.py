"""One step over the micro-batches of a batch, which several workers can share without changing the numbers.

Batch normalisation works on one micro-batch, and layers draw random numbers by micro-batch. What a micro-batch gives
(gradients, batch statistics, loss) is summed over the batch, and only the sum changes the network. So the step is
the same whoever works on which micro-batch, as far as the sum does not depend on its order.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.models.layers import batch_norms
from rethinking.training.optimisers import Optimiser
from rethinking.training.reductions import Sum, build_reduction
from rethinking.training.steps import autocast, memory_layout, seed_layers


def takes_parts(model: nn.Module, settings: CellSettings) -> bool:
    """Whether a step is more than SGD on the mean cross-entropy of a batch: with the settings that ImageNet has."""
    more = settings.micro_batch or settings.rmsprop or settings.label_smoothing or settings.auxiliary_loss
    return bool(more or getattr(model, "aux_logits", False))


class MicroBatchStep:
    """A step of training whose batches are cut into micro-batches.

    Args:
        cell: its name and seed key the random numbers of layers.
        model: the network; in training it may return its logits with those of an auxiliary head.
        optimiser: takes the gradient of the mean loss over the batch.
        settings: of the cell.
        device: where the network is.
        reduction: shares out the micro-batches and sums what they give.
    """

    def __init__(
        self,
        cell: Cell,
        model: nn.Module,
        optimiser: Optimiser,
        settings: CellSettings,
        device: torch.device,
        reduction: Sum | None = None,
    ) -> None:
        self.cell, self.model, self.optimiser, self.settings = cell, model, optimiser, settings
        self.device, self.layout = device, memory_layout(model)
        self.reduction = reduction or build_reduction(settings, device)
        self.size = settings.micro_batch or settings.batch_size
        self.norms = batch_norms(model)
        self.running = [each for norm in self.norms for each in (norm.running_mean, norm.running_var)]
        self.momenta = [norm.momentum for norm in self.norms]
        self.no_loss = torch.zeros((), device=device)
        for norm in self.norms:
            norm.momentum = 1.0  # so that a micro-batch leaves its own statistics in place of running ones

    def share(self, n: int) -> slice:
        """The places in a batch of ``n`` images that this worker works on."""
        own = self.reduction.team.share(math.ceil(n / self.size))
        return slice(own.start * self.size, min(own.stop * self.size, n))

    def __call__(self, images: Tensor, labels: Tensor, place: str, n: int | None = None) -> tuple[Tensor, Tensor]:
        """One step on this worker's share of a batch of ``n`` images: images (m, c, h, w) and labels (m,).

        ``place`` names the step in the random streams. Returns the mean cross-entropy of the whole batch in nats,
        without label smoothing and auxiliary head, and the logits (m, classes).
        """
        n = len(labels) if n is None else n
        count = math.ceil(n / self.size)
        before = [each.clone() for each in self.running]
        counted = [norm.num_batches_tracked.clone() for norm in self.norms]
        logits = []
        parts = zip(images.split(self.size), labels.split(self.size), strict=True)
        # A worker can have nothing of a small batch; splitting nothing gives one empty part.
        for number, part in zip(self.reduction.share(count), parts, strict=False):
            seed_layers(self.cell, f"{place}/{number}")
            values, some = self.part(*part, n)
            self.reduction.add(values)
            logits.append(some)
        like = [*self.optimiser.velocity, *self.running, self.no_loss]
        loss = self.apply(self.reduction.total(like), before, counted, count)
        return loss, torch.cat(logits) if logits else images.new_zeros((0, 1))

    def part(self, images: Tensor, labels: Tensor, n: int) -> tuple[list[Tensor], Tensor]:
        """What one micro-batch of a batch of ``n`` images gives to the sum, and its logits.

        The sum has the gradients, then means and variances of each batch normalisation, then the loss.
        """
        with autocast(self.device, self.settings):
            outputs = self.model(images.contiguous(memory_format=self.layout))
        logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        logits = logits.float()
        objective = self.objective(logits, labels)
        for each in auxiliary:
            objective = objective + self.settings.auxiliary_loss * self.objective(each.float(), labels)
        self.optimiser.zero_grad()
        (objective / n).backward()
        logits = logits.detach()
        loss = F.cross_entropy(logits, labels, reduction="sum") / n
        gradients = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            for parameter in self.optimiser.velocity
        ]
        return [*gradients, *self.running, loss], logits

    def objective(self, logits: Tensor, labels: Tensor) -> Tensor:
        """What is minimised: the cross-entropy of smoothed labels, summed over images."""
        smoothing = self.settings.label_smoothing
        return F.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)

    @torch.no_grad()
    def apply(self, total: list[Tensor], before: list[Tensor], counted: list[Tensor], parts: int) -> Tensor:
        """Change weights and running statistics by the sum over a batch; returns the loss.

        Running statistics move towards the mean over the parts, in which a short last part counts as much as others,
        and as far as if each part had moved them, as each worker of TensorFlow's inception package does.
        """
        count = len(self.optimiser.velocity)
        gradients, statistics, loss = total[:count], total[count:-1], total[-1]
        for parameter, gradient in zip(self.optimiser.velocity, gradients, strict=True):
            parameter.grad = gradient
        self.optimiser.step()
        for place, (running, old, value) in enumerate(zip(self.running, before, statistics, strict=True)):
            momentum, batches = self.momenta[place // 2], counted[place // 2]  # of a mean and a variance
            # Without a momentum torch keeps the mean over all batches.
            weight = 1 / (batches + 1).to(old.dtype) if momentum is None else 1 - (1 - momentum) ** parts
            running.copy_(torch.lerp(old, value / parts, weight))
        for norm, batches in zip(self.norms, counted, strict=True):
            norm.num_batches_tracked.copy_(batches + 1)
        return loss
