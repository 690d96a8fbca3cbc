"""Check that training on this machine's GPU gives the CPU's numbers, and measure how fast it is.

Takes at most 8 minutes, prints a table and writes a JSON. Ends with status 0 if all comparisons pass, 1 if one fails,
and 69 where there is no GPU. Without the environment of `make env`: PYTHONPATH=workflow_scripts python bench/gpu_check.py
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, get_args
from unittest import mock

import numpy as np
import torch

from bench_training import WORKFLOW_ENVIRONMENT, baseline_network, bench_cell, cell_settings, receive
from gpu_bounds import BOUNDS, Comparison, compare_curves
from gpu_table1 import as_prepared, profile_epoch, train_table1
from peak import peak_flops, training_flops
from rethinking import registry
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings, Precision
from rethinking.config.theory import SolverConfig
from rethinking.corruption.loading import CorruptedData
from rethinking.run import scripts
from rethinking.run.files import UserError, load_array, write_json
from rethinking.run.scripts import log
from rethinking.theory.features import Features
from rethinking.theory.linear_models import fit
from rethinking.training.batches import to_inputs
from rethinking.training.loop import TrainedCell, evaluate, train_cell
from rethinking.training.steps import CapturedStep, set_precision

ROOT = Path(__file__).parents[1]
CPU = torch.device("cpu")
PRECISIONS = get_args(Precision)
GPU_TESTS = ("tests/unit/test_training.py", "tests/unit/test_capture.py", "tests/unit/test_gpu_slots.py")
# Networks that are compared; one has all regularisers, whose draws and pictures are then compared too.
REGULARISERS = {"alexnet": "crop+augment+wd"}
SIDE_BY_SIDE = ("mlp_1x512", "alexnet", "inception")  # the smallest, a middle one and the largest
LINE = "{:<15}  {:<9}  {:<22}  {:>11}  {:>8}  {:>10}  {:>13}  {}"


def main() -> None:
    """Read the command line, take the steps, print the table and write the JSON; or be one of several processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu tries the script out")
    parser.add_argument("--models", nargs="+", choices=registry.names("model"), default=None)
    parser.add_argument(
        "--data", type=Path, help="CIFAR-10's archive, or its prepared folder; else made-up images"
    )
    parser.add_argument(
        "--quick", action="store_true", help="few images and little time, to try the script out"
    )
    parser.add_argument("--all", action="store_true", help="then train table 1 and profile an epoch")
    parser.add_argument("--steps", nargs="+", choices=(*STEPS, *MORE), help="these alone")
    parser.add_argument("--epochs", type=int, help="of table 1, if not config.yaml's")
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="bfloat16", help="of table 1 and the profile"
    )
    parser.add_argument("--side-by-side", type=int, default=8, help="networks of table 1 at a time")
    parser.add_argument("--minutes", type=float, default=10, help="for table 1; a second run continues it")
    parser.add_argument("--output", type=Path, default=ROOT / "results/gpu_check", help="folder")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.device == "cuda" and not torch.cuda.is_available():
        print("gpu-check: torch sees no GPU here, so nothing was checked", file=sys.stderr)
        sys.exit(os.EX_UNAVAILABLE)
    args.models = args.models or list(registry.names("model"))
    check = Check(args)
    if args.worker:
        work(check)
        return
    check.run(args.steps or [*STEPS, *(MORE if args.all else ())])


