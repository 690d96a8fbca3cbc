"""Each result is made by one process at a time; those that several workflows share are left alone once they are there."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from rethinking.run.files import UserError, remove_parts, sharing
from rethinking.run.identity import Identity, forget, is_made, record_path
from rethinking.run.locks import locked


@contextmanager
def alone(
    path: Path, lock_file: Path | None = None, does: str | None = None, log: Callable[[str], None] = print
) -> Iterator[bool]:
    """Hold the lock of a file or folder, by default beside it; whether another process had it before.

    The log says what that one ``does``. The kernel releases the lock of a process that dies.
    """
    lock_file = lock_file or path.with_name(f".{path.name}.lock")
    if not (file := locked(lock_file)):
        log(f"another process {does or f'makes {path}'}; waiting for it")
    with file or locked(lock_file, wait=True):
        yield not file


@contextmanager
def to_make(
    outputs: Sequence[str],
    identity: Identity,
    root: str | None = None,
    again: bool = False,
    of: Sequence[str | None] | None = None,
) -> Iterator[bool]:
    """Hold the lock of a result, and forget what its files were made from; whether it is still to be made.

    A job that outlived its Snakemake can make it at the same time, or begin after it has been made. What the user forces
    is made ``again`` unless that one has just made it, or it is whole in a folder below ``root``, which is named after
    the identity: other workflows read it.

    Raises:
        UserError: the code was edited after the job had been planned, so that the folder has another name.
    """
    first = Path(outputs[0])
    folder = first.parent
    if root and folder.name != identity.digest:
        raise UserError("the code has changed since this job was planned; start again")
    lock_of = alone(folder) if root else alone(first, record_path(first).with_suffix(".lock"))
    # Who can write to the root can go on with what a killed job of another user left.
    with sharing(Path(root), record_path(first).parent) if root else nullcontext(), lock_of as waited:
        made = (root or waited or not again) and is_made(outputs, identity, of)
        if made:
            print(f"{folder if root else first} is already made")
        else:
            forget(outputs)
            # Into a folder of data more is written than its outputs.
            for file in [folder / "*"] if root else map(Path, outputs):
                remove_parts(file.parent, file.name)
        yield not made
