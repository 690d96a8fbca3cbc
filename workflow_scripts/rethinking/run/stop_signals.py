"""The signals that ask a process to stop: a cluster's, a terminal's, a user's.

Imports next to nothing, so that a script can heed them before it imports what takes seconds.
"""

import os
import signal
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def exit_at_once() -> None:
    """From now on these signals end the process with status 75, "try again": there is nothing to write yet."""
    for number in SIGNALS:
        signal.signal(number, _exit)


def _exit(number: int, _frame: FrameType | None) -> None:
    os.write(1, f"stopped by {signal.Signals(number).name} before any training\n".encode())
    os._exit(os.EX_TEMPFAIL)
