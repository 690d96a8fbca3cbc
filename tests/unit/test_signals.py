"""Signals that tests send reach the programs that they start, whatever started the tests."""

import os
import signal
import subprocess
import sys

import pytest

from rethinking.run.stop_signals import SIGNALS


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_ends_a_program(number):
    with subprocess.Popen(["sleep", "60"]) as program:
        program.send_signal(number)
        assert program.wait(timeout=30) == -number


def test_also_where_the_shell_lets_tests_ignore_ctrl_c():
    """As in ``sh -c 'pytest &'``."""
    this = f"{__file__}::test_signal_ends_a_program"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", this],
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),
        capture_output=True,
        text=True,
        env=os.environ | {"PYTEST_ADDOPTS": ""},
    )
    assert done.returncode == 0, done.stdout
