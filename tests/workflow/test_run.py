"""Real runs of a tiny configuration."""

import json
import os
import re
import runpy
import subprocess
import sys
import time
from base64 import b64encode

import pandas as pd
import pytest

from rethinking.run.identity import Identity, made_of, read_record, record_path, write_record
from rethinking.run.locks import locked
from snakemake_executor_plugin_slurm_bundles.bundles import Bundle, Task

from ..faults import flip
from ..unit.paper_cells import make_runs, write_runs
from .conftest import ROOT, TINY, Workflow

CELL = "results/cells/digits/random_labels/mlp_1x512/none"
DIVERGED = "digits/random_labels/mlp_1x512/wd"
# Weights of 1e30 and more overflow in the next step.
CONFIG = TINY | {"overrides": [{"cells": DIVERGED, "set": {"learning_rate": 1e30}}]}
FIGURES = ("fig1a", "fig1b", "fig1c", "fig2b", "memorisation")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workflow that has run to its end; the tests below do not change its results."""
    workflow = Workflow(tmp_path_factory.mktemp("finished"), CONFIG)
    output = workflow.succeed("all", "results/curve_differences.md")
    # It is no terminal, so it has no status line.
    assert "cells done" not in output
    assert "\x1b" not in output
    return workflow


def test_everything_is_made(finished):
    results = finished.folder / "results"
    table = pd.read_csv(results / "table1.csv")
    assert list(table.seeds) == [1, 1, 1]
    # 1x512 on 7x7 digits: (49 + 1) x 512 + (512 + 1) x 10
    assert list(table.parameters) == [30730] * 3
    for name in ("table1.md", "table1.tex", "fig1a.svg", "fig1a.png", "fig1a.pdf", "report.html"):
        assert (results / name).stat().st_size > 0
    summary = json.loads((finished.folder / CELL / "seed0/summary.json").read_text())
    assert summary["provenance"]["settings"]["epochs"] == 2
    assert summary["data"]["train"]["count"] == 60


def test_the_finding_ends_a_run_that_makes_the_report(finished):
    def ends(*options):
        process = finished.start("-f", "results/report.html", *options)
        said, _ = process.communicate()
        assert process.returncode == 0, said
        return said.endswith("Report: results/report.html\n")

    assert ends()
    assert not ends("--touch")  # which makes none


def test_a_cache_that_cannot_be_written_is_told_at_the_start(tiny_workflow):
    (tiny_workflow.folder / "cache").touch()  # as root can write anywhere
    cell = "results/cells/digits/true_labels/mlp_1x512/none/seed0"
    said = tiny_workflow.succeed(f"{cell}/summary.json", "--config", "cache_dir=cache")
    assert said.count("finished networks are not put into cache_dir: ") == 1
    log = (tiny_workflow.folder / cell.replace("results", "results/logs")).with_suffix(".log").read_text()
    assert "not written to the cache" in log


@pytest.mark.parametrize(
    "place", ["checkpoints", "cells/digits/true_labels/mlp_1x512/none/seed0/.identity", "data/prepared"]
)
def test_a_folder_that_only_jobs_know_is_checked_at_the_start(tiny_workflow, place):
    file = tiny_workflow.folder / "results" / place
    file.parent.mkdir(parents=True)
    file.touch()  # as root can write anywhere
    said = tiny_workflow.fail("results/cells/digits/true_labels/mlp_1x512/none/seed0/summary.json")
    assert f"results/{place} cannot be used (Not a directory)" in said
    assert not (tiny_workflow.folder / "results/logs").exists()


def test_a_full_disk_after_training_costs_no_network(tiny_workflow):
    cell = "results/cells/digits/true_labels/mlp_1x512/none/seed0/summary.json"
    benchmark = tiny_workflow.folder / "results/benchmarks/cells/digits/true_labels/mlp_1x512/none/seed0.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.symlink_to("/dev/full")
    tiny_workflow.succeed(cell)
    # What Snakemake leaves where it could not note that the job had ended.
    (tiny_workflow.folder / ".snakemake/incomplete" / b64encode(cell.encode()).decode()).touch()
    assert tiny_workflow.plan(cell) == {}


def test_a_clock_that_is_set_back_costs_no_network(tiny_workflow):
    cell = "results/cells/digits/true_labels/mlp_1x512/none/seed0/summary.json"
    process = tiny_workflow.start(cell)
    assert any("Training digits" in line for line in process.stdout)
    tomorrow = time.time() + 86400
    for file in (tiny_workflow.folder / "results/.data").rglob("seed0/*"):  # as if its data were made before
        os.utime(file, (tomorrow, tomorrow))
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert tiny_workflow.plan(cell) == {}


def test_a_damaged_record_of_snakemake_ends_no_run(tiny_workflow):
    for content in (b"\xfc", b"[1]", b""):
        tiny_workflow.succeed("-f", "results/sizes.csv")
        for record in (tiny_workflow.folder / ".snakemake/metadata").iterdir():
            record.write_bytes(content)


def test_divergence_is_a_result(finished):
    results = finished.folder / "results"
    assert "diverged" in (results / "table4.md").read_text()
    summary = json.loads((results / "cells" / DIVERGED / "seed0/summary.json").read_text())
    assert summary["status"] == "diverged"
    assert summary["diverged_step"] >= 1


def test_figures_have_images_and_numbers_with_their_scale(finished):
    results = finished.folder / "results"
    scale = "digits (scikit-learn), 60 of 1,437 training images, 20 of 360 test images"
    for name in FIGURES:
        for ending in ("png", "pdf"):
            assert (results / f"{name}.{ending}").stat().st_size > 5000
        assert f"Ours: MLP 1×512, {scale}; 2 epochs; 1 seed" in (results / f"{name}.svg").read_text()
        numbers = pd.read_csv(results / f"{name}.csv")
        assert (set(numbers.data), set(numbers.seeds)) == ({scale}, {1})


def test_ratios_and_errors_are_those_of_the_curves(finished):
    results = finished.folder / "results"
    ratios = pd.read_csv(results / "fig1b.csv")
    assert list(ratios.p.unique()) == [0, 0.5, 1]
    errors = pd.read_csv(results / "fig1c.csv").set_index(["corruption", "test_labels"]).test_error
    curve = pd.read_csv(results / "cells/digits/labels_p0.5/mlp_1x512/none/seed0/curve.csv")
    last = curve.iloc[-1]
    assert errors["labels_p0.5", "true"] == pytest.approx(1 - last.test_accuracy / 100)
    assert errors["labels_p0.5", "corrupted"] == pytest.approx(1 - last.test_accuracy_corrupted / 100)


def test_the_code_in_the_docs_reads_the_results(finished, monkeypatch, tmp_path):
    monkeypatch.chdir(finished.folder)
    page = (ROOT / "docs/results.md").read_text().replace("cifar10", "digits")
    found = {}
    for number, code in enumerate(re.findall(r"```python\n(.*?)```", page, re.DOTALL)):
        (file := tmp_path / f"{number}.py").write_text(code)
        found |= runpy.run_path(str(file))
    assert set(found["curves"].epoch) == {0, 1, 2}
    summary = json.loads((found["folder"] / "summary.json").read_text())
    assert 100 * found["accuracy"] == pytest.approx(summary["test_accuracy"])


def test_curves_of_the_paper_are_compared(finished):
    table = pd.read_csv(finished.folder / "results/curve_differences.csv")
    # Figures 1a and 2b show the Inception in the paper and the MLP here.
    assert set(table.figure) == {"fig1b", "fig1c"}
    (points,) = table[table.figure == "fig1c"].points
    assert points == 3


def test_figure_without_cells_is_left_out(finished):
    finished.write_config(CONFIG | {"fig1b": {"cells": []}})
    try:
        assert finished.plan("cifar10", "--forcerun", "plot_figure")["plot_figure"] == len(FIGURES) - 1
        assert "fig1b.cells is empty" in finished.fail("-n", "results/fig1b.svg")
    finally:
        finished.write_config(CONFIG)


def test_what_is_forced_is_made_again_without_what_it_is_made_from(finished):
    """Also where data were made again later: by their times the networks would be too old."""
    for token in (finished.folder / "results/.data").rglob("*"):
        os.utime(token)
    assert finished.plan("results/table1.csv", "--force") == {"aggregate_table": 1, "total": 1}
    jobs = {"aggregate_table": 1, "render_table": 1, "total": 2}
    assert finished.plan("results/table1.md", "--forcerun", "aggregate_table") == jobs
    cell = "results/cells/digits/true_labels/mlp_1x512/wd/seed0/summary.json"
    jobs = {"train_cell": 1, "aggregate_table": 1, "total": 2}
    assert finished.plan("results/table1.csv", "--forcerun", cell) == jobs
    assert finished.plan("results/table1.csv", "--forceall")["prepare_dataset"] == 1


def test_other_cells_of_a_figure_replot_that_figure_alone(finished):
    finished.write_config(CONFIG | {"fig1c": {"cells": TINY["fig1c"]["cells"][:2]}})
    jobs = finished.plan(*(f"results/{name}.svg" for name in FIGURES))
    finished.write_config(CONFIG)
    assert (jobs["plot_figure"], jobs["total"]) == (1, 1)


def test_tables_figures_and_claims_from_the_cells_that_are_there(tiny_workflow):
    results = tiny_workflow.folder / "results"
    networks = {"train": 100.0, "test": 50.0}
    for labels, seeds in (("random_labels", (0, 5)), ("labels_p0.5", (0,))):
        write_runs(results / "cells", make_runs({f"{labels}/mlp_1x512/none": networks}, seeds, "digits"))
    made = [f"results/{name}" for name in ("table1.md", "fig1b.svg", "fig1c.svg", "claims.csv")]
    tiny_workflow.succeed(*made, "--config", "finished_only=true", "seeds=[0,1,5]")
    assert list(pd.read_csv(results / "table1.csv").seeds) == [0, 0, 2]
    assert pd.read_csv(results / "fig1b.csv").ratio.isna().all()
    # p = 0, 0.5 and 1, each with true and corrupted test labels
    assert list(pd.read_csv(results / "fig1c.csv").test_error.notna()) == [False] * 2 + [True] * 4
    verdicts = pd.read_csv(results / "claims.csv").set_index("claim").verdict
    # The parameters of Inception V3 need no network.
    supported = {"fits_random_labels_mlp_1x512", "imagenet_parameters"}
    assert set(verdicts[verdicts == "supported"].index) == supported
    assert not (results / "cells/digits/true_labels").exists()


def test_a_file_that_was_cut_short_is_not_shown(tiny_workflow):
    """Also where it can still be read. Networks without a record, as kept ones are, are shown."""
    cells = tiny_workflow.folder / "results" / "cells"
    write_runs(cells, make_runs({"random_labels/mlp_1x512/none": {"train": 100.0, "test": 50.0}}, (0, 1, 2), "digits"))
    folders = [cells / f"digits/random_labels/mlp_1x512/none/seed{seed}" for seed in (0, 1)]
    for folder in folders:
        write_record(sorted(folder.glob("[cms]*")), Identity({}))
    curve = folders[1] / "curve.csv"
    curve.write_text("".join(curve.read_text().splitlines(keepends=True)[:-1]))
    table = ("results/table1.csv", "--config", "finished_only=true", "seeds=[0,1,2]")
    said = tiny_workflow.succeed(*table)
    assert f"{os.path.relpath(folders[1], tiny_workflow.folder)}: curve.csv has changed since it was made" in said
    assert "2 of 2 finished networks are stale and used as they are; 'snakemake status' says why" in said
    assert list(pd.read_csv(cells.parent / "table1.csv").seeds) == [0, 0, 2]
    assert tiny_workflow.plan(*table) == {}
    # Trained again, with the same identity and maybe other numbers.
    with open(folders[0] / "summary.json", "a", encoding="utf-8") as summary:
        summary.write("\n")
    write_record(sorted(folders[0].glob("[cms]*")), Identity({}))
    assert tiny_workflow.plan(*table) == {"aggregate_table": 1, "total": 1}


def test_measures_of_an_earlier_network_are_not_among_those_that_are_used(tiny_workflow):
    cells = tiny_workflow.folder / "results" / "cells"
    names = [f"digits/{labels}_labels/mlp_1x512/none" for labels in ("true", "random")]
    tiny_workflow.write_config(CONFIG | {"complexity": {"cells": names}})
    measured = {"train": 100.0, "test": 50.0, "measured": {"parameters": 30730}}
    write_runs(cells, make_runs({name.removeprefix("digits/"): measured for name in names}, (0,), "digits"))
    for name in names:
        folder = cells / name / "seed0"
        write_record([folder / "curve.csv"], Identity({}))
        digest, stamps = made_of([read_record(folder / "curve.csv")])
        write_record([folder / "complexity.json"], Identity({}, inputs={"results": digest}), stamps)
    target = ("-n", "complexity", "--config", "finished_only=true")
    said = tiny_workflow.succeed(*target)
    assert "2 of 2 finished measures and fits are stale and used as they are; 'snakemake status' says why" in said
    assert "earlier network" not in said
    (folder / "curve.csv").write_text("of a network that was trained again")
    write_record([folder / "curve.csv"], Identity({}))
    said = tiny_workflow.succeed(*target)
    assert "1 of 1 finished measures and fits are stale and used as they are;" in said
    assert "1 finished measures left out, as they are of an earlier network" in said
    # Nothing says of which one.
    record = record_path(folder / "complexity.json")
    record.write_text(record.read_text()[:-9])
    said = tiny_workflow.succeed(*target)
    assert "seed0: its record .identity/complexity.json.json is damaged" in said
    assert "earlier network" not in said


def test_the_finding_is_that_of_table_2_while_no_pair_of_table_1_is_finished(tiny_workflow):
    cells = tiny_workflow.folder / "results" / "cells"
    tiny_workflow.write_config(CONFIG | {"table2": {"cells": "digits/{true,random}_labels/mlp_3x512/none"}})
    pair = ["true_labels/mlp_3x512/none", "random_labels/mlp_3x512/none"]
    # One of two of table 1 is no pair.
    for finished_now, accuracy in (([*pair, "true_labels/mlp_1x512/none"], 30), (["random_labels/mlp_1x512/none"], 50)):
        made = {name: {"train": 100.0, "test": 30.0 if name in pair else 50.0} for name in finished_now}
        write_runs(cells, make_runs(made, (0,), "digits"))
        tiny_workflow.succeed("results/finding.txt", "--config", "finished_only=true")
        said = (tiny_workflow.folder / "results/finding.txt").read_text()
        assert said.startswith("The network fits random labels")
        assert f"it reaches {accuracy} % test accuracy on true labels" in said


def test_what_is_finished_is_shown_from_a_copy_while_another_run_is_at_work(tiny_workflow):
    results = tiny_workflow.folder / "results"
    runs = make_runs({"random_labels/mlp_1x512/none": {"train": 100.0, "test": 50.0}}, (0,), "digits")
    write_runs(results / "cells", runs)
    with locked(results / ".lock"):
        said = tiny_workflow.fail("results/table1.csv", "--config", "finished_only=true")
        (copy,) = re.findall("'(cp -r results peek)'", said)
        (config,) = re.findall(r"--config (finished_only=true results_dir=peek)\n", said)
        subprocess.run(copy.split(), cwd=tiny_workflow.folder, check=True)
        tiny_workflow.succeed("peek/table1.csv", "--config", *config.split())
    assert list(pd.read_csv(tiny_workflow.folder / "peek/table1.csv").seeds) == [0, 0, 1]
    assert not (results / "table1.csv").exists()


def test_a_plan_that_is_older_than_the_end_of_another_run_is_not_followed(tiny_workflow):
    """It would delete what that run has made meanwhile, and make it again."""
    with locked(tiny_workflow.folder / "results/.lock"):
        run = tiny_workflow.start("results/table1.csv")
        assert any("Building DAG" in line for line in run.stdout)
    output, _ = run.communicate()
    assert "another run on results ended while this one was planned; start again" in output
    assert run.returncode != 0


ON_SLURM = ("--executor", "slurm-bundles", "--jobs", "4", "--slurm-bundles-poll-seconds", "1")
ON_SLURM += ("--slurm-bundles-gather-seconds", "0")


@pytest.fixture
def programs(tiny_workflow, monkeypatch):
    """Takes the place of SLURM's commands, each by a line of a shell."""

    def write(**lines):
        folder = tiny_workflow.folder / "bin"
        folder.mkdir()
        for name, line in lines.items():
            (folder / name).write_text(f"#!/bin/sh\n{line}\n")
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")

    return write


