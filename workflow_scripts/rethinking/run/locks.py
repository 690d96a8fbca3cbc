"""Locks on files, which the kernel releases when their holder ends, however it ends."""

import errno
import fcntl
import getpass
import os
import shlex
import socket
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from rethinking.run.files import UserError, check_room
from rethinking.run.refusals import explain

LOCKS = (
    "its file system has no locks, without which two processes could write the same files: choose a folder on another "
    "one (results_dir in the configuration, TMPDIR for those of GPUs), or have it mounted with them (Lustre: -o flock)"
)

# The locks that this process holds until it ends.
_held: list[IO[str]] = []


def locked(path: str | Path, wait: bool = False) -> IO[str] | None:
    """A lock file, made if it does not exist, which is locked until it is closed; None if another process has it.

    Who can write to its folder can read it, and write to it, as NFS asks of those that lock it.

    Raises:
        UserError: the file system refuses.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # A command line, which is noted in it, can hold bytes that are not UTF-8.
        file = open(path, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115  closed by the caller
    except OSError as error:
        # Another user's, which this one cannot write, can be locked all the same. In a sticky folder the kernel can refuse
        # to open it as a file that may be made (fs.protected_regular), even to those who can write to it.
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS) or not path.exists():
            raise
        writable = os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids)
        file = open(path, "r+" if writable else "r", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
    with suppress(OSError):  # another user's, or the file system has no modes
        writers = path.parent.stat().st_mode & 0o022
        if not path.is_symlink():
            os.fchmod(file.fileno(), os.fstat(file.fileno()).st_mode | writers | writers << 1)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        file.close()
        return None
    except OSError as error:
        # NFS locks only files that are open for writing.
        if error.errno == errno.EBADF and not file.writable():
            denied = OSError(errno.EACCES, os.strerror(errno.EACCES), file.name)
            raise UserError(explain(denied)) from error
        raise UserError(f"{file.name} cannot be locked ({error.strerror}); {LOCKS}") from error
    return file


def is_locked(path: str | Path) -> bool:
    """Whether a process, on any machine, has locked a file."""
    try:
        with open(path, encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is no such file, or its file system has no locks
        return False
    return False


def lock_results(results: str | Path, finished_only: bool = False) -> None:
    """Take the folder of results for this process, until it ends; the lock names it.

    Where only what is finished is to be shown, the message of an error says how to see it while the other one works.

    Raises:
        UserError: another process has it (the message says which), its disk is full, or the folder or its file system
            refuses.
    """
    path = Path(results) / ".lock"
    try:
        file = locked(path)
    except OSError as error:
        raise UserError(explain(error)) from error
    if not file:
        holder = path.read_text(encoding="utf-8", errors="replace").strip() or "a process that has just started"
        meanwhile = (
            f"Or show what is finished from a copy: 'cp -r {results} peek', then ask for peek/table1.csv, say, with "
            "--config finished_only=true results_dir=peek"
            if finished_only
            else "Another results_dir in the configuration can be made at the same time"
        )
        raise UserError(
            f"{results} is being worked on by {holder}; wait for it or stop it (Ctrl-C, kill), then start again. {meanwhile}"
        )
    check_room(results)
    _held.append(file)
    with suppress(OSError):  # another user's file, or a full disk
        file.truncate(0)
        file.write(
            f"process {os.getpid()} of {getpass.getuser()} on {socket.gethostname()}, "
            f"since {datetime.now():%Y-%m-%d %H:%M:%S}: {shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])}\n"
        )
        file.flush()
