"""Files that several workflows share are made by one process at a time, and left alone once they are there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rethinking.run.files import UserError, remove_parts
from rethinking.run.identity import Identity, is_made
from rethinking.run.locks import lock, open_lock


@contextmanager
def alone(path: Path, lock_file: Path | None = None) -> Iterator[None]:
    """Hold the lock of a file or folder, by default beside it; the kernel releases the lock of a process that dies."""
    with open_lock(lock_file or path.with_name(f".{path.name}.lock")) as file:
        if not lock(file):
            print(f"another process makes {path}; waiting for it")
            lock(file, wait=True)
        yield


@contextmanager
def to_make(outputs: Sequence[str], identity: Identity) -> Iterator[bool]:
    """Hold the lock of a folder that is named after an identity; whether its files are still to be made.

    Raises:
        UserError: the code was edited after the job had been planned, so that the folder has another name.
    """
    folder = Path(outputs[0]).parent
    if folder.name != identity.digest:
        raise UserError("the code has changed since this job was planned; start again")
    with alone(folder):
        made = is_made(outputs, identity)
        if made:
            print(f"{folder} is already made")
        else:
            # A process that was killed while writing leaves partial files.
            remove_parts(folder)
        yield not made