class Check:
    """What is checked, on which device and images, and what was found."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.device, self.quick = args, torch.device(args.device), args.quick
        self.rows: list[dict[str, Any]] = []  # of the table: network, precision, way and what was measured
        self.comparisons: list[Comparison] = []
        self.facts: dict[str, Any] = {}
        self.seconds: dict[str, float] = {}  # that each step took
        self.until = float("inf")
        self.scratch = Path(".")

    def run(self, steps: list[str]) -> None:
        """Take the steps, each with its own time, and end with status 1 if a comparison fails."""
        found = hardware(self.device)
        log(", ".join(f"{name} {value}" for name, value in found.items() if value))
        with tempfile.TemporaryDirectory() as folder:
            self.scratch = Path(folder)
            for name in steps:
                function, limit = (STEPS | MORE)[name]
                started = time.monotonic()
                self.until = started + (limit or 60 * self.args.minutes)
                log(f"{name} ...")
                try:
                    function(self)
                except Exception as error:  # the other steps are worth having
                    if self.quick:
                        raise
                    what = f"{name}: {type(error).__name__}: {error}".splitlines()[0]
                    self.comparisons.append(Comparison(what, float("nan"), 0))
                self.seconds[name] = round(time.monotonic() - started, 1)
                log(f"{name}: {self.seconds[name]:.0f} s")
        failed = [each for each in self.comparisons if not each.passed]
        print_table(self.rows)
        for name, value in self.facts.items():
            print(f"{name}: {value}")
        for each in failed:
            print(f"FAILED {each.name}: {each.difference:.2g}, at most {each.bound:g} passes")
        result = {
            "hardware": found,
            "images": "made up" if self.args.data is None else "of --data",
            "quick": self.quick,
            "rows": self.rows,
            "facts": self.facts,
            "comparisons": [finite(vars(each)) | {"passed": each.passed} for each in self.comparisons],
            "failed": [each.name for each in failed],
            "seconds": self.seconds,
        }
        write_json(self.args.output / "gpu_check.json", result)
        passed = len(self.comparisons) - len(failed)
        print(
            f"{passed} of {len(self.comparisons)} comparisons pass; wrote {self.args.output / 'gpu_check.json'}"
        )
        sys.exit(bool(failed))

    def time_is_left(self, what: str) -> bool:
        """Whether the step's time is not over; if it is, say what is left out."""
        if time.monotonic() < self.until:
            return True
        log(f"  no time for {what}")
        return False

    def data(self, train: int, test: int) -> CorruptedData:
        """Training and test images: CIFAR-10's first ones if they are there, else made-up ones."""
        if self.args.data is None:
            return made_up_images(train, test)
        prepared = as_prepared(self.args.data, self.args.output / "prepared")
        arrays = {
            (split, what): np.array(load_array(prepared / f"{split}_{what}.npy")[:count])
            for split, count in (("train", train), ("test", test))
            for what in ("images", "labels")
        }
        labels, test_labels = arrays["train", "labels"], arrays["test", "labels"]
        return CorruptedData(
            arrays["train", "images"], labels, labels, arrays["test", "images"], test_labels, test_labels, 10
        )

    def row(self, model: str, precision: str, way: str) -> dict[str, Any]:
        """The table's row of a network, precision and way to train; a new one if there is none."""
        key = {"model": model, "precision": precision, "way": way}
        for row in self.rows:
            if key.items() <= row.items():
                return row
        self.rows.append(key)
        return key

    def ways(self) -> list[str]:
        """How a step is computed here."""
        return ["captured", "eager"] if self.device.type == "cuda" else ["eager"]


def made_up_images(train: int, test: int) -> CorruptedData:
    """Images (n, 3, 32, 32) of ten patterns under noise, three in ten with a random label: learnt soon, fitted late."""
    rng = np.random.default_rng(0)
    patterns = rng.uniform(64, 192, (10, 3, 8, 8)).repeat(4, 2).repeat(4, 3).astype(np.float32)
    found = []
    for count in (train, test):
        shown = rng.integers(10, size=count)
        images = patterns[shown] + 48 * rng.standard_normal((count, 3, 32, 32), np.float32)
        labels = np.where(rng.random(count) < 0.3, rng.integers(10, size=count), shown)
        found += [np.clip(images, 0, 255).astype(np.uint8), labels]
    images, labels, test_images, test_labels = found
    return CorruptedData(images, labels, labels, test_images, test_labels, test_labels, 10)


