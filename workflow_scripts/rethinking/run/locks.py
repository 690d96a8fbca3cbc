"""Locks on files, which the kernel releases when their holder ends, however it ends."""

import errno
import fcntl
import os
from pathlib import Path
from typing import IO


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
