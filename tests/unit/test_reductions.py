"""Sums over micro-batches: the same to the last bit, however many workers share them."""

import numpy as np
import torch

from rethinking.run.team import Team
from rethinking.training import reductions
from rethinking.training.reductions import ExactSum, flatten, nodes_of, push, unflatten

from .tiny import settings_with


def test_sum_is_that_of_a_tree_with_any_number_of_workers():
    """Against a tree that is written down level by level."""
    generator = np.random.default_rng(0)
    for count in (1, 2, 3, 5, 8, 13, 50):
        values = (generator.standard_normal((count, 7)) * 10.0 ** generator.integers(-6, 6, (count, 1))).astype(
            np.float32
        )
        expected = in_a_tree(list(values))
        for size in (1, 2, 3, 4, 7):
            order, sums, nodes = [], [], []
            for rank in range(size):
                worker = ExactSum(Team(rank, size))
                for number in worker.share(count):
                    worker.add([torch.from_numpy(values[number])])
                assert worker.nodes == nodes_of(worker.share(count))
                order += zip(worker.nodes, worker.sums, strict=True)
            for node, value in order:
                sums.append(value)
                push(nodes, node, sums)
            whole = ExactSum()
            whole.share(count)
            whole.sums = sums
            assert whole.total([torch.zeros(7)])[0].numpy().tobytes() == expected.tobytes()


def test_worker_0_adds_what_the_others_send():
    """Also where there are fewer micro-batches than workers, so that it has none itself."""
    values = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)

    class Worker0(Team):
        def collect(self, mine, counts):
            assert counts == [len(each) for each in sums]
            return [*mine, *(each.clone() for some in sums[1:] for each in some)]

        def hand_out(self, tensor):
            return tensor

    for count, size in ((1, 2), (2, 3), (3, 7), (5, 2), (5, 4)):
        sums = []
        for rank in range(size):
            worker = ExactSum(Team(rank, size))
            for number in worker.share(count):
                worker.add([torch.from_numpy(values[number])])
            sums.append(worker.sums)
        first = ExactSum(Worker0(0, size))
        for number in first.share(count):
            first.add([torch.from_numpy(values[number])])
        total = first.total([torch.zeros(7)])[0]
        assert total.numpy().tobytes() == in_a_tree(list(values[:count])).tobytes()


def test_the_next_batch_begins_with_nothing():
    """Also where the last batch of an epoch, a smaller one, ends before the place where this one begins."""

    class Worker1(Team):
        def collect(self, mine, counts):
            return mine

        def hand_out(self, tensor):
            return tensor

    worker = ExactSum(Worker1(1, 2))
    for count in (3, 6):
        for number in worker.share(count):
            worker.add([torch.full((7,), float(number))])
        assert worker.nodes == nodes_of(worker.share(count))
        worker.total([torch.zeros(7)])


def in_a_tree(values):
    """Pairs are added, then pairs of pairs; what has no partner is added last, the smallest first."""
    rest = []
    while len(values) > 1:
        if len(values) % 2:
            rest.append(values.pop())
        values = [values[i] + values[i + 1] for i in range(0, len(values), 2)]
    total = values[0]
    if rest:
        tail = rest[0]
        for each in rest[1:]:
            tail = each + tail
        total = total + tail
    return total


def test_a_tensor_keeps_its_layout_and_dtype():
    tensors = [
        torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last),
        torch.randn(5, dtype=torch.float64),
        torch.tensor(2.0),
    ]
    for ours, theirs in zip(unflatten(flatten(tensors), tensors), tensors, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.dtype == theirs.dtype
        assert ours.stride() == theirs.stride()


def test_gpus_add_fast_and_whole_batches_are_not_added():
    def kind(device="cpu", **values):
        settings = settings_with(**{"micro_batch": 4} | values)
        return type(reductions.build_reduction(settings, torch.device(device)))

    assert kind() is kind("cuda", reduction="exact") is ExactSum
    assert kind("cuda") is kind(reduction="fast") is kind(micro_batch=None) is reductions.Sum
