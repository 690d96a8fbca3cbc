"""The signals that ask a process to stop, from a cluster, a terminal or a user.

This module imports next to nothing, so that a script can handle signals before it imports slow libraries.
"""

import os
import signal
import sys
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
# A terminal that is closed, or a connection that breaks, sends SIGHUP, which what nohup starts ignores.
if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
    SIGNALS += (signal.SIGHUP,)


def exit_at_once() -> None:
    """Let these signals end the process with status 75, "try again", as long as there is nothing to save."""
    for number in SIGNALS:
        signal.signal(number, _exit)


def clean_up() -> None:
    """Let these signals end the process like an error, so that it removes its temporary files, unless it handles them itself."""
    for number in SIGNALS:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _leave)


def end() -> None:
    """End this process, whose result is complete.

    Python itself would take half a second more to take torch apart. A process that is stopped or crashes in this time
    has failed for Snakemake, which then deletes the result.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(os.EX_OK)


def interrupt_once() -> None:
    """Let the first Ctrl-C interrupt this process, and no other cut short what is then done: jobs are waited for or cancelled."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _leave(number: int, _frame: FrameType | None) -> None:
    os.write(1, f"stopped by {signal.Signals(number).name}\n".encode())
    sys.exit(os.EX_TEMPFAIL)


def _exit(number: int, _frame: FrameType | None) -> None:
    os.write(
        1,
        f"stopped by {signal.Signals(number).name} before this process trained; a checkpoint that is there stays\n".encode(),
    )
    os._exit(os.EX_TEMPFAIL)


def signal_name(number: int) -> str:
    """SIGTERM, say; those for real time have a number alone."""
    return next((each.name for each in signal.Signals if each == number), f"signal {number}")
