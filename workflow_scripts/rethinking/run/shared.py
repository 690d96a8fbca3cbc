"""Each result is made by one process at a time; those that several workflows share are left alone once they are there."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rethinking.run.files import UserError, remove_parts, sharing
from rethinking.run.identity import Identity, forget, is_made, record_path
from rethinking.run.locks import lock, open_lock


@contextmanager
def alone(
    path: Path, lock_file: Path | None = None, does: str | None = None, log: Callable[[str], None] = print
) -> Iterator[bool]:
    """Hold the lock of a file or folder, by default beside it; whether another process had it before.

    The log says what that one ``does``. The kernel releases the lock of a process that dies.
    """
    with open_lock(lock_file or path.with_name(f".{path.name}.lock")) as file:
        if waits := not lock(file):
            log(f"another process {does or f'makes {path}'}; waiting for it")
            lock(file, wait=True)
        yield waits


@contextmanager
def to_make(outputs: Sequence[str], identity: Identity, root: str) -> Iterator[bool]:
    """Hold the lock of a folder below ``root`` that is named after an identity; whether its files are still to be made.

    Raises:
        UserError: the code was edited after the job had been planned, so that the folder has another name.
    """
    folder = Path(outputs[0]).parent
    if folder.name != identity.digest:
        raise UserError("the code has changed since this job was planned; start again")
    with sharing(Path(root), folder.parent), alone(folder):
        made = is_made(outputs, identity)
        if made:
            print(f"{folder} is already made")
        else:
            # A process that was killed while writing leaves partial files.
            remove_parts(folder)
        yield not made


@contextmanager
def to_remake(
    outputs: Sequence[str], identity: Identity, again: bool = False, of: Sequence[str | None] | None = None
) -> Iterator[bool]:
    """Hold the lock of a result, and forget what its files were made from; whether it is still to be made.

    A job that outlived its Snakemake can make it at the same time, or begin after it has been made. What the user forces
    is made ``again`` unless that one has just made it.
    """
    with alone(Path(outputs[0]), record_path(outputs[0]).with_suffix(".lock")) as waited:
        made = (waited or not again) and is_made(outputs, identity, of)
        if made:
            print(f"{outputs[0]} is already made")
        else:
            forget(outputs)
            for file in map(Path, outputs):
                remove_parts(file.parent, file.name)
        yield not made
