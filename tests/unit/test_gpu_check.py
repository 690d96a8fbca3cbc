"""What `make gpu-check` does, tried on the CPU: comparisons that pass and fail, the table, the JSON and each step."""

import copy
import json
import math
import os
import re
import subprocess
import sys
import time
from contextlib import nullcontext
from functools import partial, reduce
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from snakemake.utils import update_config

import gpu_check
import gpu_steps
import gpu_table1
from bench_training import changed, quiet
from check import ONLY_MEASURED, Check, made_up_images
from gpu_bounds import BOUNDS, compare_curves
from gpu_steps import compared_cell
from gpu_table1 import train_table1
from rethinking.config.reading import read
from rethinking.run.code import combined, script_code
from rethinking.run.commit import git_commit
from rethinking.run.files import write_json
from rethinking.training import loop
from rethinking.training.batches import Batches
from rethinking.training.optimisers import SGD

from .tiny import CPU

ROOT = Path(__file__).parents[2]

# --- comparisons ----------------------------------------------------------------------------------


def curve(loss, accuracy=50.0, start=2.0):
    row = {"train_accuracy": accuracy, "test_accuracy": accuracy}
    return [{"train_loss": value, "test_loss": value} | row for value in (start, loss, loss)]


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("side", [0.9, -0.9, 1.1, -1.1])
@pytest.mark.parametrize("kind", ["loss", "accuracy", "start"])
def test_differences_below_their_bounds_pass(precision, side, kind):
    bound = BOUNDS[precision]
    off = {"loss": bound.loss, "accuracy": bound.accuracy / 50, "start": bound.start}[kind]
    base = {"loss": 1.0, "accuracy": 50.0, "start": 2.0}
    found = list(compare_curves("it", curve(**base | {kind: base[kind] * (1 + side * off)}), curve(**base), bound))
    assert len(found) == 3
    assert sum(not each.passed for each in found) == (abs(side) > 1)


def test_what_is_no_number_fails():
    found = list(compare_curves("it", curve(math.nan), curve(1.0), BOUNDS["bfloat16"]))
    assert [each.passed for each in found] == [True, False, True]
    assert json.dumps(found[1].as_json(), allow_nan=False)


def test_a_network_that_diverged_fails():
    (found,) = compare_curves("it", curve(1.0)[:2], curve(1.0), BOUNDS["bfloat16"])
    assert not found.passed


# --- what the bounds tell apart -------------------------------------------------------------------


@pytest.fixture(scope="module")
def compared():
    """A function that trains the compared MLP; and its curve in float32."""
    data = made_up_images(200, 100)
    cell, settings = compared_cell("mlp_1x512")

    def train(**values):
        return loop.train_cell(cell, changed(settings, **values), data, CPU, log=quiet).curve

    return train, train()


def failed(found, expected, precision):
    return [each.name for each in compare_curves("it", found, expected, BOUNDS[precision]) if not each.passed]


def test_rounding_passes(compared, monkeypatch):
    train, expected = compared
    assert not failed(train(precision="bfloat16"), expected, "bfloat16")
    draw = loop.draw_initial_weights

    def rounded(model, *arguments):
        draw(model, *arguments)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1 + 1e-7 * torch.randn_like(parameter))

    monkeypatch.setattr(loop, "draw_initial_weights", rounded)
    assert not failed(train(), expected, "float32")


def warm(step, seen, *batch):
    """The steps of the warm-up before a capture change the weights."""
    for _ in range(0 if seen else 3):
        step(*batch)
    seen.append(True)
    return step(*batch)


def replay_one_batch(step, seen, *batch):
    """Every step is replayed on the images that were captured."""
    if len(batch[1]) < 64:
        return step(*batch)
    seen.append(batch)
    return step(*seen[0])


def replace_step(monkeypatch, wrong):
    """Take wrong steps, which know the right one and have a list to keep what they have seen."""
    build_step = loop.build_step
    monkeypatch.setattr(loop, "build_step", lambda *arguments: partial(wrong, build_step(*arguments), []))


