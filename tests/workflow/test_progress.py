"""The status line of a real run on a real terminal."""

import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time

import pytest

from ..terminal import screen
from .conftest import TINY

SHORT = "results/cells/digits/true_labels/mlp_1x512/none/seed0/summary.json"
ENDLESS = "results/cells/digits/random_labels/mlp_1x512/none/seed0/summary.json"
SHOWN = re.compile(
    r"\r\x1b\[K1 of 2 cells done \| .* images/s \| epoch \d+/1000000, .*: random_labels/mlp_1x512/none/seed0"
)


@pytest.mark.slow
def test_run_on_a_terminal_shows_cells_done_and_epochs_until_it_ends(tiny_workflow):
    endless = {"cells": "digits/random_labels/*/*", "set": {"epochs": 1000000}}
    tiny_workflow.write_config({**TINY, "overrides": [endless]})
    command = [sys.executable, "-m", "snakemake", *tiny_workflow.command(SHORT, ENDLESS, "--cores", "2")]
    controller, device = pty.openpty()
    termios.tcsetwinsize(device, (24, 150))
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(
        command,
        stdout=device,
        stderr=device,
        cwd=tiny_workflow.folder,
        env=environment,
        start_new_session=True,
    )
    os.close(device)
    output, seen = b"", False
    try:
        while block := os.read(controller, 1 << 16):
            output += block
            if not seen and SHOWN.search(output.decode(errors="ignore")):
                seen = True
                for _ in range(3):  # as Ctrl-C does, typed by an impatient user
                    os.killpg(process.pid, signal.SIGINT)
                    time.sleep(0.1)
    except OSError:  # Linux says so when the last program has closed the terminal
        pass
    process.wait()
    lines = screen(output.decode())
    assert seen, lines
    # The output of Snakemake and the cell's log can be read, and nothing of the status line is left.
    assert any(re.fullmatch(r"Job \d+: Training digits/true_labels/mlp_1x512/none/seed0", line) for line in lines)
    assert any(line.startswith("stopped by SIGINT") for line in lines)
    assert not any("cells done" in line or "Traceback" in line for line in lines)
