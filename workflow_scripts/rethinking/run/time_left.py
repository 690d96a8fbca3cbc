"""How long work still takes, and lines of progress that say so in a log."""

import time
from collections.abc import Callable

EVERY_SECONDS = 20.0


def duration(seconds: float) -> str:
    """Time to about two digits: ``40 s``, ``12 min``, ``3.5 h``, ``2.1 days``."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


class Progress:
    """Counts work in any unit and logs at intervals how much is done and how long the rest takes.

    Args:
        what: name of the work.
        total: amount of work in all.
        log: called with each line.
    """

    def __init__(self, what: str, total: float, log: Callable[[str], None]) -> None:
        self.what, self.total, self.log = what, total, log
        self.skipped = self.done = 0.0
        self.started = self.logged = time.monotonic()

    def skip(self, work: float) -> None:
        """Count work that an earlier run has done."""
        if not self.skipped:
            self.log(f"{self.what}: resuming what an earlier run has done")
        self.skipped += work

    def advance(self, work: float) -> None:
        """Count work that has just been done."""
        self.done += work
        now = time.monotonic()
        finished = self.skipped + self.done
        if now - self.logged >= EVERY_SECONDS:
            self.logged = now
            left = (now - self.started) / self.done * max(self.total - finished, 0)
            self.log(f"{self.what}: {100 * finished / self.total:.0f} % done, {duration(left)} left")