def test_what_the_user_forces_is_trained_again_by_a_job_of_slurm(tiny_workflow, programs):
    """The old files are still there when it begins."""
    programs(sbatch="cat > job; bash job > log 2>&1 & echo 1", squeue=":", scontrol="exit 1", sinfo=":")
    target = "results/cells/digits/true_labels/mlp_1x512/none/seed0/summary.json"
    tiny_workflow.succeed(target)
    before = json.loads((tiny_workflow.folder / target).read_text())
    tiny_workflow.succeed(target, "-f", *ON_SLURM)
    after = json.loads((tiny_workflow.folder / target).read_text())
    assert before["provenance"].pop("finished") != after["provenance"].pop("finished")
    assert tiny_workflow.plan(target) == {}


@pytest.mark.parametrize("options", [(), ON_SLURM])
def test_a_forced_job_that_fails_leaves_the_old_network(tiny_workflow, programs, options):
    """Snakemake would delete it before the job, or after it."""
    programs(sbatch="cat > job; bash job > log 2>&1 & echo 1", squeue=":", scontrol="exit 1", sinfo=":")
    target = "results/cells/digits/true_labels/mlp_1x512/none/seed0/summary.json"
    tiny_workflow.succeed(target)
    before = (tiny_workflow.folder / target).read_text()
    (images,) = tiny_workflow.folder.rglob("train_images.npy")
    flip(images)
    assert "are not those that were written" in tiny_workflow.fail(target, "-f", *options)
    assert (tiny_workflow.folder / target).read_text() == before
    assert tiny_workflow.plan(target) == {}


