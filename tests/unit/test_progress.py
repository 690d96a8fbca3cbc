"""The content of the status line, and that it does not disturb other output on a real terminal."""

import io
import os
import pty
import select
import termios
import threading
import time

import pytest

from rethinking.run import progress
from rethinking.run import running as running_module
from rethinking.run.checkpoint import Checkpoint
from rethinking.run.files import UserError, read_json, write_json
from rethinking.run.identity import Identity
from rethinking.run.locks import locked
from rethinking.run.progress import State, StatusLine, Training, seconds_left, status_line
from rethinking.run.running import Running, RunningFile, lock_file, read_running, running_file
from rethinking.training.loop import train_cell

from ..terminal import screen
from .tiny import CPU, SETTINGS, make_cell

IDENTITY = Identity({})
MLP = "cells/digits/true_labels/mlp_1x512/none/seed0"
WD = "cells/digits/true_labels/mlp_1x512/wd/seed0"
INCEPTION = "ablations/no_crop/cells/digits/random_labels/inception/none/seed1"


def checkpoint_of(folder, cell):
    return folder / "checkpoints" / f"{cell.replace('cells/', '', 1)}.safetensors"


def watched(folder, *cells):
    return Training(folder, {cell: checkpoint_of(folder, cell) for cell in cells})


def write_running(folder, cell, **values):
    write_json(running_file(checkpoint_of(folder, cell)), values)


def write_summary(folder, cell, seconds):
    write_json(folder / cell / "summary.json", {"wall_seconds": seconds})


def state_of(finished=(), running=(), failed=(), waiting=()):
    return State(dict(finished), dict(running), list(failed), list(waiting))


def test_training_says_how_far_it_is_and_nothing_is_left_of_it(data, tmp_path, monkeypatch):
    monkeypatch.setattr(running_module, "WRITE_SECONDS", 0)
    checkpoint = Checkpoint(tmp_path / "cell.safetensors", IDENTITY, 1e9, log=lambda line: None)
    seen = []
    asked = checkpoint.asked
    checkpoint.asked = lambda: seen.append(read_running(checkpoint.path)) or asked()
    with checkpoint.alone():
        assert str(read_running(checkpoint.path)) == "starting"
        train_cell(make_cell(), SETTINGS, data, CPU, checkpoint, log=lambda line: None)
    assert read_running(checkpoint.path) is None
    assert [(one.epoch, one.epochs) for one in seen[:3]] == [(1, SETTINGS.epochs)] * 3  # three steps an epoch
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    assert (seen[0].done, seen[-1].done) == (pytest.approx(1 / 12), 1)
    assert seen[5].images_per_second > 0
    assert seen[5].seconds_left > 0
    assert list(tmp_path.glob(".*")) == []


