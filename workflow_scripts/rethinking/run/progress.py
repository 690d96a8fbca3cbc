"""A status line on the terminal during training: what is done, what is running and how long the rest takes.

It is read from the files that cells write, so it also covers cells on other machines.
"""

import atexit
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import fmean
from typing import TextIO

from rethinking.run.files import UserError, read_json
from rethinking.run.running import Running, read_running, running_file
from rethinking.run.time_left import duration

UPDATE_SECONDS = 2.0
PAUSE_PER_LOOK = 20  # a pause is at least so many times as long as the last look at the cells
CLEAR = "\r\x1b[K"


@dataclass(frozen=True)
class State:
    """The state of a run; each cell is in one of the four."""

    finished: Mapping[str, float]  # seconds that the cell took
    running: Mapping[str, Running]
    failed: Sequence[str]
    waiting: Sequence[str]


class Training:
    """The cells that a run will train, and the files that were there when it started.

    Args:
        results: the folder of all results.
        cells: their folders in it, ``cells/...`` or ``ablations/<name>/cells/...``, each with its checkpoint. A cell
            counts as finished when its summary is new, so a cell that is trained again does not count as done too early.
    """

    def __init__(self, results: str | Path, cells: Mapping[str, str | Path]) -> None:
        self.summaries = {cell: Path(results, cell, "summary.json") for cell in cells}
        self.checkpoints = {cell: Path(checkpoint) for cell, checkpoint in cells.items()}
        watched = [*self.summaries.values(), *map(running_file, self.checkpoints.values())]
        self.before = {path: modified(path) for path in watched}
        self.finished: dict[str, float] = {}

    def state(self) -> State:
        """The current state of the cells."""
        running, failed, waiting = {}, [], []
        for cell in sorted(self.summaries.keys() - self.finished.keys()):
            summary, checkpoint = self.summaries[cell], self.checkpoints[cell]
            found = read_running(checkpoint) if self.is_new(running_file(checkpoint)) else None
            if self.is_new(summary):
                try:
                    self.finished[cell] = read_json(summary)["wall_seconds"]
                except UserError:  # Snakemake has just removed it
                    waiting.append(cell)
            elif found is None:
                waiting.append(cell)
            elif found.failed:
                failed.append(cell)
            else:
                running[cell] = found
        return State(dict(self.finished), running, failed, waiting)

    def is_new(self, path: Path) -> bool:
        """Whether a file was written since the run began, by its file system's own clock."""
        return modified(path) not in (None, self.before[path])


def modified(path: Path) -> int | None:
    """Time of the last change in nanoseconds, None where there is no file."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def seconds_left(state: State) -> float | None:
    """Estimated time until all cells are trained, with as many at a time as are running now; None if it is unknown.

    A cell is assumed to take as long as those of its data set and model, if any of them has started training, else as
    long as the others.
    """
    measured: dict[tuple[str, str], list[float]] = defaultdict(list)
    for cell, seconds in state.finished.items():
        measured[kind(cell)].append(seconds)
    for cell, one in state.running.items():
        if one.seconds_left:
            measured[kind(cell)].append(one.seconds_left / (1 - one.done))
    if not measured:
        return None
    means = {alike: fmean(some) for alike, some in measured.items()}
    overall = fmean(chain(*measured.values()))

    def expected(cell: str) -> float:
        return means.get(kind(cell), overall)

    running = [expected(cell) if one.seconds_left is None else one.seconds_left for cell, one in state.running.items()]
    in_total = sum(running) + sum(map(expected, state.waiting))
    return max([in_total / max(1, len(running)), *running])


def kind(cell: str) -> tuple[str, str]:
    """Data set and model, which largely determine how long a cell takes."""
    dataset, _corruption, model = cell.split("/")[-5:-2]
    return dataset, model


def status_line(state: State, width: int) -> str:
    """The state in words, the most important first, cut to ``width`` characters.

    A data set that all cells share is left out of their names.
    """
    cells = [*state.finished, *state.running, *state.failed, *state.waiting]
    datasets = {kind(cell)[0] for cell in cells}
    shared = f"cells/{datasets.pop()}/" if len(datasets) == 1 else "cells/"
    parts = [f"{len(state.finished)} of {len(cells)} cells done"]
    if state.failed:
        parts.append(f"{len(state.failed)} failed")
    if (state.running or state.waiting) and (left := seconds_left(state)) is not None:
        parts.append(f"about {duration(left)} left")
    if speed := sum(one.images_per_second for one in state.running.values()):
        parts.append(f"{speed} images/s")
    parts += [f"{one}: {cell.replace(shared, '', 1)}" for cell, one in state.running.items()]
    line = " | ".join(parts)
    return line if len(line) <= width else line[: max(0, width - 1)] + "…"


class StatusLine(threading.Thread):
    """Rewrites the status line in place, and clears it whenever something else is written to the stream."""

    def __init__(self, training: Training, stream: TextIO) -> None:
        super().__init__(daemon=True)
        self.training, self.stream, self.write = training, stream, stream.write
        self.lock = threading.RLock()
        self.shown = False
        self.at_line_start = True
        self.stopped = threading.Event()

    def run(self) -> None:
        """Show the line until :meth:`stop`."""
        self.stream.write = self.write_beside
        pause = UPDATE_SECONDS
        while not self.stopped.wait(pause):
            began = time.monotonic()
            self.draw()
            # Thousands of cells on a slow file server take seconds to look at, which jobs must not wait for.
            pause = max(UPDATE_SECONDS, PAUSE_PER_LOOK * (time.monotonic() - began))

    def draw(self) -> None:
        """Show the current line, unless another line is being written."""
        width = os.get_terminal_size(self.stream.fileno()).columns or 80
        line = status_line(self.training.state(), width - 1)
        with self.lock:
            if self.at_line_start and not self.stopped.is_set():
                self.write(CLEAR + line)
                self.stream.flush()
                self.shown = True

    def write_beside(self, text: str) -> int:
        """Write other text in place of the status line."""
        with self.lock:
            self.clear()
            self.at_line_start = text.endswith("\n")
            return self.write(text)

    def clear(self) -> None:
        """Remove the line from the terminal."""
        if self.shown:
            self.write(CLEAR)
            self.shown = False

    def stop(self) -> None:
        """Remove the line and restore the stream."""
        self.stopped.set()
        with self.lock:
            self.clear()
            self.stream.flush()
            self.stream.write = self.write


def show_progress(results: str | Path, cells: Mapping[str, str | Path]) -> None:
    """Show a status line about cells (see :class:`Training`) on standard error until this process ends.

    Does nothing if no cell will be trained, or if standard error is not a terminal that can rewrite a line.
    """
    if cells and sys.stderr and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        line = StatusLine(Training(results, cells), sys.stderr)
        atexit.register(line.stop)
        line.start()