def test_what_shows_a_network_is_made_again_with_it(tiny_workflow):
    """Also where a later run makes it: a network that is trained again has the same identity, and maybe other numbers."""
    network = "results/cells/digits/true_labels/mlp_1x512/none/seed0/summary.json"
    tiny_workflow.succeed("results/table1.csv")
    tiny_workflow.succeed(network, "-f")
    assert tiny_workflow.plan("results/table1.csv") == {"aggregate_table": 1, "total": 1}
    tiny_workflow.succeed("results/table1.csv")
    assert tiny_workflow.plan("results/table1.csv") == {}


def test_threads_are_those_of_the_node_that_trains(tiny_workflow, programs):
    """Not the few cores of the machine where Snakemake runs, on which jobs have these at most."""
    cell = "digits/true_labels/mlp_1x512/none"
    hardware = {"device": "cpu", "threads": 3, "workers": 4}
    tiny_workflow.write_config(TINY | {"hardware": hardware, "overrides": [{"cells": cell, "set": {"micro_batch": 5}}]})
    tiny_workflow.succeed("data")
    programs(sbatch="echo $* | cat - results/slurm/*/bundle.json > asked; echo invalid partition >&2; exit 1")
    target = f"results/cells/{cell}/seed0/summary.json"
    assert "sbatch refused" in tiny_workflow.fail(target, *ON_SLURM, "--cores", "2")
    asked = (tiny_workflow.folder / "asked").read_text()
    assert "--cpus-per-task=12 " in asked
    assert "--workers 4 --nodes 1 --threads 3 " in asked
    assert "--threads 1 " in tiny_workflow.succeed(target, "-n", "-p", "--cores", "4")