def hardware(device: torch.device) -> dict[str, Any]:
    """Device, driver and versions."""
    on_gpu = device.type == "cuda"
    driver = None
    if on_gpu:
        ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
        with suppress(OSError, subprocess.CalledProcessError):
            driver = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    return {
        "device": torch.cuda.get_device_name(device)
        if on_gpu
        else f"cpu ({platform.processor() or platform.machine()})",
        "memory_gib": round(torch.cuda.get_device_properties(device).total_memory / 2**30, 1)
        if on_gpu
        else None,
        "driver": driver,
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if on_gpu else None,
        "cudnn": torch.backends.cudnn.version() if on_gpu else None,
    }


# ---- the steps


def run_tests(check: Check) -> None:
    """The tests that need a GPU, in a process of their own."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", *GPU_TESTS]
    done = subprocess.run(
        command, cwd=ROOT, text=True, capture_output=True, timeout=check.until - time.monotonic()
    )
    lines = done.stdout.strip().splitlines() or ["no output"]
    check.facts["GPU tests"] = lines[-1]
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            log(f"  {line}")
    check.comparisons.append(Comparison(f"GPU tests ({lines[-1]})", done.returncode, 0))


def compare_training(check: Check) -> None:
    """A few epochs of each network in each precision, captured and eager, against float32 on the CPU."""
    data = check.data(*(100, 50) if check.quick else (200, 100))
    for model in check.args.models:
        cell, settings = compared_cell(model)
        expected = train_cell(cell, settings, data, CPU, log=quiet).curve
        for precision in PRECISIONS:
            for way in check.ways():
                name = f"{model} in {precision}, {way}"
                row = check.row(model, precision, way)
                if not check.time_is_left(name):
                    check.comparisons.append(Comparison(f"{name}: no time", float("nan"), 0))
                    continue
                with computed(way):
                    trained = train_cell(
                        cell, changed(settings, precision=precision), data, check.device, log=quiet
                    )
                found = list(compare_curves(name, trained.curve, expected, BOUNDS[precision]))
                check.comparisons += found
                row["passed"] = all(each.passed for each in found)
                row["differences"] = [finite(vars(each)) for each in found]


def measure_speed(check: Check) -> None:
    """Images per second in training and evaluation, share of the peak, time to the first step; and the upload."""
    n, tested = (512, 256) if check.quick else (25_600, 10_000)
    data, peaks = check.data(n, tested), {}
    started = time.perf_counter()
    inputs = to_inputs(data.train_images, 28, check.device)
    synchronise(check.device)
    seconds = time.perf_counter() - started
    check.facts["upload"] = f"{n} images cropped and whitened on the device in {seconds:.3f} s"
    del inputs
    short = changed_data(data, test=100)
    for way in check.ways():
        for precision in reversed(PRECISIONS):
            for model in check.args.models:
                if not check.time_is_left(f"the speed of {model} in {precision}, {way}"):
                    continue
                settings = changed(cell_settings(model, precision), epochs=2 if check.quick else 4)
                row = check.row(model, precision, way)
                with computed(way):
                    row |= timed(bench_cell(model), settings, short, check.device)
                if precision not in peaks:
                    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
                    peaks[precision] = peak_flops(check.device, dtype)
                flops = training_flops(*baseline_network(model, settings))
                row["peak_share"] = row["images_per_second"] * flops / peaks[precision]
                network = row.pop("trained").model
                dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
                inputs = to_inputs(data.test_images, 28, check.device, dtype)
                for _ in range(2):  # the first time, libraries choose their algorithms
                    started = time.perf_counter()
                    evaluate(network, inputs, data.test_labels, settings)
                    row["evaluated_per_second"] = tested / (time.perf_counter() - started)
    check.facts["peak, 10^12 operations per second"] = {k: round(v / 1e12, 1) for k, v in peaks.items()}


def measure_side_by_side(check: Check) -> None:
    """Networks that train on one GPU at the same time, as whole processes, in bfloat16."""
    counts = (1, 2) if check.quick else (1, 2, 4, 8)
    models = [model for model in SIDE_BY_SIDE if model in check.args.models]
    options = [f"--device={check.device.type}", "--worker", *(["--quick"] if check.quick else [])]
    environment = os.environ | WORKFLOW_ENVIRONMENT | {"OMP_NUM_THREADS": "1"}
    with ExitStack() as running:
        processes = []
        for _ in range(max(counts)):
            process = subprocess.Popen(
                [sys.executable, __file__, *options],
                env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            running.enter_context(process)  # at the end waits for the process
            running.callback(process.kill)  # comes before that
            processes.append(process)
        for process in processes:
            receive(process)
        for model in models:
            alone = together(
                processes[:1], model, 2
            )  # libraries choose their algorithms, and how long an epoch takes
            for count in counts:
                way = f"{count} side by side"
                if not check.time_is_left(f"{model}, {way}"):
                    break
                epochs = 2 if check.quick else min(max(round(2 * alone / 25_600), 3), 200)
                rate = together(processes[:count], model, epochs)
                check.row(model, "bfloat16", way)["images_per_second"] = rate


def compare_fit(check: Check) -> None:
    """An exact fit in float64, as in section 5, against the same on the CPU."""
    n, m = (200, 100) if check.quick else (4000, 1000)
    data = check.data(n, m)
    train, test = (
        Features([images.reshape(len(images), -1)]) for images in (data.train_images, data.test_images)
    )
    solver = SolverConfig(precision="float64", tile=n // 2, residual=1e-10, iterations=100)
    found = {}
    for device in (CPU, check.device):
        started = time.perf_counter()
        facts, outputs = fit(
            train, test, data.train_labels, data.test_labels, 10, 0.02, 0.0, solver,
            check.scratch / f"fit_{len(found)}", device, quiet,
        )  # fmt: skip
        found[len(found)] = facts, outputs, time.perf_counter() - started
    (expected, outputs, seconds), (facts, ours, our_seconds) = found.values()
    check.facts["exact fit"] = f"{n} images, CPU {seconds:.2f} s, {check.device.type} {our_seconds:.2f} s"
    # 16 digits, of which the condition of the kernel matrix (below 10^4 for such images) and the sums take some.
    norm = abs(facts["norm"] / expected["norm"] - 1)
    check.comparisons += [
        Comparison("exact fit in float64: norm, relative", norm, 1e-8),
        Comparison("exact fit in float64: outputs on test images", float((ours - outputs).abs().max()), 1e-8),
        Comparison("exact fit in float64: error on training images, percent", facts["train_error"], 0),
    ]


def table1(check: Check) -> None:
    """Table 1 through the trainer, several networks on the GPU at a time."""
    args = check.args
    prepared = as_prepared(
        args.data, args.output / "prepared", made_up_images(*(300, 100) if check.quick else (50_000, 10_000))
    )
    rows = train_table1(
        prepared,
        args.output,
        check.device,
        args.models,
        args.precision,
        args.epochs,
        args.side_by_side,
        check.until,
    )
    unfinished = sum(row["status"] != "finished" for row in rows)
    check.facts["table 1"] = f"{len(rows)} networks in {args.precision}, {unfinished} of them unfinished"
    check.rows += rows
    check.comparisons.append(Comparison("table 1: networks that did not finish", unfinished, 0))


def profile(check: Check) -> None:
    """Where the time of an Inception epoch goes."""
    model = "inception" if "inception" in check.args.models else check.args.models[0]
    n = 256 if check.quick else 12_800
    settings = changed(cell_settings(model, check.args.precision), epochs=2)
    text = profile_epoch(bench_cell(model), settings, check.data(n, 100), check.device)
    path = check.args.output / "profile.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    print(text)
    check.facts["profile"] = str(path)


# Each step and its seconds, at most 8 minutes together.
STEPS = {
    "tests": (run_tests, 120),
    "training": (compare_training, 120),
    "speed": (measure_speed, 110),
    "side by side": (measure_side_by_side, 90),
    "exact fit": (compare_fit, 40),
}
MORE = {"table 1": (table1, None), "profile": (profile, 60)}


# ---- what they share


def compared_cell(model: str) -> tuple[Cell, CellSettings]:
    """A cell to compare, and its settings in float32.

    Two epochs of three full batches and one smaller, which is never captured. The rate is halved after the first, so
    that a step that keeps the old one shows.
    """
    cell = Cell.parse(f"cifar10/true_labels/{model}/{REGULARISERS.get(model, 'none')}/seed0")
    small = {"epochs": 2, "batch_size": 64, "learning_rate": 0.01, "learning_rate_decay": 0.5}
    return cell, changed(cell_settings(model, "float32"), **small)


def changed(settings: CellSettings, **values: Any) -> CellSettings:
    """Settings with other values."""
    return CellSettings(**settings.model_dump() | values)


def changed_data(data: CorruptedData, test: int) -> CorruptedData:
    """The same training images with fewer test images, whose evaluation would count in no rate."""
    labels = data.test_labels[:test]
    return CorruptedData(
        data.train_images,
        data.train_labels,
        data.train_labels_true,
        data.test_images[:test],
        labels,
        labels,
        10,
    )


@contextmanager
def computed(way: str) -> Iterator[None]:
    """Training steps are captured, or computed operation by operation."""
    if way == "captured":
        yield
        return
    with mock.patch.object(CapturedStep, "__call__", lambda self, *batch: self.step(*batch)):
        yield


def synchronise(device: torch.device) -> None:
    """Wait until the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(cell: Cell, settings: CellSettings, data: CorruptedData, device: torch.device) -> dict[str, Any]:
    """Train; seconds to the end of the first step, the median rate of the epochs after the first, and the trained cell."""
    started, first, rates = time.perf_counter(), [], []

    def note(line: str) -> None:
        if line == "first step done":
            synchronise(device)
            first.append(time.perf_counter() - started)
        elif " images/s " in line:
            rates.append(float(line.split(" images/s ")[0].split()[-1]))

    trained: TrainedCell = train_cell(cell, settings, data, device, log=note)
    if trained.diverged_at:
        raise UserError(f"{cell} diverged; speeds of numbers that are not finite mean nothing")
    return {
        "first_step_seconds": first[0],
        "images_per_second": statistics.median(rates[1:] or rates),
        "trained": trained,
    }


