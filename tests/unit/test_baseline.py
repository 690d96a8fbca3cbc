"""What `make bench` compares: the baseline trains the same networks on the same images, and operations are counted right."""

import csv
import os
import subprocess
from itertools import chain

import numpy as np
import pytest
import torch
from torch import nn

from baseline import (
    ImageDataset,
    build_baseline,
    build_loader,
    build_transform,
    measure_baseline,
    standardise,
    train_steps,
)
from bench_training import ask, receive
from peak import training_flops
from rethinking.models import build_model
from rethinking.models.initialisation import initialise
from rethinking.run.files import UserError
from rethinking.streams import torch_seed
from rethinking.training.preprocessing import centre_crop, whiten

from .tiny import CPU, make_cell, settings_with, train

# --- the same training ----------------------------------------------------------------------------


def test_transform_is_our_preprocessing(data):
    dataset = ImageDataset(data.train_images, data.train_labels, build_transform(8))
    images = torch.stack([dataset[i][0] for i in range(len(dataset))])
    torch.testing.assert_close(images, whiten(centre_crop(torch.tensor(data.train_images), 8)))
    assert [dataset[i][1] for i in range(len(dataset))] == data.train_labels.tolist()


def test_flat_images_stay_finite():
    flat = np.full((1, 3, 4, 4), 9, np.uint8)
    torch.testing.assert_close(standardise(torch.tensor(flat[0]) / 255), whiten(torch.tensor(flat))[0])


@pytest.mark.parametrize("name", ["alexnet", "inception", "mlp_3x512"])
def test_networks_are_equal(name):
    ours = build_model(name, (3, 28, 28), 10)
    stock = build_baseline(name, (3, 28, 28), 10)
    stock.load_state_dict(ours.state_dict())
    images = torch.randn(8, 3, 28, 28) * 100  # large, so that the normalisation does something
    torch.testing.assert_close(stock(images), ours(images), rtol=1e-4, atol=1e-3)


def test_alexnet_has_the_stock_normalisation():
    layers = list(build_baseline("alexnet", (3, 28, 28), 10).modules())
    norms = [layer for layer in layers if type(layer).__name__ == "LocalResponseNorm"]
    assert [type(norm) for norm in norms] == [nn.LocalResponseNorm] * 2


@pytest.mark.parametrize("name", ["alexnet", "inception", "mlp_1x512"])
def test_losses_are_those_of_a_cell(data, name):
    """Three epochs of one batch, in which the order of images does not matter."""
    values = {"epochs": 3, "batch_size": 40, "learning_rate_decay": 1}
    cell, settings = make_cell(name), settings_with(**values)
    trained = train(data, cell, **values)
    model = build_baseline(name, (3, 10, 10), 4)
    seed = torch_seed(cell.seed, "initial weights", cell.stream_key)
    initialise(model, settings.initialisation, torch.Generator().manual_seed(seed))
    dataset = ImageDataset(data.train_images, data.train_labels, build_transform(10))
    loader = build_loader(dataset, settings, num_workers=0, pin_memory=False)
    losses = list(train_steps(model, chain(loader, loader, loader), settings, CPU))
    # The order of summation differs, and a batch normalisation over few values magnifies it.
    assert losses == pytest.approx([row["train_loss"] for row in trained.curve[1:]], rel=1e-3)


# --- what is counted ------------------------------------------------------------------------------


def test_operations_of_the_mlp():
    """Forward, gradient of the weights, and gradient of the inputs in all layers but the first."""
    first, second = 2 * 2352 * 512, 2 * 512 * 10
    assert training_flops(build_model("mlp_1x512", (3, 28, 28), 10), (3, 28, 28)) == 2 * first + 3 * second


def test_operations_of_convolutions():
    """28x28, 14x14 and then 7x7 places; the normalisation counts for nothing."""
    first, second = 2 * 28**2 * 64 * 3 * 25, 2 * 14**2 * 64 * 64 * 25
    linear = 2 * (64 * 49 * 384 + 384 * 192 + 192 * 10)
    flops = training_flops(build_baseline("alexnet", (3, 28, 28), 10), (3, 28, 28))
    assert flops == 2 * first + 3 * (second + linear)


def test_baseline_trains_the_steps_that_it_times(data):
    """Two steps of warm-up and five that count, over the end of an epoch of three."""
    settings, steps = settings_with(learning_rate=1e-3), []

    class Counting(nn.Sequential):
        def forward(self, x):
            steps.append(len(x))
            return super().forward(x)

    model = Counting(build_baseline("mlp_1x512", (3, 10, 10), 4))
    dataset = ImageDataset(data.train_images, data.train_labels, build_transform(10))
    loader = build_loader(dataset, settings, num_workers=0, pin_memory=False)
    assert measure_baseline(model, loader, settings, CPU, steps=5) > 0
    assert steps == [16, 16, 8, 16, 16, 8, 16]


# --- the script -----------------------------------------------------------------------------------


def test_rates_of_cells_side_by_side_add_up():
    answer = ["sed", "--unbuffered", 's/.*/{"images_per_second": &.5}/']
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(answer, **pipes) as one, subprocess.Popen(answer, **pipes) as other:
        for _ in range(2):
            assert ask([one, other], 300) == {"images_per_second": 601}


def test_a_measured_process_that_fails_is_reported():
    with (
        subprocess.Popen("exit 3", shell=True, stdout=subprocess.PIPE, text=True) as process,
        pytest.raises(UserError, match="ended with status 3"),
    ):
        receive(process)


@pytest.mark.slow
def test_bench_writes_its_columns(script, tmp_path, monkeypatch, capsys):
    output = tmp_path / "bench" / "today.csv"
    options = ["--models=mlp_1x512", "--device=cpu", "--images=512", "--seconds=0.02", "--repetitions=1"]
    # With more CPUs there would be a cell for each.
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    script("bench_training", *options, f"--output={output}")
    with output.open() as file:
        rows = list(csv.DictReader(file))
    columns = "model,device,images_per_second,baseline_images_per_second,ratio,peak_share"
    assert ",".join(rows[0]) == columns
    assert rows[0]["model"] == "mlp_1x512"
    assert [row["device"] for row in rows] == ["cpu, 1 thread"]
    for row in rows:
        ours, baseline = float(row["images_per_second"]), float(row["baseline_images_per_second"])
        assert float(row["ratio"]) == pytest.approx(ours / baseline, rel=0.01)
        assert float(row["peak_share"]) > 0  # relative to a peak that was measured at another moment
    out = capsys.readouterr().out
    assert "random bytes" in out
    assert (
        "TF32 in convolutions" in out
    ) == torch.backends.cudnn.allow_tf32  # torch's default, which the baseline keeps
