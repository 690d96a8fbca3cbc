"""Two checkouts with one data folder and one cache: neither touches what the other reads, whatever the clocks say."""

import fcntl
import os
import time

import psutil
import pytest

from ..waiting import wait_for
from .conftest import TINY, Workflow

NAME = "digits/random_labels/mlp_1x512/none/seed0"
CELL = f"results/cells/{NAME}/summary.json"


@pytest.fixture(scope="module")
def checkouts(tmp_path_factory):
    """Two checkouts; the first one has made the data, and its clock is a day ahead."""
    folder = tmp_path_factory.mktemp("checkouts")
    config = TINY | {"data_dir": str(folder / "data"), "cache_dir": str(folder / "a cache")}
    found = []
    for name in ("first", "second"):
        (folder / name).mkdir()
        found.append(Workflow(folder / name, config))
    found[0].succeed(CELL, "--until", "corrupt_labels")
    for path in (folder / "data").rglob("*"):
        os.utime(path, (time.time() + 24 * 3600,) * 2)
    return found


def files(checkout):
    """What an interference would change."""
    paths = [path for path in (checkout.folder.parent / "data").rglob("*") if path.is_file()]
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths if path.suffix != ".lock"}


def tokens(checkout):
    return [
        str(path.relative_to(checkout.folder))
        for path in (checkout.folder / "results/.data").rglob("*")
        if path.is_file()
    ]


def test_data_that_another_checkout_made_meanwhile(checkouts):
    """Jobs that were planned before find them and finish."""
    first, second = checkouts
    before = files(first)
    assert second.plan(*tokens(first)) == {"corrupt_labels": 1, "prepare_dataset": 1, "total": 2}
    second.succeed(*tokens(first))
    assert files(first) == before
    assert "is already made" in next((second.folder / "results/logs/prepared").rglob("*.log")).read_text()


def test_stopped_while_another_checkout_is_at_work(checkouts):
    """Snakemake deletes the outputs of failed jobs."""
    first, second = checkouts
    before = files(first)
    (prepared,) = (first.folder.parent / "data/prepared/digits").glob("[!.]*")
    with open(prepared.with_name(f".{prepared.name}.lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = second.start(*tokens(first), "--forcerun", "prepare_dataset")
        logs = second.folder / "results/logs/prepared"
        wait_for(lambda: any("waiting for it" in log.read_text() for log in logs.rglob("*.log")), run)
        # As Ctrl-C does on a terminal; a signal to Snakemake alone waits for its jobs.
        for process in psutil.Process(run.pid).children(recursive=True):
            process.terminate()
        run.communicate(timeout=120)
    assert run.returncode != 0
    assert files(first) == before


def test_a_cell_from_data_of_the_future_is_trained_once_for_both(checkouts):
    """Snakemake would delete the network as older than what it was trained from."""
    first, second = checkouts
    for checkout in (second, first):
        checkout.succeed(CELL)
        assert checkout.plan(CELL) == {}
    log = (first.folder / f"results/logs/cells/{NAME}.log").read_text()
    assert "taken from" in log
    assert "first step" not in log
    for name in ("summary.json", "weights.safetensors"):
        made, taken = (checkout.folder / f"results/cells/{NAME}" / name for checkout in (second, first))
        assert made.read_bytes() == taken.read_bytes()


@pytest.mark.parametrize(
    ("force", "trains"),
    [(("--forcerun", "train_cell"), True), (("--forceall",), True), ((CELL, "-f"), True), ((), False)],
)
def test_what_the_user_forces_is_trained_again_also_where_the_cache_has_it(checkouts, force, trains):
    """A network that is stale here is taken from there."""
    first, second = checkouts
    for checkout in (first, second):
        checkout.succeed(CELL)
    record = first.folder / f"results/cells/{NAME}/.identity/curve.csv.json"
    if not force:
        record.write_text("{}")
    first.succeed(CELL, *force)
    log = (first.folder / f"results/logs/cells/{NAME}.log").read_text()
    assert ("first step" in log, "taken from" in log) == (trains, not trains)
    assert first.plan(CELL) == {}