def test_jobs_that_slurm_still_has_write_over_nothing(tiny_workflow, programs):
    """They were submitted by a Snakemake that was killed, and the next one runs on this machine."""
    programs(squeue="echo SLURM is away >&2; exit 1")
    target = "results/cells/digits/true_labels/mlp_1x512/none/seed0/summary.json"
    left = Bundle(tiny_workflow.folder / "results/slurm/cells-1", [Task("a", "train a", "", output=[target])])
    left.write()
    assert "(cells-1); SLURM does not answer here (SLURM is away)" in tiny_workflow.fail(target)
    left.remove()
    tiny_workflow.succeed(target)


def test_damaged_archive_says_what_to_do(tiny_workflow):
    (tiny_workflow.folder / "cifar.tar.gz").write_bytes(b"cut short")
    source = {"source": "archive", "path": "cifar.tar.gz"}
    tiny_workflow.write_config({**TINY, "datasets": {"cifar10": source}})
    output = tiny_workflow.fail("results/cells/cifar10/true_labels/mlp_1x512/none/seed0/summary.json")
    assert "error: cifar.tar.gz is damaged or cut short" in output


def killed(workflow, before="pass"):
    """The target whose data are read by a job that kills itself, after another line of Python."""
    text = f"import os, shutil\nfrom rethinking.registry import dataset\n@dataset('own')\ndef read():\n    {before}\n"
    (workflow.folder / "own.py").write_text(f"{text}    os.kill(os.getpid(), 9)\n")
    own = {"source": "plugin", "input_size": 8}
    workflow.write_config({**TINY, "plugins": ["own.py"], "datasets": {"own": own}})
    return "results/cells/own/true_labels/mlp_1x512/none/seed0/summary.json"


