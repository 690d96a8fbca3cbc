"""One run at a time on a folder of results."""

import subprocess
import sys

import pytest

from rethinking.run.files import UserError
from rethinking.run.results_lock import lock_results

HOLD = "import sys; from rethinking.run.results_lock import lock_results; lock_results(sys.argv[1]); print('held', flush=True); input()"


def test_second_is_told_who_is_first_and_the_lock_dies_with_it(tmp_path):
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert first.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"is being worked on by process {first.pid} of"):
        lock_results(tmp_path)
    first.kill()
    first.wait()
    lock_results(tmp_path)
    lock_results(tmp_path / "another")
