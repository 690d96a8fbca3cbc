"""One run at a time on a folder of results: the lock names its holder and is released when the holder ends."""

import fcntl
import getpass
import os
import shlex
import socket
import sys
from datetime import datetime
from pathlib import Path
from typing import TextIO

from rethinking.run.files import UserError

# Kept open while this process lives; then the kernel releases the locks.
_held: list[TextIO] = []


def lock_results(results: str | Path) -> None:
    """Take the folder of results for this process.

    Raises:
        UserError: another process has it; the message says which.
    """
    path = Path(results) / ".lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (stays open)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "a process that has just started"
        file.close()
        raise UserError(
            f"{results} is being worked on by {holder}; wait for it or stop it (Ctrl-C, kill), then start again. "
            "Another results_dir in the configuration can be made at the same time"
        ) from None
    file.truncate(0)
    file.write(
        f"process {os.getpid()} of {getpass.getuser()} on {socket.gethostname()}, "
        f"since {datetime.now():%Y-%m-%d %H:%M:%S}: {shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])}\n"
    )
    file.flush()
    _held.append(file)
