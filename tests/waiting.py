"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from subprocess import Popen
from typing import TypeVar

Found = TypeVar("Found")


def wait_for(condition: Callable[[], Found], process: Popen | None = None, seconds: float = 300) -> Found:
    """Wait until something is true, which must be before a process ends; what it then is."""
    began = asked = time.monotonic()
    while not (found := condition()):
        assert process is None or process.poll() is None, "the process ended before"
        assert time.monotonic() < began + seconds, f"not within {seconds} seconds"
        time.sleep(0.005 + time.monotonic() - asked)  # what takes long to ask is asked less often
        asked = time.monotonic()
    return found