def other_order(monkeypatch):
    epoch = Batches.epoch
    monkeypatch.setattr(Batches, "epoch", lambda self, number, *where: epoch(self, number + 7, *where))


FAULTS = {
    "the rate of the capture is kept": lambda patch: patch.setattr(SGD, "set_learning_rate", lambda *_: None),
    "momentum is lost": lambda patch: patch.setattr(
        "rethinking.training.steps.SGD", lambda decay, rate, momentum: SGD(decay, rate, 1e-6)
    ),
    "the warm-up changes weights": lambda patch: replace_step(patch, warm),
    "one batch is replayed": lambda patch: replace_step(patch, replay_one_batch),
    "another order": other_order,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_errors_in_training_fail_in_every_precision(compared, monkeypatch, fault):
    train, expected = compared
    FAULTS[fault](monkeypatch)
    found = train()
    for precision in BOUNDS:
        assert failed(found, expected, precision), precision


# --- the script -----------------------------------------------------------------------------------


@pytest.fixture
def check(script, tmp_path):
    """Run the script; its status and its JSON."""

    def run(*options):
        words = ["--device=cpu", "--quick", "--models", "mlp_1x512", f"--output={tmp_path}", *options]
        with pytest.raises(SystemExit) as end:
            script("gpu_check", *words)
        return int(end.value.code), json.loads((tmp_path / "gpu_check.json").read_text())

    return run


def test_without_a_gpu_it_says_so(script, monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUBLAS_EMULATE_DOUBLE_PRECISION", "1")
    with pytest.raises(SystemExit) as end:
        script("gpu_check")
    assert "CUBLAS_EMULATE_DOUBLE_PRECISION" not in os.environ  # as for the jobs of the workflow
    out, err = capsys.readouterr()
    assert end.value.code == os.EX_UNAVAILABLE
    assert "no GPU" in err
    assert len((out + err).splitlines()) == 1


def test_steps_of_one_process(check, capsys, monkeypatch):
    monkeypatch.setattr(gpu_steps, "peak_flops", lambda device, dtype: 1e12)  # takes seconds
    status, found = check("--steps", "training", "speed", "exact fit")
    assert status == 0
    assert not found["failed"]
    assert len(found["comparisons"]) == 3 * 3 + 3  # three precisions, and the fit
    assert {row["precision"] for row in found["rows"]} == set(BOUNDS)
    for row in found["rows"]:
        assert row["passed"]
        measured = ("images_per_second", "peak_share", "first_step_seconds", "evaluated_per_second")
        assert all(row[key] > 0 for key in measured)
    assert found["hardware"]["torch"] == torch.__version__
    assert found["git_commit"] == git_commit()
    out = capsys.readouterr().out
    assert len(re.findall(r"^mlp_1x512 .*as on the CPU", out, re.M)) == 3
    assert "upload: 256 images" in out


def test_what_fails_is_named(check, monkeypatch, capsys):
    """A fit that differs, and a step that ends with an error, which costs no other step."""
    fit = gpu_steps.fit

    def differs(*arguments):
        facts, outputs = fit(*arguments)
        return facts, outputs + (1e-6 if "fit_1" in str(arguments) else 0)

    def broken(_):
        raise RuntimeError("no kernel image\nmore")

    monkeypatch.setattr(gpu_steps, "fit", differs)
    monkeypatch.setitem(gpu_check.STEPS, "tests", (broken, 1))
    status, found = check("--steps", "tests", "exact fit")
    assert status == 1
    assert found["failed"] == [
        "tests: RuntimeError: no kernel image",
        "exact fit in float64: outputs on test images",
    ]
    assert "FAILED exact fit in float64: outputs on test images: 1e-06" in capsys.readouterr().out


def test_what_cannot_be_measured_is_no_failure(check, monkeypatch):
    """Of a GPU without the memory or the speed; it computes right."""

    def full(_):
        raise RuntimeError("CUDA out of memory\nmore")

    monkeypatch.setitem(gpu_check.STEPS, "speed", (full, 1))
    status, found = check("--steps", "speed")
    assert (status, found["failed"]) == (0, [])
    assert found["facts"] == {"speed": "not measured to the end: RuntimeError: CUDA out of memory"}


@pytest.mark.parametrize("rate", [2e3, 5e3, 1e5])
def test_slow_gpus_train_few_networks_side_by_side(monkeypatch, tmp_path, rate):
    """One trains first; it is known from fewer whether more are done in time. Here the GPU has one rate for all."""
    options = {"device": "cpu", "quick": False, "models": ["inception"], "data": None}
    tried, clock = Check(SimpleNamespace(**options)), [0.0]
    counts = []

    def ask(processes, what):
        counts.append(len(processes))
        clock[0] += len(processes) * int(what.split()[1]) * gpu_steps.IMAGES / rate
        assert clock[0] < tried.until, "the processes would be killed"
        return {"images_per_second": rate}

    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: nullcontext(SimpleNamespace(kill=lambda: None)))
    monkeypatch.setattr(gpu_steps, "receive", lambda _: None)
    monkeypatch.setattr(gpu_steps, "ask", ask)
    tried.until = gpu_check.STEPS["side by side"][1]
    gpu_steps.measure_side_by_side(tried)
    assert counts == {2e3: [1, 1], 5e3: [1, 1, 1, 2], 1e5: [1, 1, 1, 2, 2, 4, 4, 8]}[rate]


def test_a_step_has_the_time_that_earlier_ones_left(monkeypatch):
    """Training, on a slow machine; table 1 has what the user gives it."""
    tried, clock, ends = Check(SimpleNamespace(device="cpu", quick=False, minutes=10)), [50.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])

    def step(check):
        ends.append(check.until)
        clock[0] += 20

    tried.run({"tests": (step, 100), "training": (step, 30), "table 1": (step, 0)})
    assert ends == [150, 180, 690]


