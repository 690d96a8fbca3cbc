"""An edit of configuration or code retrains the cells that it affects and no others, and ``status`` says why.

Real runs and dry runs of a copy of the workflow whose code can be edited.
"""

import os
import re
import shutil

import psutil
import pytest

from rethinking.cells import CELL_FILES

from ..default_config import default_values
from ..waiting import wait_for
from .conftest import ROOT, TINY, Workflow

MLP = "digits/true_labels/mlp_1x512/none/seed0"
DECAYED = "digits/true_labels/mlp_1x512/wd/seed0"
INCEPTION = "digits/random_labels/inception/none/seed0"
ALEXNET = "digits/random_labels/alexnet/none/seed0"
PIXELS = "digits/shuffled_pixels/mlp_1x512/none/seed0"
ALL = sorted([MLP, DECAYED, PIXELS, INCEPTION, ALEXNET])
RESULTS = [name for name, section in default_values().items() if isinstance(section, dict) and "cells" in section]
TARGETS = ("results/table1.md", "results/fig1a.svg")


def shown(*cells):
    """Every table and figure shows these cells, figures 1b and 1c those that have a p."""
    names = [cell.rpartition("/")[0] for cell in cells]
    over_p = [name for name in names if "_labels/" in name]
    return {result: {"cells": over_p if result in ("fig1b", "fig1c") else names} for result in RESULTS}


CONFIG = TINY | shown(*ALL) | {"ablations": []}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A copy of the workflow that has run to its end."""
    folder = tmp_path_factory.mktemp("stale")
    (folder / "code").mkdir()
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / "code")
    for name in ("rules", "workflow_scripts", "profiles"):
        shutil.copytree(ROOT / name, folder / "code" / name, ignore=shutil.ignore_patterns("__pycache__"))
    workflow = Workflow(folder, CONFIG, folder / "code")
    workflow.succeed(*TARGETS)
    return workflow


@pytest.fixture
def workflow(trained):
    """The same workflow; files that a test edits are restored afterwards."""
    library = trained.root / "workflow_scripts"
    before = {path: path.read_text() for path in library.rglob("*.py")}
    yield trained
    trained.write_config(CONFIG)
    for path, text in before.items():
        path.write_text(text)


def edit(workflow, module, old, new):
    path = workflow.root / "workflow_scripts" / module
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def counts(workflow, *arguments):
    """The report of ``snakemake status`` and its counts: done, part-trained, stale, to run or missing."""
    report = workflow.succeed("status", *arguments)
    first = re.search(r"cells?: (\d+) done, (\d+) part-trained, (\d+) stale, (\d+) (?:to run|missing)", report)
    return report, tuple(map(int, first.groups()))


def test_all_is_done(workflow):
    assert workflow.plan(*TARGETS) == {}
    report, found = counts(workflow)
    assert found == (5, 0, 0, 0)
    assert "estimate" not in report
    assert "one cell at a time" not in report
    files = (workflow.folder / "results/cells" / MLP).iterdir()
    assert {path.name for path in files} == {*CELL_FILES, ".identity"}


def test_a_setting_makes_the_cells_stale_that_it_concerns(workflow):
    change = {
        # Weight decay affects only the cell that has it, a pattern the cells that it matches.
        "models": {"mlp_1x512": {"weight_decay": 0.1}},
        "overrides": [{"cells": "digits/random_labels/*/*", "set": {"epochs": 3}}],
    }
    workflow.write_config(CONFIG | change)
    assert workflow.planned_cells(*TARGETS) == sorted([DECAYED, INCEPTION, ALEXNET])
    report, found = counts(workflow)
    assert found == (2, 0, 3, 0)
    assert f"reason: weight_decay 0.0005 -> 0.1\n    {DECAYED.replace('/seed0', '  seed 0')}\n" in report
    random_labels = "digits/random_labels/{alexnet,inception}/none  seed 0"
    assert f"reason: epochs 2 -> 3\n    {random_labels}\n" in report
    assert re.search(r"About \d+ s of training on a CPU, one cell at a time", report)


@pytest.mark.parametrize(
    ("edits", "stale"),
    [
        # Drawing labels does not affect cells with corrupted pixels, and the other way round.
        (
            {"rethinking/corruption/labels.py": ("thresholds < p", "thresholds <= p")},
            [MLP, DECAYED, INCEPTION, ALEXNET],
        ),
        # The second is what stands behind the name of random labels.
        (
            {
                "rethinking/corruption/pixels.py": ("np.take(flat, order", "np.take(flat, order[::-1]"),
                "rethinking/corruption/labels.py": ("p=1.0", "p=0.5"),
            },
            [PIXELS, INCEPTION, ALEXNET],
        ),
    ],
)
def test_code_makes_the_cells_stale_that_it_concerns(workflow, edits, stale):
    for file, (old, new) in edits.items():
        edit(workflow, file, old, new)
    assert workflow.planned_cells(*TARGETS) == sorted(stale)


def test_code_and_numbers_behind_tables_and_figures_train_nothing(workflow):
    edit(workflow, "plot_figure.py", '"%.6g"', '"%.3g"')
    paper = workflow.root / "workflow_scripts/rethinking/paper/data/zhang2017.json"
    text = paper.read_text()
    assert "50.51" in text
    try:
        paper.write_text(text.replace("50.51", "50.52"))
        jobs = workflow.plan(*TARGETS)
    finally:
        paper.write_text(text)
    assert jobs == {"aggregate_table": 1, "plot_figure": 1, "render_table": 1, "total": 3}


def test_a_title_is_shown_in_tables_and_figures_and_trains_nothing(workflow):
    edit(workflow, "rethinking/models/mlp.py", 'title="MLP 1×512"', 'title="One layer of 512"')
    assert workflow.plan(*TARGETS) == {"aggregate_table": 1, "plot_figure": 1, "render_table": 1, "total": 3}


def test_comments_docstrings_and_formatting_make_nothing_stale(workflow):
    for path in (workflow.root / "workflow_scripts").rglob("*.py"):
        text = path.read_text()
        if text.startswith('"""'):
            text = '"""In other words. ' + text.removeprefix('"""')
        path.write_text("# A comment.\n" + text.replace("\n\n\n", "\n\n\n\n") + "# The end.\n")
    edit(workflow, "rethinking/models/mlp.py", "nn.ReLU()", "nn.ReLU(\n)")
    assert workflow.plan(*TARGETS) == {}


