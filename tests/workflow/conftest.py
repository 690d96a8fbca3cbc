"""Runs the real workflow in a folder of its own."""

import re
import subprocess
import sys
from pathlib import Path

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
    "linear_models": {
        "models": [],
        "counterexamples": {"models": []},
        "descent": {"dataset": None},
    },
}


def jobs_of(output: str) -> dict[str, int]:
    """Jobs by rule, from the output of a dry run."""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}


def cells_of(output: str) -> list[str]:
    """Cells that would be trained, from the output of a dry run."""
    return sorted(re.findall(r"Training (\S+)", output))


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

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start snakemake; the output holds both streams."""
        command = [
            sys.executable,
            "-m",
            "snakemake",
            "-s",
            self.root / "Snakefile",
            "--directory",
            self.folder,
        ]
        config = ["--configfile", self.config_file] if self.config_file.exists() else []
        return subprocess.Popen(
            # The targets come first, because some options take all that follows.
            [*command, *arguments, "--workflow-profile", self.root / "profiles" / "default", *config],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run snakemake to its end."""
        process = self.start(*arguments)
        output, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output)

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
        """Run a command that must fail, and return the output."""
        result = self.run(*arguments)
        assert result.returncode != 0, result.stdout
        return result.stdout


@pytest.fixture
def default_workflow(tmp_path: Path) -> Workflow:
    """The workflow with its default configuration."""
    return Workflow(tmp_path, None)


@pytest.fixture
def tiny_workflow(tmp_path: Path) -> Workflow:
    """The workflow at the smallest scale, with nothing done."""
    return Workflow(tmp_path, TINY)