def test_what_there_is_no_time_for_fails(check, monkeypatch):
    monkeypatch.setitem(gpu_check.STEPS, "training", (gpu_steps.compare_training, -1))
    status, found = check("--steps", "training")
    assert status == 1
    assert found["failed"] == [f"mlp_1x512 in {precision}, eager: no time" for precision in BOUNDS]


def test_steps_take_at_most_eight_minutes():
    assert sum(limit for _, limit in gpu_check.STEPS.values()) <= 8 * 60


def test_what_is_only_measured_is_a_step():
    assert {*ONLY_MEASURED} <= {*gpu_check.STEPS, *gpu_check.MORE}


def test_table1_has_networks_of_one_size_at_a_time(monkeypatch, tmp_path):
    """Inceptions, then AlexNets, then MLPs; the configuration file says for how many epochs."""
    own = tmp_path / "own.yaml"
    own.write_text("overrides: [{cells: '*/*/alexnet/*', set: {epochs: 7}}]\ntraining: {epochs: 3}\n")
    together, alive = [], set()

    class Process:
        def __init__(self, cell, settings, *_):
            self.cell = cell
            assert settings.epochs == (7 if cell.model == "alexnet" else 3)
            alive.add(cell)
            together.append({each.model for each in alive})

        def wait(self, _=None):
            time.sleep(0.01)
            alive.discard(self.cell)
            return 0

    monkeypatch.setattr(gpu_table1, "start", Process)
    prepared = gpu_table1.as_prepared(None, tmp_path / "prepared", lambda: made_up_images(40, 10))
    models = ("inception", "alexnet", "mlp_3x512", "mlp_1x512")
    train_table1(prepared, tmp_path / "out", CPU, models, str(own), "float32", None, 4, math.inf)
    order = list(dict.fromkeys(frozenset(some) for some in together))
    assert order[:2] == [{"inception"}, {"alexnet"}]
    assert set().union(*order[2:]) == {"mlp_3x512", "mlp_1x512"}
    assert len(together) == 16