def test_what_a_job_cannot_say_of_memory_is_told_at_the_end(tiny_workflow):
    """One that the kernel killed leaves an empty log, and libraries that find no room name no limit."""
    command = tiny_workflow.command(killed(tiny_workflow), "--cores", "2")
    limited = ["bash", "-c", 'ulimit -v 100000000; exec "$0" -m snakemake "$@"', sys.executable, *command]
    said = subprocess.run(limited, cwd=tiny_workflow.folder, capture_output=True, text=True).stderr
    assert "killed (SIGKILL), probably because memory was short; start again with fewer --cores" in said
    assert "each process here can have addresses for 102.4 GB at most (ulimit -v)" in said


def test_fewer_jobs_at_a_time_are_no_remedy_for_one(tiny_workflow):
    said = tiny_workflow.fail(killed(tiny_workflow), "--cores", "1")
    assert "memory was short; start again once there is more: networks resume" in said


def test_a_log_of_snakemake_that_is_gone_costs_no_other_message(tiny_workflow):
    said = tiny_workflow.fail(killed(tiny_workflow, "shutil.rmtree('.snakemake/log')"))
    assert "run.smk" not in said
    assert "Complete log" in said


def test_changed_values_of_a_data_set_are_noticed_and_made_again(tiny_workflow):
    cell = "results/cells/digits/random_labels/mlp_1x512/none/seed0/summary.json"
    tiny_workflow.succeed(cell, "--until", "corrupt_labels")
    (images,) = tiny_workflow.folder.rglob("train_images.npy")
    values = images.read_bytes()
    flip(images)
    output = tiny_workflow.fail(cell)
    (path,) = re.findall(r"error: the values in (\S+) are not those that were written", output)
    (tiny_workflow.folder / path).unlink()
    tiny_workflow.succeed(cell)
    assert images.read_bytes() == values


def test_jobs_beside_a_cluster_are_few_at_a_time(finished):
    """A login node belongs to others too; 'profiles/slurm' gives 'local_jobs: 2'."""
    tables = [f"results/{name}.csv" for name in FIGURES]

    def at_a_time(*options):
        said = finished.succeed("--cores", "4", "-f", *tables, *options)
        return max(map(int, re.findall(r"Execute (\d+) jobs", said)))

    assert at_a_time() > 2
    assert at_a_time("--resources", "local_jobs=2") == 2
