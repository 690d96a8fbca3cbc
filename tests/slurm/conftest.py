"""A cluster for all tests of this folder, and the workflow on it."""

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml

from tests.waiting import wait_for
from tests.workflow.conftest import TINY, Workflow

from .cluster import Cluster, missing_programs

LONG = "digits/random_labels/mlp_1x512/none"  # trained for several seconds, with a checkpoint each second
CONFIG = TINY | {
    # A GPU is requested and granted, but torch does not see it.
    "hardware": {"device": "auto", "checkpoint_seconds": 1},
    "overrides": [{"cells": LONG, "set": {"epochs": 2500}}],
}


def pytest_collection_modifyitems(items):
    missing = missing_programs()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.slow)
            if missing:
                reason = f"needs SLURM ({missing[0]} is missing): see the Makefile"
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """Three nodes with a GPU each."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster") / "slurm", nodes=3)
    yield cluster
    cluster.stop()


class ClusterWorkflow(Workflow):
    """The workflow with the SLURM profile, but with shorter waiting times."""

    def __init__(self, folder: Path, config: dict, cluster: Cluster) -> None:
        super().__init__(folder, config)
        self.cluster = cluster
        self.results = folder / "results"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start snakemake; the output goes to a file and is read by :meth:`finish`."""
        command = [sys.executable, "-m", "snakemake", "-s", self.root / "Snakefile", *arguments]
        command += ["--directory", self.folder, "--configfile", self.config_file]
        command += ["--workflow-profile", self.root / "profiles" / "slurm", "--latency-wait", "3"]
        command += ["--slurm-bundles-poll-seconds", "1", "--slurm-bundles-gather-seconds", "2"]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.folder,
            env=self.cluster.environment,
        )

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run snakemake to its end, on the cluster."""
        process = self.start(*arguments)
        output, _ = process.communicate()
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def locally(self) -> Workflow:
        """The same configuration without a cluster."""
        folder = self.folder / "locally"
        folder.mkdir()
        return Workflow(folder, yaml.safe_load(self.config_file.read_text()))

    def log(self, cell: str = f"{LONG}/seed0") -> str:
        """The log of a cell so far."""
        file = self.results / f"logs/cells/{cell}.log"
        return file.read_text() if file.exists() else ""

    def checkpoint(self) -> Path:
        """The checkpoint of the long cell."""
        return self.results / f"checkpoints/{LONG}/seed0.safetensors"

    def jobs(self) -> dict[str, tuple[str, str, str]]:
        """Waiting and running jobs: number -> state, node and name."""
        lines = self.cluster.run("squeue", "--me", "-h", "--format=%A|%T|%N|%j").splitlines()
        return {number: tuple(rest) for number, *rest in (line.split("|") for line in lines)}


@pytest.fixture
def workflow(cluster, tmp_path):
    """The workflow on the cluster, which is empty before and afterwards."""
    workflow = ClusterWorkflow(tmp_path, CONFIG, cluster)
    yield workflow
    # A test that fails halfway leaves no snakemake behind.
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # or has just ended
            if "snakemake" in " ".join(process.cmdline()):
                process.kill()
    cluster.run("scancel", "--me", check=False)
    # A finished job may stay in the queue for seconds while its node cleans up.
    wait_for(lambda: not workflow.jobs())
