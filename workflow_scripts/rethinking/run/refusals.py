"""When the operating system says no: one line with the path and the remedy, and locks that say so."""

import errno
import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from rethinking.run.files import UserError

SPACE = "free some space or raise the quota, then start again: what is finished stays"
RIGHTS = "have it made readable and writable for you, or choose another folder in the configuration"
SERVER = "the disk or the file server failed; start again when it is back: what is finished stays"
LOCKS = (
    "its file system has no locks, without which two processes could write the same files: choose a folder on another "
    "one (results_dir in the configuration, TMPDIR for those of GPUs), or have it mounted with them (Lustre: -o flock)"
)
REMEDIES = {
    errno.ENOSPC: SPACE,
    errno.EDQUOT: SPACE,
    errno.EFBIG: "the file is too large for its file system; choose another one",
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.EROFS: "it can only be read: choose another folder in the configuration (results_dir, data_dir)",
    errno.ENOLCK: LOCKS,
    errno.ENOSYS: LOCKS,
    errno.EOPNOTSUPP: LOCKS,
    errno.EIO: SERVER,
    errno.ESTALE: SERVER,
    errno.ETIMEDOUT: SERVER,
    errno.ENOTCONN: SERVER,
    errno.EHOSTDOWN: SERVER,
    errno.EREMOTEIO: SERVER,
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine; run fewer jobs at a time",
    errno.ENOMEM: "there is not enough memory; run fewer jobs at a time",
    errno.ENOENT: "start again, to have it made if the workflow makes it",
    errno.ENOTDIR: "a file is where a folder should be; remove it, or choose another path",
    errno.EISDIR: "a folder is where a file should be; remove it, or choose another path",
    errno.ELOOP: "links lead in a circle; remove them",
    errno.ENAMETOOLONG: "choose a shorter path or name",
}


def explain(error: OSError) -> str:
    """The path, what the operating system said, and what to do."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else "a file"
    whose = ""
    if error.errno in (errno.EACCES, errno.EPERM):
        with suppress(OSError, KeyError):
            uid = os.stat(path).st_uid
            whose = f", it belongs to {Path(path).owner()}" if uid != os.geteuid() else ""
    remedy = REMEDIES.get(error.errno, "start again, or choose another folder in the configuration")
    return f"{path} cannot be used ({error.strerror}{whose}); {remedy}"


def check_writable(folders: Iterable[str | Path]) -> None:
    """Refuse folders in which nothing can be written, before any work is done for them.

    Raises:
        UserError: one cannot be written, or a folder that is to be made cannot be.
    """
    for folder in sorted(set(map(Path, folders))):
        there = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
        number = None
        if not there.is_dir():
            number = errno.ENOTDIR
        elif not os.access(there, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            number = errno.EROFS if os.statvfs(there).f_flag & os.ST_RDONLY else errno.EACCES
        if number:
            raise UserError(explain(OSError(number, os.strerror(number), str(there))))


# ---- locks


def open_lock(path: str | Path) -> IO[str]:
    """Open a lock file, which is made if it does not exist; only for reading where it is another user's."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return open(path, "a+", encoding="utf-8")
    except OSError as error:
        # A file that nobody can write can be locked all the same.
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or not path.exists():
            raise
        return open(path, encoding="utf-8")


def lock(file: IO[str], wait: bool = False) -> bool:
    """Lock a file for this process, until it is closed. Returns False if another process has it.

    Raises:
        OSError: the file system refuses; with the file's name.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError as error:
        # NFS locks only files that are open for writing.
        number = errno.EACCES if error.errno == errno.EBADF and not file.writable() else error.errno
        raise OSError(number, os.strerror(number), file.name) from error
    return True
