"""One run at a time on a folder of results: the lock names its holder and is released when the holder ends."""

import getpass
import os
import shlex
import socket
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TextIO

from rethinking.run.files import UserError
from rethinking.run.locks import lock, open_lock
from rethinking.run.refusals import explain

# Kept open while this process lives; then the kernel releases the locks.
_held: list[TextIO] = []


def lock_results(results: str | Path) -> None:
    """Take the folder of results for this process.

    Raises:
        UserError: another process has it (the message says which), or the folder or its file system refuses.
    """
    try:
        file = open_lock(Path(results) / ".lock")
        taken = lock(file)
    except OSError as error:
        raise UserError(explain(error)) from error
    if not taken:
        file.seek(0)
        holder = file.read().strip() or "a process that has just started"
        file.close()
        raise UserError(
            f"{results} is being worked on by {holder}; wait for it or stop it (Ctrl-C, kill), then start again. "
            "Another results_dir in the configuration can be made at the same time"
        )
    _held.append(file)
    with suppress(OSError):  # another user's file, or a full disk
        file.truncate(0)
        file.write(
            f"process {os.getpid()} of {getpass.getuser()} on {socket.gethostname()}, "
            f"since {datetime.now():%Y-%m-%d %H:%M:%S}: {shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])}\n"
        )
        file.flush()
