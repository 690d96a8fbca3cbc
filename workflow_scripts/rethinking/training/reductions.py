"""Sums over the micro-batches of a batch, which several workers share: a row of micro-batches each.

``fast`` adds in order of arrival and leaves the sum over workers to torch.distributed; so the last bits depend on the
number of workers. ``exact`` adds along a fixed binary tree over the numbers of the micro-batches: 0 + 1, 2 + 3, then
(0 + 1) + (2 + 3). A worker adds what lies within its row, worker 0 the rest. So the sum has the same bits for any
number of workers. Sums of whole numbers in a common scale would have them too, but that scale follows from the largest
gradient of the batch: all micro-batches' gradients would have to be kept until it is known, where the tree keeps at
most two of each level. Infinities and NaN pass through the tree as they do through any sum, and it errs less than a sum
in order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rethinking.config.cell_settings import CellSettings
from rethinking.run.team import ALONE, Team

# Level and number: the sum of micro-batches number * 2^level to (number + 1) * 2^level.
Node = tuple[int, int]


def build_reduction(settings: CellSettings, device: torch.device, team: Team = ALONE) -> Sum:
    """The reduction that the settings ask for: by default exact on a CPU and fast on a GPU."""
    exact = settings.reduction == "exact" or (settings.reduction is None and device.type == "cpu")
    # Without micro-batches there is nothing to add.
    return ExactSum(team) if exact and settings.micro_batch else Sum(team)


class Sum:
    """The sum over the micro-batches of a batch in order (``fast``)."""

    def __init__(self, team: Team = ALONE) -> None:
        self.team = team
        self.values: list[Tensor] = []

    def share(self, count: int) -> range:
        """Begin a batch of ``count`` micro-batches: which of them this worker works on, in order."""
        return self.team.share(count)

    def add(self, values: Sequence[Tensor]) -> None:
        """Add what a micro-batch gives: tensors of the same shapes and dtypes each time."""
        if self.values:
            torch._foreach_add_(self.values, values)
        else:
            self.values = [value.clone() for value in values]

    def total(self, like: Sequence[Tensor]) -> list[Tensor]:
        """The sum over the batch, in the shapes and layouts of ``like``; the next batch begins with nothing."""
        values, self.values = self.values, []
        if self.team.size == 1:
            return values
        flat = flatten(values) if values else torch.zeros_like(flatten(like))
        return unflatten(self.team.add_up(flat), like)


class ExactSum(Sum):
    """The sum along a binary tree, whose bits do not depend on the number of workers (``exact``)."""

    def __init__(self, team: Team = ALONE) -> None:
        super().__init__(team)
        self.nodes: list[Node] = []
        self.sums: list[Tensor] = []

    def share(self, count: int) -> range:
        """Begin a batch of ``count`` micro-batches: which of them this worker works on, in order."""
        row = super().share(count)
        self.count, self.next = count, row.start
        return row

    def add(self, values: Sequence[Tensor]) -> None:
        """Add what the next micro-batch gives."""
        self.sums.append(flatten(values))
        push(self.nodes, (0, self.next), self.sums)
        self.next += 1

    def total(self, like: Sequence[Tensor]) -> list[Tensor]:
        """The sum over the batch."""
        sums = self.sums
        if self.team.size > 1:
            nodes = [nodes_of(self.team.share_of(rank, self.count)) for rank in range(self.team.size)]
            own = sums or [torch.zeros_like(flatten(like))]
            found = self.team.collect(own, [len(some) for some in nodes])
            sums = own[:1]  # in other workers the place for worker 0's sum
            if self.team.rank == 0:
                sums, reached = [], []
                # Where worker 0 has no micro-batch, its zeros come first, which belong to no node.
                order = [node for some in nodes for node in some]
                for node, value in zip(order, found[len(found) - len(order) :], strict=True):
                    sums.append(value)
                    push(reached, node, sums)
        while len(sums) > 1:  # what is left of a number of micro-batches that is no power of two
            right = sums.pop()
            sums[-1] += right
        self.nodes, self.sums = [], []
        total = sums[0] if self.team.size == 1 else self.team.hand_out(sums[0])
        return unflatten(total, like)


def push(nodes: list[Node], node: Node, sums: list[Tensor] | None = None) -> None:
    """Put a node, whose sum is the last of ``sums``, behind others, and join it with those on its left where it can."""
    level, number = node
    while number % 2 and nodes and nodes[-1] == (level, number - 1):
        nodes.pop()
        if sums:
            right = sums.pop()
            sums[-1] += right
        level, number = level + 1, number // 2
    nodes.append((level, number))


def nodes_of(row: range) -> list[Node]:
    """The nodes of the tree that a row of micro-batches fills."""
    nodes: list[Node] = []
    for number in row:
        push(nodes, (0, number))
    return nodes


def flatten(values: Sequence[Tensor]) -> Tensor:
    """Copies of tensors in one, of their widest dtype, each in the order of its memory, so that layouts remain."""
    return torch.cat([value.detach().as_strided((value.numel(),), (1,)) for value in values])


def unflatten(flat: Tensor, like: Sequence[Tensor]) -> list[Tensor]:
    """The tensors that :func:`flatten` made one of, as views of it unless their dtype is another."""
    parts = flat.split([each.numel() for each in like])
    parts = [part.to(each.dtype) for part, each in zip(parts, like, strict=True)]
    return [
        part.as_strided(each.shape, each.stride(), part.storage_offset())
        for part, each in zip(parts, like, strict=True)
    ]
