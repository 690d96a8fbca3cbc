"""Each result is made by one process at a time; those that several workflows share are left alone once they are there."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rethinking.run.files import UserError, remove_parts, sharing
from rethinking.run.identity import Identity, is_made, record_path
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
def to_remake(outputs: Sequence[str], identity: Identity, locked: bool = True) -> Iterator[bool]:
    """Forget what a result was made from, and hold its lock if wanted; whether it is still to be made.

    A job that outlived its Snakemake can make it at the same time: its files would take the place of the new ones. The
    old record goes first, because it would vouch for new files if this process were killed before their own record.
    """
    record = record_path(outputs[0])
    with alone(Path(outputs[0]), record.with_suffix(".lock")) if locked else nullcontext(False) as waited:
        made = waited and is_made(outputs, identity)
        if made:
            print(f"the other process has made {outputs[0]}")
        else:
            record.unlink(missing_ok=True)
            remove_parts(record.parent, record.name)
            for file in map(Path, outputs if locked else ()):
                remove_parts(file.parent, file.name)
        yield not made
