"""What the status line says, and that it does not disturb what else is written to a real terminal."""

import io
import os
import pty
import select
import termios
import threading
import time

import pytest

from rethinking.run import progress
from rethinking.run.files import write_json, write_text
from rethinking.run.progress import Run, Running, State, StatusLine, read_position, seconds_left, status_line
from rethinking.training import loop as training
from rethinking.training.loop import train_cell

from ..terminal import screen
from .tiny import CPU, SETTINGS, make_cell

MLP = "cells/digits/true_labels/mlp_1x512/none/seed0"
WD = "cells/digits/true_labels/mlp_1x512/wd/seed0"
INCEPTION = "ablations/no_crop/cells/digits/random_labels/inception/none/seed1"
EPOCH_LINE = "epoch 34/100 loss 1.2345 train 56.78 % test 45.67 % 3.2 s 36123 images/s left 210 s"


def write_log(folder, cell, *lines):
    write_text(folder / "logs" / f"{cell}.log", "\n".join([f"cell {cell} on cpu with {{}}", *lines, ""]))


def write_summary(folder, cell, seconds):
    write_json(folder / cell / "summary.json", {"wall_seconds": seconds})


def state_of(finished=(), running=(), failed=(), waiting=()):
    return State(dict(finished), list(running), list(failed), list(waiting))


def test_position_is_that_of_the_last_line_about_an_epoch():
    log = (
        f"{EPOCH_LINE}\nepoch 35/100 step 120/480 loss nan 240 images/s left 3600 s\ncheckpoint not written\n"
    )
    assert read_position(MLP, EPOCH_LINE) == Running(MLP, 34, 100, 0.34, 36123, 210)
    assert read_position(MLP, log) == Running(MLP, 35, 100, 34.25 / 100, 240, 3600)
    assert read_position(MLP, "first step done\n") == Running(MLP)


@pytest.mark.parametrize("within_epochs", [False, True])
def test_position_is_read_from_what_training_writes(data, monkeypatch, within_epochs):
    if within_epochs:
        monkeypatch.setattr(training, "LOG_SECONDS", -1)
    lines = []
    train_cell(make_cell(), SETTINGS, data, CPU, log=lines.append)
    steps = [line for line in lines if line.startswith("epoch") and " step " in line]
    assert bool(steps) == within_epochs
    last = read_position(MLP, "\n".join(steps or lines))
    assert (last.epoch, last.epochs) == (SETTINGS.epochs, SETTINGS.epochs)
    assert (0.75 < last.done < 1) if within_epochs else (last.done == 1)
    assert last.images_per_second > 0


def test_each_cell_of_a_run_is_finished_running_failed_or_waiting(tmp_path):
    cells = [f"cells/digits/true_labels/mlp_1x512/none/seed{seed}" for seed in range(6)]
    # From earlier runs: one is trained once more, one had failed.
    write_summary(tmp_path, cells[0], 10)
    write_log(tmp_path, cells[0], EPOCH_LINE, "done in 10 s")
    write_log(tmp_path, cells[1], "error: no")
    run = Run(tmp_path, cells)
    assert run.state() == state_of(waiting=run.state().waiting)
    assert sorted(run.state().waiting) == cells

    write_summary(tmp_path, cells[2], 20)
    write_log(tmp_path, cells[3], EPOCH_LINE)
    write_log(tmp_path, cells[4], EPOCH_LINE, "Traceback (most recent call last):", "  ...", "ValueError: no")
    write_log(tmp_path, cells[5], EPOCH_LINE)
    long_ago = time.time() - 2 * progress.SILENT_SECONDS
    os.utime(tmp_path / "logs" / f"{cells[5]}.log", (long_ago, long_ago))
    state = run.state()
    assert state.finished == {cells[2]: 20}
    assert [one.cell for one in state.running] == [cells[3]]
    assert state.failed == [cells[4]]
    assert sorted(state.waiting) == [cells[0], cells[1], cells[5]]

    write_summary(tmp_path, cells[0], 30)
    assert run.state().finished == {cells[0]: 30, cells[2]: 20}


def test_time_left_is_that_of_like_cells_at_as_many_at_a_time_as_run_now():
    assert seconds_left(state_of(waiting=[MLP])) is None
    finished = {MLP: 100.0, WD: 300.0, INCEPTION: 5000.0}
    waiting = ["cells/digits/gaussian/mlp_1x512/none/seed0"] * 4
    assert seconds_left(state_of(finished, waiting=waiting)) == 4 * 200
    two = [Running(MLP, seconds_left=None), Running(WD, 50, 100, 0.5, 10, 100)]
    # 4 x 200 + 200 + 100, all cells taking 100, 300 or 100 / (1 - 0.5).
    assert seconds_left(state_of(finished, two, waiting=waiting)) == pytest.approx(1100 / 2)
    # One that runs for long decides; of another model nothing is known but what others take.
    assert seconds_left(state_of(finished, [Running(INCEPTION, 1, 100, 0.01, 10, 9000), *two])) == 9000
    assert seconds_left(state_of({MLP: 100.0}, waiting=[INCEPTION])) == 100


def test_line_says_the_most_important_first_and_fits():
    state = state_of({WD: 60}, [Running(MLP, 34, 100, 0.34, 36123, 210), Running(INCEPTION)], [], [])
    line = status_line(state, 200)
    assert line == (
        "1 of 3 cells done | about 4 min left | 36123 images/s | epoch 34/100, 4 min: true_labels/mlp_1x512/none/seed0"
        " | starting: ablations/no_crop/random_labels/inception/none/seed1"
    )
    assert status_line(state, len(line)) == line
    assert status_line(state, 30) == f"{line[:29]}…"
    assert "1 failed" in status_line(state_of(failed=[MLP], waiting=[WD]), 200)
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
    line = StatusLine(Run(tmp_path, [MLP, WD]), stream)
    line.stopped.wait = lambda _seconds: True
    line.run()

    line.draw()
    line.draw()
    stream.write("short\n")
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
    stream.write("last\n")
    stream.flush()
    assert screen(output + received("last\r\n")) == ["short", "a message", "last", ""]


def test_line_fits_the_terminal(terminal, tmp_path):
    stream, received = terminal
    termios.tcsetwinsize(stream, (24, 12))
    StatusLine(Run(tmp_path, [MLP]), stream).draw()
    assert screen(received("…")) == ["0 of 1 cel…"]


def test_nothing_where_there_is_no_terminal_or_no_cell(terminal, tmp_path, monkeypatch):
    threads = threading.active_count()
    stream, _ = terminal
    file = io.StringIO()
    progress.show_progress(tmp_path, [MLP], file)
    progress.show_progress(tmp_path, [], stream)
    monkeypatch.setenv("TERM", "dumb")
    progress.show_progress(tmp_path, [MLP], stream)
    assert threading.active_count() == threads
    assert file.getvalue() == ""
