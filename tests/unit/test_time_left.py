"""How long work still takes, in words and in the lines of a log."""

import pytest

from rethinking.run import time_left
from rethinking.run.time_left import Progress, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (99, "99 s"),
        (110, "2 min"),
        (5000, "83 min"),
        (8000, "2.2 h"),
        (172_000, "47.8 h"),
        (200_000, "2.3 days"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_progress_is_logged_at_intervals_and_counts_the_time_of_this_run_alone(monkeypatch):
    """Of 100, an earlier run has done 40; one takes two seconds."""
    now, lines = [0.0], []
    monkeypatch.setattr(time_left.time, "monotonic", lambda: now[0])
    progress = Progress("tiles", 100, lines.append)
    for _ in range(2):
        progress.skip(20)
    for _ in range(4):
        now[0] += 12
        progress.advance(6)
    assert lines == [
        "tiles: resuming what an earlier run has done",
        "tiles: 52 % done, 96 s left",
        "tiles: 64 % done, 72 s left",
    ]
