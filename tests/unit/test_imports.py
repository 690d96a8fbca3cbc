"""A job records the code that it runs, whatever is edited in the meantime."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from rethinking import registry
from rethinking.run.code import SCRIPTS
from rethinking.run.files import write_text
from rethinking.run.identity import Identity
from rethinking.run.made import Made
from rethinking.run.scripts import asked_for


def test_a_job_runs_the_code_that_it_records(plugin, monkeypatch):
    """It can wait for a GPU before it trains."""
    text = "@model('own')\ndef own(image_shape, num_classes): return {}\n".format
    plugin(text(1))
    own = registry.entry("model", "own")
    record = Made("train_cell", ["a/curve.csv"], Identity({}), entries=(own.root,)).record
    monkeypatch.setattr("sys.argv", ["script", "--record", json.dumps(record)])
    asked_for.__wrapped__()
    own.file.write_text(text(2))
    assert own.resolve()(None, None) == 1


IMPORTING = """\
import sys
from pathlib import Path
from rethinking.run.code import SCRIPTS, script_code

def main():
    from rethinking.rate import RATE
    return RATE

def edit():
    (SCRIPTS / "rethinking/rate.py").write_text("RATE = 20\\n")
    script = Path(__file__)
    script.write_text(script.read_text().replace("return RATE", "return -RATE"))

def follow():
    return script_code("importing")

if __name__ == "__main__":
    for step in sys.argv[1:]:
        {"run": main, "edit": edit, "follow": follow}[step]()
    print(main(), *follow().values())
"""


@pytest.mark.parametrize(
    ("steps", "runs"),
    [
        (["run", "edit"], 1),  # what is imported before an edit is what is recorded after it
        (["follow", "edit"], 1),  # a function that imports it is called after an hour's wait for a GPU, say
        (["edit"], 20),
    ],
)
def test_the_code_that_is_recorded_is_the_code_that_runs(tmp_path, steps, runs):
    folder = tmp_path / "scripts"
    shutil.copytree(SCRIPTS / "rethinking" / "run", folder / "rethinking" / "run")
    shutil.copy(SCRIPTS / "rethinking" / "__init__.py", folder / "rethinking")

    def ends(rate, *steps):
        write_text(folder / "rethinking" / "rate.py", f"RATE = {rate}\n")
        write_text(folder / "importing.py", IMPORTING)
        command = [sys.executable, folder / "importing.py", *steps]
        return subprocess.run(
            command, env=os.environ | {"PYTHONPATH": ""}, capture_output=True, text=True, check=True
        ).stdout

    assert ends(1, *steps) == ends(runs)
    assert ends(1) != ends(20)
