"""Files that are complete or absent: atomic writes and checksums.

Every file is written in a temporary folder beside its destination, flushed to disk and
moved with ``os.replace``. A killed writer leaves no half-written result.
"""

import difflib
import errno
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from rethinking.run.refusals import as_os_error, explain


class UserError(Exception):
    """An error that the user can fix; the message says what is wrong and what to do."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The start of a hint about a name that is unknown; empty where none of the known ones is like it."""
    # Of three letters one can be missing or added, but not replaced: gpu is not cpu.
    near = difflib.get_close_matches(name, known, 1, cutoff=0.67)
    return f"did you mean '{near[0]}'? " if near else ""


@contextmanager
def sharing(root: Path, folder: Path) -> Iterator[None]:
    """Make a folder below one that users share; what is written in the block can be read by all who can read ``root``.

    Who can write to ``root`` can write to the folder. The first user's umask limits neither.
    """
    root.mkdir(parents=True, exist_ok=True)
    mode = root.stat().st_mode
    for each in reversed([folder, *folder.parents]):
        if root in each.parents and not each.exists():
            each.mkdir(exist_ok=True)
            with suppress(OSError):  # another user was faster, or the file system has no modes
                each.chmod(mode & 0o7777)
    before = os.umask(0)
    os.umask(before & ~(mode & 0o055))
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path that becomes ``path`` if the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A folder, because some writers (safetensors) first write a file with a name of their own beside the one they are
    # given. Not by tempfile, whose files only their owner can read: results are shared.
    folder = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary = folder / path.name
    try:
        folder.mkdir()
        temporary.touch(exist_ok=False)
        mode = temporary.stat().st_mode
        yield temporary
        _flush(temporary)
        # Safetensors' own file cannot be read by others.
        with suppress(OSError):  # some file systems have no modes
            temporary.chmod(mode)
        os.replace(temporary, path)
    except Exception as error:
        refusal = as_os_error(error)
        names = [refusal.filename, refusal.filename2] if refusal else []  # both of a copy that failed
        # Name the file that could not be written, unless the error is about another one.
        if refusal and (not any(names) or any(f"{name}".startswith(f"{folder}") for name in names)):
            raise OSError(refusal.errno, refusal.strerror, str(path)) from error
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # can fail on a file system that can only be read


def existing_folder(folder: str | Path) -> Path:
    """The folder, or the one above it in which it can be made.

    Raises:
        UserError: there is a file, or a link that leads nowhere, in its place.
    """
    there = next(each for each in (Path(folder), *Path(folder).parents) if os.path.lexists(each))
    if not there.is_dir():
        raise UserError(explain(OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))))
    return there


def check_replaceable(files: Iterable[str | Path]) -> None:
    """Refuse to make files again where Snakemake would end without a word on what to do.

    Raises:
        UserError: one is read-only, or a link that leads nowhere, which Snakemake takes for a file that another process has
            just deleted.
    """
    for file in files:
        if os.path.islink(file):
            if not os.path.exists(file):
                raise UserError(
                    f"{file} is a link that leads nowhere ({os.readlink(file)}); bring back what it led to, or remove it "
                    "to have the file made again"
                )
        elif os.path.exists(file) and not may(file, os.W_OK):
            raise UserError(
                f"{file} would be made again, as it is stale or the command line forces it ('snakemake status' says more), but "
                "it is read-only; make it writable (chmod u+w), or keep it and set another results_dir"
            )