def test_the_file_is_not_written_at_each_step(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    file = RunningFile(tmp_path / "a.safetensors", "")
    with file:
        for now[0], epoch in ((1.9, 1), (2.0, 2), (3.9, 3)):
            file.update(epoch, 10, epoch / 10, 100)
        assert read_json(file.path)["epoch"] == 2


@pytest.mark.parametrize(
    ("error", "left"),
    [(UserError("no"), "UserError: no"), (SystemExit(75), None), (KeyboardInterrupt(), None)],
)
def test_file_of_a_failed_cell_alone_stays(tmp_path, error, left):
    with pytest.raises(type(error)), Checkpoint(tmp_path / "a.safetensors", IDENTITY).alone():
        raise error
    found = read_running(tmp_path / "a.safetensors")
    assert (found and found.failed) == left
    assert not found or found.identity == IDENTITY.digest


def test_training_does_not_end_because_its_file_cannot_be_written(tmp_path):
    with RunningFile(tmp_path / "missing" / "a.safetensors", "") as _:
        pass


def test_each_cell_of_a_run_is_finished_running_failed_or_waiting(tmp_path):
    cells = [f"cells/digits/true_labels/mlp_1x512/none/seed{seed}" for seed in range(6)]
    # From earlier runs: one is trained again, one had failed.
    write_summary(tmp_path, cells[0], 10)
    write_running(tmp_path, cells[1], failed="no")
    run = watched(tmp_path, *cells)
    assert run.state() == state_of(waiting=cells)

    write_summary(tmp_path, cells[2], 20)
    write_running(tmp_path, cells[3], epoch=34, epochs=100, done=0.335)
    at_work = locked(lock_file(checkpoint_of(tmp_path, cells[3])))
    # The clock of the machine that trains is an hour slow.
    hour_ago = time.time() - 3600
    os.utime(running_file(checkpoint_of(tmp_path, cells[3])), (hour_ago, hour_ago))
    write_running(tmp_path, cells[4], failed="ValueError: no")
    write_running(tmp_path, cells[5], epoch=34, epochs=100)  # and was killed
    locked(lock_file(checkpoint_of(tmp_path, cells[5]))).close()
    assert run.state() == state_of(
        {cells[2]: 20}, {cells[3]: Running(34, 100, 0.335)}, [cells[4]], [cells[0], cells[1], cells[5]]
    )

    (tmp_path / cells[0] / "summary.json").write_text("")  # which is being written
    assert cells[0] in run.state().waiting
    write_summary(tmp_path, cells[0], 30)
    os.utime(tmp_path / cells[0] / "summary.json", (hour_ago, hour_ago))
    assert run.state().finished == {cells[0]: 30, cells[2]: 20}
    at_work.close()
    assert cells[3] in run.state().waiting


def test_time_left_is_that_of_like_cells_at_as_many_at_a_time_as_run_now():
    assert seconds_left(state_of(waiting=[MLP])) is None
    finished = {MLP: 100.0, WD: 300.0, INCEPTION: 5000.0}
    waiting = ["cells/digits/gaussian/mlp_1x512/none/seed0"] * 4
    assert seconds_left(state_of(finished, waiting=waiting)) == 4 * 200
    two = {MLP: Running(), WD: Running(50, 100, 0.5, 10, 250)}
    # 4 x 300 + 300 + 250, all cells taking 100, 300 or 250 / (1 - 0.5).
    assert seconds_left(state_of(finished, two, waiting=waiting)) == pytest.approx(1750 / 2)
    # One that runs for long decides; the time of an unknown model is taken from the others.
    assert seconds_left(state_of(finished, {INCEPTION: Running(1, 100, 0.01, 10, 9000), **two})) == 9000
    assert seconds_left(state_of({MLP: 100.0}, waiting=[INCEPTION])) == 100


def test_a_cell_in_its_last_step_tells_no_time():
    assert seconds_left(state_of(running={MLP: Running(100, 100, 1.0, 10, 0)}, waiting=[WD])) is None


def test_line_says_the_most_important_first_and_fits():
    state = state_of({WD: 60}, {MLP: Running(34, 100, 0.34, 36123, 210), INCEPTION: Running()})
    line = status_line(state, 200)
    assert line == (
        "1 of 3 cells done | about 4 min left | 36123 images/s | epoch 34/100, 4 min left: true_labels/mlp_1x512/none/seed0"
        " | starting: ablations/no_crop/random_labels/inception/none/seed1"
    )
    assert status_line(state, len(line)) == line
    assert status_line(state, 30) == f"{line[:29]}…"
    assert status_line(state, 0) == "…"
    assert status_line(state_of(failed=[MLP], waiting=[WD]), 200) == "0 of 2 cells done | 1 failed"
    both = state_of(running={MLP: Running(), MLP.replace("digits", "mnist"): Running()})
    assert [f": {name}/true_labels/" in status_line(both, 200) for name in ("digits", "mnist")] == [True, True]
    assert status_line(state_of({MLP: 1}), 200) == "1 of 1 cells done"


@pytest.fixture
def terminal():
    """A stream on a real terminal, and a function that reads what arrives at its other end until a text does."""
    controller, device = pty.openpty()

    def received(last):
        output = b""
        while last.encode() not in output:
            if not select.select([controller], [], [], 10)[0]:
                pytest.fail(f"no '{last}' in {output}")
            output += os.read(controller, 1 << 16)
        return output.decode()

    with open(device, "w") as stream:
        yield stream, received
    os.close(controller)


def test_lines_of_others_stay_whole(terminal, tmp_path):
    stream, received = terminal
    line = StatusLine(watched(tmp_path, MLP, WD), stream)
    line.stopped.wait = lambda _seconds: True
    line.run()

    line.draw()
    line.draw()
    assert stream.write("short\n") == 6
    line.draw()
    # As Snakemake does, a message in parts, and the line is due between them.
    stream.write("a message")
    line.draw()
    stream.write("\n")
    write_summary(tmp_path, MLP, 10)
    line.draw()
    output = received("1 of 2 cells done")
    assert screen(output)[:2] == ["short", "a message"]
    assert screen(output)[2].startswith("1 of 2 cells done")
    line.stop()
    line.draw()  # as its thread may, which has not yet noticed
    stream.write("last\n")
    stream.flush()
    assert screen(output + received("last\r\n")) == ["short", "a message", "last", ""]


def test_slow_looks_at_the_cells_are_rare(tmp_path, monkeypatch):
    line = StatusLine(watched(tmp_path, MLP), io.StringIO())
    clock, pauses = [0.0], []

    def wait(seconds):
        pauses.append(seconds)
        return len(pauses) > 3

    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(line.stopped, "wait", wait)
    looks = iter([0.01, 3.0, 0.01])
    monkeypatch.setattr(line, "draw", lambda: clock.__setitem__(0, clock[0] + next(looks)))
    line.run()
    short = progress.UPDATE_SECONDS
    assert pauses == [short, short, pytest.approx(60), short]


def test_line_fits_the_terminal(terminal, tmp_path):
    stream, received = terminal
    termios.tcsetwinsize(stream, (24, 12))
    StatusLine(watched(tmp_path, MLP), stream).draw()
    assert screen(received("…")) == ["0 of 1 cel…"]


def test_nothing_where_there_is_no_terminal_or_no_cell(terminal, tmp_path, monkeypatch):
    threads = threading.active_count()
    stream, _ = terminal
    file = io.StringIO()
    for other in (file, None):  # Python has none where it was closed
        monkeypatch.setattr("sys.stderr", other)
        progress.show_progress(tmp_path, {MLP: "checkpoint"})
    monkeypatch.setattr("sys.stderr", stream)
    progress.show_progress(tmp_path, {})
    monkeypatch.setenv("TERM", "dumb")
    progress.show_progress(tmp_path, {MLP: "checkpoint"})
    monkeypatch.delenv("TERM")
    progress.show_progress(tmp_path, {MLP: "checkpoint"})
    assert threading.active_count() == threads
    assert file.getvalue() == ""