def test_table1_of_older_code_is_trained_again(tmp_path):
    cell, settings = compared_cell("mlp_1x512")
    for code, done in ((combined(script_code("train_cell")), True), ("0123456789abcdef", False)):
        record = {"settings": settings.model_dump(), "code_fingerprint": code}
        write_json(gpu_table1.summary(tmp_path, cell), {"provenance": record, "data": {}})
        assert gpu_table1.is_done(tmp_path, cell, settings, {}) == done


def test_each_device_and_each_torch_has_a_table1_of_its_own(check, monkeypatch):
    """A CPU on which the script was tried must not pass for the GPU, nor what another torch trained for this one's."""
    folders = []
    monkeypatch.setattr(gpu_steps, "train_table1", lambda _, folder, *__: folders.append(folder) or [])
    for name, version in (("x86_64", "2.14.1+cpu"), ("NVIDIA H200", "2.14.1+cu130"), ("NVIDIA H200", "2.11.0")):
        monkeypatch.setattr("check.hardware", lambda _, name=name: {"device": name})
        monkeypatch.setattr(torch, "__version__", version)
        check("--steps", "table 1")
    names = ["x86_64_torch_2_14_1_cpu", "NVIDIA_H200_torch_2_14_1_cu130", "NVIDIA_H200_torch_2_11_0"]
    assert [folder.name for folder in folders] == names


def test_configurations_are_merged_as_by_snakemake():
    files = ["config.yaml", "results/reference/cifar10/config.yaml", "profiles/demo/experiment.yaml"]
    values = [read(str(ROOT / file)).content for file in files]
    expected = {}
    for some in values:
        update_config(expected, copy.deepcopy(some))
    assert reduce(gpu_table1.merged, values) == expected


def test_all_gpu_tests_are_run():
    tests = Path(__file__).parents[1]
    marked = {path for path in tests.rglob("*.py") if re.search(r"^@pytest\.mark\.gpu", path.read_text(), re.M)}
    assert marked == {tests.parent / name for name in gpu_steps.GPU_TESTS}


def test_a_machine_with_a_gpu_needs_no_snakemake():
    """Its tests are found, with their fixtures, where Snakemake and what only figures and tables take is missing."""
    missing = ["snakemake", "snakemake.utils", "seaborn", "tabulate"]
    block = f"import sys; sys.modules |= dict.fromkeys({missing}); import pytest; sys.exit(pytest.main())"
    options = ["-q", "--collect-only", "-m", "gpu", "-p", "no:cacheprovider", "-o", "addopts="]
    command = [sys.executable, "-c", block, *options, *gpu_steps.GPU_TESTS]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    assert all(f"{file}::" in done.stdout for file in gpu_steps.GPU_TESTS)


@pytest.mark.slow
def test_steps_of_several_processes(check, monkeypatch, tmp_path):
    """GPU tests, which are skipped here, networks side by side, a table 1 that the next run does not train again."""
    # An environment of the user's own may lack the plug-ins of pytest that `make test` takes.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:timeout -p no:xdist")
    own = tmp_path / "own.yaml"
    own.write_text("table1: {cells: cifar10/true_labels/mlp_1x512/wd}\n")
    options = ("--all", "--epochs=1", f"--configfile={own}")
    steps = ("--steps", "tests", "side by side", "table 1", "profile")
    status, found = check(*options, *steps)
    assert status == 0
    assert "skipped" in found["facts"]["GPU tests"]
    ways = [row["way"] for row in found["rows"]]
    assert ways == ["1 side by side", "2 side by side", "true_labels wd"]
    assert all(row["images_per_second"] > 0 for row in found["rows"])
    trained = [row for row in found["rows"] if "status" in row]
    assert {row["status"] for row in trained} == {"finished"}
    assert "made-up" in found["facts"]["table 1"]
    assert "aten::addmm" in Path(found["facts"]["profile"]).read_text()
    _, again = check(*options, "--steps", "table 1")
    assert again["rows"] == trained
    # Other settings are another network, for which there is no time here.
    status, other = check(*options, "--epochs=2", "--minutes=0", "--steps", "table 1")
    assert status == 1
    assert {row["status"] for row in other["rows"]} == {"unfinished"}
