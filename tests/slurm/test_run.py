"""The whole workflow on a cluster."""

from .conftest import CONFIG


def test_everything_as_on_one_machine(workflow):
    """All results of two seeds, with eight cells per job; afterwards nothing is left to do."""
    workflow.write_config(CONFIG | {"seeds": [0, 1], "overrides": []})
    output = workflow.succeed("all")
    jobs = [line.count("Training") for line in output.splitlines() if line.startswith("SLURM job")]
    assert sum(jobs) == 12
    assert max(jobs) <= 8
    assert "Nothing to be done" in workflow.succeed("all")
    locally = workflow.locally()
    locally.succeed("results/table1.csv", "--cores", "2")
    assert (locally.folder / "results/table1.csv").read_text() == (
        workflow.results / "table1.csv"
    ).read_text()
    assert list(workflow.results.glob("slurm/*")) == []
