"""Checkpoints: a cell that is killed resumes where it was and ends with the same numbers.

A checkpoint holds weights and momentum as tensors and the rest of the state as JSON in one
safetensors file, so reading it runs no code. It is written at intervals, completely or not at all,
and records which cell, settings, data and code it belongs to; it is used for no other.
"""

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from rethinking.run.files import UserError, atomic_path, remove_parts
from rethinking.run.identity import Identity, differences
from rethinking.run.refusals import as_os_error
from rethinking.run.running import RunningFile, lock_file
from rethinking.run.shared import alone
from rethinking.run.stop_signals import SIGNALS
from rethinking.training.optimisers import AveragedNetwork, Optimiser


class Interrupted(Exception):
    """A signal asked the cell to stop; its state has been saved in the checkpoint."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)


@dataclass
class Progress:
    """How far a cell is: its state apart from the tensors."""

    epoch: int = 1  # the epoch under way, counted from 1
    step: int = 0  # steps of it that are done
    curve: list[dict[str, float]] = field(default_factory=list)
    memorisation: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0  # spent in total, by all processes that worked on the cell
    device_seconds: float = 0.0  # of these, in training steps
    images_seen: int = 0
    devices: list[str] = field(default_factory=list)  # that trained it; earlier versions wrote none


class Checkpoint:
    """The checkpoint of one cell.

    Args:
        path: the file; its folder is made.
        identity: what the numbers depend on.
        every_seconds: time between two checkpoints.
        log: takes one line per event.
    """

    def __init__(
        self, path: Path, identity: Identity, every_seconds: float = 60.0, log: Callable[[str], None] = print
    ) -> None:
        self.path, self.identity, self.every_seconds, self.log = path, identity, every_seconds, log
        self.running = RunningFile(path, identity.digest)
        self.last = time.monotonic()
        self.signal: int | None = None

    def load(self) -> tuple[Progress, dict[str, Tensor]] | None:
        """The last state, or None where there is none that fits; the log says why.

        Raises:
            OSError: the disk refuses to show it, which says nothing about the state: it must not be replaced.
        """
        try:
            with open(self.path, "rb"):  # safetensors takes every refusal for a missing file
                pass
            with safe_open(self.path, framework="pt") as file:
                metadata = file.metadata() or {}
                found = Identity.from_json(json.loads(metadata["identity"]))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
                progress = Progress(**json.loads(metadata["progress"]))
            if metadata["sha256"] != checksum(metadata["progress"], tensors):
                raise ValueError("its contents do not match its checksum")
        except FileNotFoundError:
            return None
        except (SafetensorError, OSError, ValueError, TypeError, LookupError, AttributeError) as error:
            if refusal := as_os_error(error):
                raise OSError(refusal.errno, refusal.strerror, str(self.path)) from error
            self.log(f"checkpoint {self.path} cannot be read ({error}); training starts over")
            return None
        if found.digest != self.identity.digest:
            changed = ", ".join(differences(found, self.identity))
            self.log(f"checkpoint {self.path} is of another cell ({changed}); training starts over")
            return None
        self.log(f"resumed from {self.path}: epoch {progress.epoch}, {progress.step} steps of it done")
        return progress, tensors

    def asked(self) -> int:
        """What this process asks of all workers: 0 nothing, 1 a checkpoint, 1 + the number of a signal to stop."""
        if self.signal is not None:
            return 1 + self.signal
        return int(time.monotonic() - self.last >= self.every_seconds)

    def save(self, progress: Progress, tensors: dict[str, Tensor]) -> None:
        """Write the state. Where the disk refuses, the last checkpoint stays and training continues; the log says so.

        Raises:
            Interrupted: a signal had asked for it.
        """
        tensors = {name: value.contiguous().cpu() for name, value in tensors.items()}
        metadata = {"identity": json.dumps(self.identity.to_json()), "progress": json.dumps(asdict(progress))}
        metadata["sha256"] = checksum(metadata["progress"], tensors)
        try:
            with atomic_path(self.path) as path:
                save_file(tensors, path, metadata)
        except (OSError, SafetensorError) as error:
            stays = "the last one stays" if os.path.exists(self.path) else "there is none yet"
            self.log(f"checkpoint {self.path} not written ({error}); {stays}")
        self.last = time.monotonic()
        self.stop_if_asked()

    def stop_if_asked(self) -> None:
        """Raise Interrupted if a signal has asked for it."""
        if self.signal is not None:
            raise Interrupted(self.signal)

    def delete(self) -> None:
        """Remove the checkpoint of a cell that is done; where that is refused, it stays and does no harm."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the cell's lock, handle signals and report that the cell runs."""
        does = "is at work on this cell"
        with alone(self.path, lock_file(self.path), does, self.log), self.running:
            # A process that was killed while writing a checkpoint leaves a partial file.
            remove_parts(self.path.parent, self.path.name)
            before = {number: signal.signal(number, self.note_signal) for number in SIGNALS}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    def note_signal(self, number: int, _frame: Any) -> None:
        """Note that the cell was asked to stop; the current step is finished first."""
        self.signal = number


def checksum(progress: str, tensors: dict[str, Tensor]) -> str:
    """SHA-256 of a state: safetensors itself does not notice a changed byte."""
    digest = hashlib.sha256(progress.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def state_tensors(model: nn.Module, optimiser: Optimiser, average: AveragedNetwork | None) -> dict[str, Tensor]:
    """Weights, buffers, the optimiser's state and the averaged weights, by name.

    Raises:
        UserError: two names of a network share memory, which a safetensors file cannot hold.
    """
    weights, places = model.state_dict(), {}
    for name, value in weights.items():
        place = value.device, value.data_ptr()
        if value.numel() and (other := places.setdefault(place, name)) != name:
            raise UserError(
                f"'{other}' and '{name}' of the network are one tensor, and no file of weights can hold both; keep the "
                "module or parameter under one name, or give each name a tensor of its own"
            )
    tensors = {f"model.{name}": value for name, value in weights.items()}
    for kind, values in optimiser.state.items():
        tensors |= {f"{kind}.{name}": values[p] for name, p in model.named_parameters() if p in values}
    if average:
        tensors |= {f"average.{name}": value for name, value in average.model.state_dict().items()}
    return tensors


def restore(
    model: nn.Module, optimiser: Optimiser, tensors: dict[str, Tensor], average: AveragedNetwork | None
) -> None:
    """Put the tensors of :func:`state_tensors` back, in the memory layout of the model's own."""
    for prefix, network in (("model.", model), *([("average.", average.model)] if average else [])):
        found = {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
        network.load_state_dict(found)
    for kind, values in optimiser.state.items():
        for name, parameter in model.named_parameters():
            if parameter in values:
                values[parameter].copy_(tensors[f"{kind}.{name}"])