def together(processes: list[subprocess.Popen], model: str, epochs: int) -> float:
    """Let processes train at the same time; the sum of their rates, images per second."""
    for process in processes:
        process.stdin.write(f"{model} {epochs}\n")
        process.stdin.flush()
    return sum(receive(process)["images_per_second"] for process in processes)


def work(check: Check) -> None:
    """Answer each network and number of epochs on stdin with the training speed."""
    torch.set_num_threads(1)
    data = check.data(512 if check.quick else 25_600, 100)
    set_precision("bfloat16", check.device)
    synchronise(check.device)  # starts CUDA
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        model, epochs = line.split()
        settings = changed(cell_settings(model, "bfloat16"), epochs=int(epochs))
        found = timed(bench_cell(model), settings, data, check.device)
        print(json.dumps({"images_per_second": found["images_per_second"]}), flush=True)


def print_table(rows: list[dict[str, Any]]) -> None:
    """One line per network, precision and way."""
    head = ("network", "precision", "way", "images/s", "of peak", "first step", "evaluation/s", "numbers")
    print("\n" + LINE.format(*head))
    for row in rows:
        shown = {
            "images_per_second": "{:,.0f}",
            "peak_share": "{:.1%}",
            "first_step_seconds": "{:.2f} s",
            "evaluated_per_second": "{:,.0f}",
        }
        cells = [form.format(row[key]) if key in row else "" for key, form in shown.items()]
        verdict = row.get("status") or {True: "as on the CPU", False: "FAILED", None: ""}[row.get("passed")]
        print(LINE.format(row["model"], row["precision"], row["way"], *cells, verdict))
    print()


def finite(values: dict[str, Any]) -> dict[str, Any]:
    """The same with None for numbers that JSON does not have."""
    return {k: v if not isinstance(v, float) or np.isfinite(v) else None for k, v in values.items()}


def quiet(line: str) -> None:
    """Drop a line of progress."""


if __name__ == "__main__":
    scripts.run(main)