def may(path: str | Path, mode: int) -> bool:
    """Whether this process may use a path so (``os.W_OK`` and such)."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def check_writable(folders: Iterable[str | Path]) -> None:
    """Refuse folders in which nothing can be written, before any work is done for them.

    Raises:
        UserError: one cannot be written, or a folder that is to be made cannot be.
    """
    # From all folders up together, so that those above thousands of cells are looked at once.
    left, found = set(map(Path, folders)), set()
    while left:
        existing = {each for each in left if os.path.lexists(each)}
        found |= existing
        left = {each.parent for each in left - existing}
    for there in sorted(map(existing_folder, found)):
        if not may(there, os.W_OK | os.X_OK):
            number = errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES
            raise UserError(explain(OSError(number, os.strerror(number), str(there))))


def check_room(folder: str | Path) -> None:
    """Refuse to start on a full disk, where not even a job's log could say why it failed.

    Raises:
        UserError: there is no room for a log.
    """
    try:
        with tempfile.TemporaryFile(dir=existing_folder(folder)) as file:
            os.posix_fallocate(file.fileno(), 0, 1 << 20)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(explain(OSError(error.errno, error.strerror, str(folder)))) from error


def remove_parts(folder: Path, name: str = "*") -> None:
    """Remove what killed writers left of files of this name (a pattern) in a folder that nobody is writing to."""
    for part in folder.glob(f".{name}.*"):
        shutil.rmtree(part, ignore_errors=True)  # another user's stays


def _flush(path: Path) -> None:
    """Wait until a file is on the disk, where the file system can say so."""
    try:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    """Write ``value`` as indented JSON, atomically. Not-a-number is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextmanager
def reading(path: str | Path) -> Iterator[None]:
    """Name the file that the block reads, whatever its reader says of a damaged one.

    Raises:
        UserError: it is missing, cannot be read or is damaged.
    """
    try:
        with open(path, "rb"):  # some readers do not pass on what the operating system says
            pass
        yield
    except OSError as error:
        raise UserError(explain(error)) from error
    except Exception as error:
        raise UserError(f"{path} cannot be read ({error}); delete it to have it made again") from error


def read_text(path: str | Path) -> str:
    """Read UTF-8; errors as in :func:`reading`, also of bytes that are zero, which a broken disk or copy leaves."""
    with reading(path):
        text = Path(path).read_text(encoding="utf-8")
        if "\0" in text:
            raise ValueError("some of its bytes are zero")
    return text


def read_json(path: str | Path, keys: Iterable[str] = ()) -> Any:
    """Read JSON, which must have these keys: ``data.train``, or ``fits.norm`` of each entry of a list ``fits``.

    Raises:
        UserError: as in :func:`reading`, or a key is missing, or a number is NaN or Infinity.
    """
    with reading(path):
        value = json.loads(Path(path).read_text(encoding="utf-8"), parse_constant=refuse_constant)
    check_keys(path, value, keys)
    return value


def refuse_constant(word: str) -> None:
    """Refuse NaN and Infinity, which are no JSON and which :func:`write_json` does not write."""
    raise ValueError(f"{word} is no number")


def check_keys(path: str | Path, value: Any, keys: Iterable[str]) -> None:
    """Refuse JSON from a file that lacks some of these keys; see :func:`read_json`."""
    if missing := [key for key in keys if not has_key(value, key)]:
        raise UserError(f"{path} has no {', '.join(missing)}; delete it to have it made again")


def has_key(value: Any, key: str) -> bool:
    """Whether JSON has a key as :func:`read_json` takes it."""
    first, _, rest = key.partition(".")
    if not isinstance(value, dict) or first not in value:
        return False
    inner = value[first] if isinstance(value[first], list) else [value[first]]
    return not rest or all(has_key(each, rest) for each in inner)


def save_array(path: str | Path, array: np.ndarray) -> None:
    """Write ``array`` as a memory-mappable ``.npy``, atomically."""
    array = np.ascontiguousarray(array)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        # Not by np.save, which says nothing where the disk refuses the last bytes.
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)


@contextmanager
def new_array(path: str | Path, shape: tuple[int, ...], dtype: Any) -> Iterator[np.ndarray]:
    """Yield a writable memory map that becomes the ``.npy`` at ``path``, for arrays too large for memory."""
    with atomic_path(path) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
        with open(temporary, "r+b") as file:  # a disk that fills up under a memory map kills the process
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        yield array
        array.flush()


def load_array(path: str | Path) -> np.ndarray:
    """Memory-map a ``.npy`` file read-only; errors as in :func:`reading`."""
    with reading(path):
        return np.load(path, mmap_mode="r", allow_pickle=False)


def sha256_array(array: np.ndarray) -> str:
    """SHA-256 of the values in C order; a memory map is not copied."""
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()


def hash_file(path: str | Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def algorithm_of(digest: str) -> str:
    """Which kind of digest this is, by its length."""
    return "md5" if len(digest) == 32 else "sha256"
