"""Steps over micro-batches against plain autograd, shared by workers, and in whole cells."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rethinking.cells import Cell
from rethinking.models.initialisation import initialise
from rethinking.run.team import Team
from rethinking.streams import torch_seed
from rethinking.training import initial_weights
from rethinking.training.feeders import build_feeder
from rethinking.training.loop import train_cell
from rethinking.training.micro_batches import MicroBatchStep, takes_parts
from rethinking.training.reductions import Sum
from rethinking.training.steps import build_optimiser, seed_layers

from .tiny import CPU, MANY, Tiny, make_cell, settings_with, train, without_seconds

CELL = make_cell(regularisers="wd+dropout")


def tiny_step(settings=MANY, reduction=None, momentum=0.05):
    torch.manual_seed(3)
    model = Tiny(momentum=momentum).train()
    optimiser = build_optimiser(model, settings)
    return model, MicroBatchStep(CELL, model, optimiser, settings, CPU, reduction)


def batch(n):
    generator = torch.Generator().manual_seed(n)
    return torch.randn(n, 3, 8, 8, generator=generator), torch.randint(4, (n,), generator=generator)


@pytest.mark.parametrize("n", [16, 10])  # 10: the last of an epoch, whose last part has two images
def test_step_is_that_of_plain_autograd(n):
    images, labels = batch(n)
    settings = settings_with(**MANY.model_dump() | {"rmsprop": None})
    model, step = tiny_step(settings)
    plain = Tiny().train()
    plain.load_state_dict(model.state_dict())
    loss, logits = step(images, labels, "1/0")

    total, entropy, means = 0.0, 0.0, []
    for number, (some, theirs) in enumerate(zip(images.split(4), labels.split(4), strict=True)):
        seed_layers(CELL, f"1/0/{number}")
        means.append(plain.conv(some).mean((0, 2, 3)).detach())
        main, auxiliary = plain(some)
        for weight, each in ((1.0, main), (0.4, auxiliary)):
            log_p = F.log_softmax(each, 1)
            smooth = 0.9 * log_p.gather(1, theirs[:, None])[:, 0] + 0.1 * log_p.mean(1)
            total = total - weight * smooth.sum() / n
        entropy += F.cross_entropy(main, theirs, reduction="sum").item() / n
    gradients = torch.autograd.grad(total, list(plain.parameters()))
    for (name, ours), theirs, gradient in zip(model.named_parameters(), plain.parameters(), gradients, strict=True):
        decay = 0.01 if name in ("conv.weight", "fc.weight", "auxiliary.weight") else 0.0
        torch.testing.assert_close(ours, theirs - 0.05 * (gradient + decay * theirs), rtol=1e-5, atol=1e-6)
    assert loss.item() == pytest.approx(entropy, rel=1e-5)
    assert logits.shape == (n, 4)
    # Running statistics move once per step, towards the mean over the parts and as far as by these parts in turn.
    weight = 1 - 0.95 ** len(means)
    torch.testing.assert_close(model.norm.running_mean, weight * torch.stack(means).mean(0))
    assert model.norm.num_batches_tracked == 1


class Shared(Sum):
    """One of two workers; the second adds what the first has found."""

    def total(self, like):
        if self.team.rank == 0:
            self.own = [value.clone() for value in self.values]
            return self.values
        self.add(self.others)
        return self.values


def test_workers_take_parts_of_a_step():
    images, labels = batch(16)
    whole, step = tiny_step()
    step(images, labels, "1/0")
    _, other = tiny_step(reduction=Shared(Team(0, 2)))
    model, second = tiny_step(reduction=Shared(Team(1, 2)))
    for each in (other, second):
        mine = each.share(16)
        second.reduction.others = getattr(other.reduction, "own", None)
        _, logits = each(images[mine], labels[mine], "1/0", 16)
        assert logits.shape == (8, 4)
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name], rtol=1e-5, atol=1e-6)


def test_parts_draw_for_themselves():
    """The same images in another part of the batch are dropped out otherwise."""
    images, labels = batch(4)
    _, step = tiny_step()
    step.optimiser.step = lambda: None
    _, logits = step(images.repeat(2, 1, 1, 1), labels.repeat(2), "1/0")
    _, again = step(images.repeat(2, 1, 1, 1), labels.repeat(2), "1/0")
    assert torch.equal(logits, again)
    assert not torch.equal(logits[:4], logits[4:])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_parts_of_a_network_without_batch_norm_change_nothing(data, smoothing):
    whole, parts = (train(data, label_smoothing=smoothing, micro_batch=size) for size in (None, 4))
    for ours, theirs in zip(without_seconds(parts.curve), without_seconds(whole.curve), strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_a_network_can_have_layers_of_two_dtypes(data, monkeypatch):
    """Their gradients are summed in one tensor."""

    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(300, 8).double(), nn.Linear(8, 4)

        def forward(self, x):
            return self.last(self.first(x.flatten(1).double()).relu().float())

    monkeypatch.setattr(initial_weights, "build_model", lambda *_, **__: Mixed())
    whole, parts = (train(data, micro_batch=size) for size in (None, 4))
    for ours, theirs in zip(parts.model.parameters(), whole.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("micro_batch", "takes"), [(None, False), (4, True)])
def test_dropout_alone_needs_no_parts(micro_batch, takes):
    """So that on a GPU a step with dropout is captured."""
    assert takes_parts(nn.Dropout(0.5), settings_with(micro_batch=micro_batch)) == takes


def test_dropout_follows_from_the_cell_alone(data, monkeypatch):
    def build(*_, **__):
        return nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(300, 4))

    monkeypatch.setattr(initial_weights, "build_model", build)
    curves = []
    for seed in (0, 1):
        torch.manual_seed(seed)  # as if other layers had drawn before
        curves.append(without_seconds(train(data).curve))
    assert curves[0] == curves[1]


# --- whole cells ----------------------------------------------------------------------------------


@pytest.fixture
def tiny_network(monkeypatch):
    monkeypatch.setattr(initial_weights, "build_model", lambda name, shape, classes, **options: Tiny(classes))


@pytest.mark.parametrize("corruption", ["labels_p1.0", "random_labels_replaced0"])
def test_a_replaced_example_and_another_name_change_no_draw(data, tiny_network, corruption):
    """Initial weights, order, crops and dropout are those of the cell that it is compared with."""
    settings = settings_with(**MANY.model_dump() | {"epochs": 1, "input_size": 8})
    curves = []
    for name in ("random_labels", corruption):
        cell = Cell.parse(f"cifar10/{name}/mlp_1x512/crop+dropout/seed0")
        curves.append(without_seconds(train_cell(cell, settings, data, CPU, log=lambda line: None).curve))
    assert curves[0] == curves[1]


def test_the_averaged_network_is_tested(data, tiny_network):
    averaged = train_cell(CELL, MANY, data, CPU, log=lambda line: None)
    without = settings_with(**MANY.model_dump(exclude={"average_decay"}))
    last = train_cell(CELL, without, data, CPU, log=lambda line: None)
    losses = [[row["train_loss"] for row in run.curve[1:]] for run in (averaged, last)]
    assert losses[0] == losses[1]
    assert averaged.curve[-1]["test_loss"] != last.curve[-1]["test_loss"]
    assert not torch.equal(averaged.model.fc.weight, last.model.fc.weight)


def test_a_whole_cell_is_that_of_a_plain_loop(data, monkeypatch):
    """RMSProp, falling rate, averaged weights and statistics, smoothed labels: all written out in float64."""
    cell, settings = make_cell(regularisers="wd"), settings_with(**MANY.model_dump() | {"epochs": 3})
    feeder = build_feeder(data, cell, settings, CPU)
    batches = [[each for each in feeder.epoch(epoch)] for epoch in (1, 2, 3)]

    def build(*_, **__):
        network = Tiny(data.num_classes)
        network.dropout.p = 0.0
        return network

    monkeypatch.setattr(initial_weights, "build_model", build)
    model = build()
    generator = torch.Generator().manual_seed(torch_seed(cell.seed, "initial weights", cell.stream_key))
    initialise(model, settings.initialisation, generator)
    model.double()
    average = copy.deepcopy(model)
    squares = [torch.ones_like(p) for p in model.parameters()]
    velocities = [torch.zeros_like(p) for p in model.parameters()]
    losses, number = [], 0
    for epoch, rate in ((0, 0.05), (1, 0.05), (2, 0.05 * 0.95)):
        total = 0.0
        for images, labels, _ in batches[epoch]:
            number += 1
            n, objective, statistics = len(labels), 0.0, []
            old = model.norm.running_mean.clone(), model.norm.running_var.clone()
            for some, theirs in zip(images.double().split(4), labels.split(4), strict=True):
                hidden = model.conv(some).transpose(0, 1).flatten(1)
                statistics.append((hidden.mean(1).detach(), hidden.var(1).detach()))
                main, auxiliary = model(some)
                target = 0.9 * F.one_hot(theirs, data.num_classes) + 0.1 / data.num_classes
                for weight, each in ((1.0, main), (0.4, auxiliary)):
                    objective = objective - weight * (target * F.log_softmax(each, 1)).sum() / n
                total += F.cross_entropy(main, theirs, reduction="sum").item()
            gradients = torch.autograd.grad(objective, list(model.parameters()))
            with torch.no_grad():
                for running, before, now in zip(
                    (model.norm.running_mean, model.norm.running_var), old, zip(*statistics, strict=True),
                    strict=True,
                ):  # fmt: skip
                    keep = 0.95 ** len(now)
                    running.copy_(keep * before + (1 - keep) * torch.stack(now).mean(0))
                for (name, p), g, s, v in zip(model.named_parameters(), gradients, squares, velocities, strict=True):
                    g = g + 0.01 * p if name in ("conv.weight", "fc.weight", "auxiliary.weight") else g
                    s.mul_(0.8).add_(0.2 * g**2)
                    v.mul_(0.9).add_(rate * g / (s + 1.0).sqrt())
                    p.sub_(v)
                keep = min(0.99, (1 + number) / (10 + number))
                for a, b in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
                    if a.is_floating_point():
                        a.mul_(keep).add_((1 - keep) * b)
        losses.append(total / len(data.train_labels))
    trained = train_cell(cell, settings, data, CPU, log=lambda line: None)
    assert [row["train_loss"] for row in trained.curve[1:]] == pytest.approx(losses, rel=1e-4)
    for name, value in trained.model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), average.state_dict()[name], rtol=2e-3, atol=2e-5)
    for split, found in (("train", trained.train), ("test", trained.test)):
        images = torch.cat(list(build_feeder(data, cell, settings, CPU).evaluation(split)))
        logits, given = average.eval()(images.double()), torch.from_numpy(getattr(data, f"{split}_labels"))
        ranks = (logits > logits.gather(1, given[:, None])).sum(1)
        assert found.ranks.tolist() == ranks.tolist()
        assert found.loss == pytest.approx(F.cross_entropy(logits, given).item(), rel=1e-4)


def test_the_rate_falls_every_two_epochs(data):
    rates = [row["learning_rate"] for row in train(data, epochs=5, decay_every=2).curve[1:]]
    assert rates == pytest.approx([0.02 * 0.95**n for n in (0, 0, 1, 1, 2)])


def test_batch_norm_without_momentum_keeps_the_mean_over_all_batches():
    """As torch does it, whose plain layer sees the same batches."""
    model, step = tiny_step(settings_with(**MANY.model_dump() | {"micro_batch": None}), momentum=None)
    step.optimiser.step = lambda: None
    plain = nn.BatchNorm2d(model.norm.num_features, momentum=None)
    for number, n in enumerate((8, 8, 8)):
        images, labels = batch(n + number)
        step(images, labels, f"1/{number}")
        plain(model.conv(images))
    torch.testing.assert_close(model.norm.running_mean, plain.running_mean)
    torch.testing.assert_close(model.norm.running_var, plain.running_var)
