"""A small file per running cell with its progress, for the status line and ``snakemake status`` on any machine.

It lies beside the checkpoint, is rewritten every few seconds and removed when the cell ends. If the cell fails, the
file stays, with the reason and the digest of the cell's identity, until the next start.
"""

import json
import math
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rethinking.run.locks import is_locked
from rethinking.run.time_left import duration

WRITE_SECONDS = 2.0


@dataclass(frozen=True)
class Running:
    """The content of a cell's file."""

    epoch: int = 0  # current epoch, counted from 1; 0 before the first step
    epochs: int = 0
    done: float = 0.0  # share of the training
    images_per_second: int = 0
    seconds_left: float | None = None
    failed: str | None = None  # why it ended
    identity: str | None = None  # digest of what was to be trained, where it failed; earlier versions wrote none

    def __str__(self) -> str:
        left = "" if self.seconds_left is None else f", {duration(self.seconds_left)} left"
        return f"epoch {self.epoch}/{self.epochs}{left}" if self.epoch else "starting"


def running_file(checkpoint: Path) -> Path:
    """The file of the cell with this checkpoint."""
    return checkpoint.with_suffix(".running.json")


def lock_file(checkpoint: Path) -> Path:
    """What the process that works on the cell with this checkpoint holds locked."""
    return checkpoint.with_suffix(".lock")


def read_running(checkpoint: Path) -> Running | None:
    """The progress of a cell; None if no process is working on it.

    The cell's lock tells: a process that was killed leaves its file, and clocks of other machines say nothing.
    """
    try:
        running = Running(**json.loads(running_file(checkpoint).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return running if running.failed or is_locked(lock_file(checkpoint)) else None


class RunningFile:
    """The file of a cell that this process trains; a context manager.

    Errors in writing are ignored: a cell must not fail because of its status line.

    Args:
        checkpoint: the checkpoint of the cell.
        identity: digest of the cell's identity.
    """

    def __init__(self, checkpoint: Path, identity: str) -> None:
        self.path, self.identity = running_file(checkpoint), identity
        self.first: tuple[float, float] | None = None  # time and share of the training at the first step
        self.written = math.inf  # not written before the context is entered

    def __enter__(self) -> None:
        self.write()

    def __exit__(self, kind: type | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception):
            self.write(failed=f"{kind.__name__}: {error}", identity=self.identity)
        else:  # it is done, or was asked to stop
            with suppress(OSError):
                self.path.unlink(missing_ok=True)

    def update(self, epoch: int, epochs: int, done: float, images: int) -> None:
        """Record the progress; call this often.

        Args:
            epoch: current epoch, counted from 1.
            epochs: of the schedule.
            done: share of the training, 0 to 1.
            images: in all epochs together.
        """
        now = time.monotonic()
        if now - self.written < WRITE_SECONDS:
            return
        self.first = self.first or (now, done)
        began, before = self.first
        speed = (done - before) / (now - began) if done > before else 0.0
        self.write(
            epoch=min(epoch, epochs),
            epochs=epochs,
            done=done,
            images_per_second=round(speed * images),
            seconds_left=(1 - done) / speed if speed else None,
        )

    def write(self, **values: object) -> None:
        """Replace the file atomically, without waiting for the disk."""
        self.written = time.monotonic()
        temporary = self.path.with_name(f".{self.path.name}")
        with suppress(OSError):
            temporary.write_text(json.dumps(values), encoding="utf-8")
            os.replace(temporary, self.path)