def test_no_answer_hangs_on_the_records_of_snakemake(workflow):
    hidden = workflow.folder / ".snakemake"
    hidden.rename(workflow.folder / "hidden")
    try:
        assert workflow.plan(*TARGETS) == {}
        workflow.write_config(CONFIG | {"datasets": {"digits": {"train_limit": 50, "test_limit": 20}}})
        assert workflow.planned_cells(*TARGETS) == ALL
        workflow.write_config(CONFIG)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        (workflow.folder / "hidden").rename(hidden)


def test_finished_cells_need_no_data(workflow):
    """Data deleted and one more seed: the new seed is trained and nothing else."""
    data = workflow.folder / "results" / "data"
    data.rename(workflow.folder / "elsewhere")
    try:
        assert workflow.plan("results/fig1a.svg") == {}
        workflow.write_config(CONFIG | {"seeds": [0, 1]})
        assert workflow.planned_cells(*TARGETS) == [cell.replace("seed0", "seed1") for cell in ALL]
    finally:
        (workflow.folder / "elsewhere").rename(data)


def test_delete_all_output_keeps_the_networks_that_are_current(workflow):
    def deleted():
        """Tables and networks."""
        said = workflow.succeed("-n", "results/table1.csv", "--delete-all-output")
        return sorted(re.findall(r"Would delete results/(?:cells/)?(.*?)(?:/summary\.json|\.csv)\n", said))

    assert deleted() == ["table1"]
    workflow.write_config(CONFIG | {"overrides": [{"cells": "digits/random_labels/*/*", "set": {"epochs": 3}}]})
    assert {*deleted()} >= {"table1", INCEPTION, ALEXNET}
    assert not {*deleted()} & {MLP, DECAYED, PIXELS}


def test_times_decide_nothing(workflow):
    files = list((workflow.folder / "results").rglob("*"))
    try:
        for path in files:
            os.utime(path, (0, 0) if "summary" in path.name else (2_000_000_000, 2_000_000_000))
        assert workflow.plan(*TARGETS) == {}
    finally:
        for path in files:
            os.utime(path)


def test_status_counts_another_seed_also_with_finished_only(workflow):
    report, found = counts(workflow, "--config", "finished_only=true", "seeds=[0,1]")
    assert found == (5, 0, 0, 5)
    # It trains nothing.
    assert "to run" not in report
    assert "of training" not in report


@pytest.mark.slow
def test_part_trained(workflow):
    cell = "digits/gaussian/mlp_1x512/none/seed0"
    endless = {"cells": "digits/gaussian/*/*", "set": {"epochs": 100_000}}
    hardware = {"device": "cpu", "checkpoint_seconds": 1}
    workflow.write_config(CONFIG | shown(*ALL, cell) | {"overrides": [endless], "hardware": hardware})
    process = workflow.start(f"results/cells/{cell}/summary.json")
    checkpoint = workflow.folder / f"results/checkpoints/{cell}.safetensors"
    try:
        wait_for(checkpoint.exists, process, seconds=300)
        # Also while it is at work.
        assert counts(workflow)[1] == (5, 1, 0, 0)
    finally:
        if process.poll() is None:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.terminate()
        process.communicate()
    report, found = counts(workflow)
    assert found == (5, 1, 0, 0)
    assert re.search(r"  digits/gaussian/mlp_1x512/none  seed 0 in epoch \d+ of 100000\n", report)
    edit(workflow, "rethinking/models/mlp.py", "nn.ReLU()", "nn.Tanh()")
    report, found = counts(workflow)
    assert found == (2, 0, 3, 1)
    assert "reason: code of models/mlp.py: mlp\n" in report
    assert "with a checkpoint that does not fit: code of models/mlp.py: mlp\n" in report
