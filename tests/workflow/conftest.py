"""Runs the real workflow in a folder of its own."""

import atexit
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import psutil
import pytest
import yaml

ROOT = Path(__file__).parents[2]

# Small enough to train in seconds: five networks on 60 digits for two epochs.
TINY = {
    "seeds": [0],
    "hardware": {"device": "cpu"},
    "datasets": {"digits": {"train_limit": 60, "test_limit": 20}},
    "training": {"batch_size": 20, "epochs": 2},
    "table1": {
        "cells": [
            "digits/true_labels/mlp_1x512/none",
            "digits/true_labels/mlp_1x512/wd",
            "digits/random_labels/mlp_1x512/none",
        ]
    },
    "table4": {"cells": ["digits/random_labels/mlp_1x512/wd"]},
    "fig1a": {"cells": ["digits/true_labels/mlp_1x512/none", "digits/gaussian/mlp_1x512/none"]},
    "fig1b": {"cells": [f"digits/labels_p{p}/mlp_1x512/none" for p in (0.0, 0.5, 1.0)]},
    "fig1c": {"cells": [f"digits/labels_p{p}/mlp_1x512/none" for p in (0.0, 0.5, 1.0)]},
    "fig2b": {"cells": ["digits/true_labels/mlp_1x512/none"]},
    "memorisation": {"cells": ["digits/labels_p0.5/mlp_1x512/none"]},
    "capacity": {"cells": []},
    "complexity": {"cells": []},
    # The theory has tests of its own.
    "expressivity": {"dataset": None},
    "linear_models": {"models": [], "counterexamples": {"models": []}, "descent": {"dataset": None}},
}


def jobs_of(output: str) -> dict[str, int]:
    """Jobs by rule, from the output of a dry run."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}


def cells_of(output: str) -> list[str]:
    """Cells that would be trained, from the output of a dry run."""
    return sorted(re.findall(r"Training (\S+)", output))


@cache
def server() -> subprocess.Popen[str]:
    """Runs snakemake without importing it each time; it ends with this process."""
    script = Path(__file__).with_name("server.py")
    process = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(process.communicate)
    return process


class Workflow:
    """The workflow in a working directory with a configuration file; ``root`` is the folder of its code."""

    def __init__(self, folder: Path, config: dict | None, root: Path = ROOT) -> None:
        self.folder = folder
        self.root = root
        self.config_file = folder / "experiment.yaml"
        if config is not None:
            self.write_config(config)

    def write_config(self, config: dict) -> None:
        self.config_file.write_text(yaml.safe_dump(config))

    def command(self, *arguments: str) -> list[str]:
        """What follows ``snakemake`` on a command line."""
        place = ["-s", self.root / "Snakefile", "--directory", self.folder]
        config = ["--configfile", self.config_file] if self.config_file.exists() else []
        # The targets come first, because some options take all that follows.
        profile = ["--workflow-profile", self.root / "profiles" / "default"]
        return list(map(str, [*place, *arguments, *profile, *config]))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start snakemake; the output holds both streams."""
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *self.command(*arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run snakemake to its end."""
        command = self.command(*arguments)
        with tempfile.NamedTemporaryFile("r") as output:
            asked = {
                "arguments": command,
                "folder": str(self.folder),
                "environment": dict(os.environ),
                "output": output.name,
            }
            serving = server()
            print(json.dumps(asked), file=serving.stdin, flush=True)
            return subprocess.CompletedProcess(command, int(serving.stdout.readline()), output.read())

    def plan(self, *arguments: str) -> dict[str, int]:
        """Jobs that a run would do, by rule."""
        return jobs_of(self.succeed("-n", *arguments))

    def planned_cells(self, *arguments: str) -> list[str]:
        """Cells that a run would train."""
        return cells_of(self.succeed("-n", *arguments))

    def succeed(self, *arguments: str) -> str:
        """Run and return the output."""
        result = self.run(*arguments)
        assert result.returncode == 0, result.stdout
        return result.stdout

    def fail(self, *arguments: str) -> str:
        """Run a command that must fail, with a message instead of a traceback, and return the output."""
        result = self.run(*arguments)
        assert result.returncode != 0, result.stdout
        assert "Traceback" not in result.stdout
        return result.stdout


@pytest.fixture
def nothing_left_running() -> Iterator[None]:
    """What a test started, and what that started, is killed at its end."""
    yield
    for process in psutil.Process().children(recursive=True):
        process.kill()
    server.cache_clear()  # it was one of them


@pytest.fixture
def default_workflow(tmp_path: Path) -> Workflow:
    """The workflow with its default configuration."""
    return Workflow(tmp_path, None)


@pytest.fixture
def tiny_workflow(tmp_path: Path) -> Workflow:
    """The workflow at the smallest scale, with nothing done."""
    return Workflow(tmp_path, TINY)
