"""The seeds of a cell together: their curves, the mean and its interval."""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rethinking import registry
from rethinking.analysis.aggregation import columns, paper_has, read_columns, read_summary
from rethinking.analysis.statistics import mean_interval
from rethinking.cells import CELL_FILES, Cell, probability
from rethinking.run.files import read_json
from rethinking.run.identity import altered, made_from

CELL_PARTS = ["dataset", "corruption", "model", "regularisers"]
NETWORK = ["dataset", "model", "regularisers"]
# File of measures of a network -> the target that makes it.
MEASURES = {"complexity.json": "complexity", "stability.json": "capacity"}


@dataclass(frozen=True)
class Run:
    """The results of one network: one seed of a cell. Tables that were not asked for are None."""

    summary: Mapping[str, Any]
    curve: pd.DataFrame | None = None  # one row per epoch; ends early if the network diverged
    memorisation: pd.DataFrame | None = None
    measured: Mapping[str, float | None] = field(default_factory=dict)  # those in MEASURES
    unread: Mapping[str, str] = field(default_factory=dict)  # the other files of MEASURES that are there -> why

    @cached_property
    def cell(self) -> Cell:
        """The cell that was trained."""
        return Cell.parse(self.summary["cell"])

    @property
    def diverged(self) -> bool:
        """Whether its loss stopped being finite."""
        return self.summary["status"] == "diverged"


# Name without seed -> its runs, possibly none, in the order of a figure.
Runs = Mapping[str, Sequence[Run]]
Network = tuple[str, str, str]  # as in NETWORK
# The columns of a cell's tables that are read.
TABLES = {
    "curve": columns(
        ("int64", "epoch step"),
        ("float64", "train_loss train_accuracy train_loss_end train_accuracy_end"),
        ("float64", "test_accuracy test_accuracy_corrupted"),
    ),
    "memorisation": columns(
        ("int64", "epoch"),
        ("float64", "unchanged_accuracy changed_accuracy_given changed_accuracy_true"),
    ),
}


# ---- reading


def read_runs(
    root: Path,
    names: Iterable[str],
    seeds: Iterable[int | str],
    *tables: str,
    measures: Collection[str] | None = None,
) -> dict[str, list[Run]]:
    """Read the trained networks among ``root/{name}/seed{seed}``.

    Args:
        root: the folder that names of cells start from.
        names: cells without seeds, in order.
        seeds: those to look for, as :func:`trained` takes them.
        tables: ``curve`` and ``memorisation``, whichever are needed beside the summary.
        measures: names with a file of :data:`MEASURES`, ``{name}/complexity.json``, those to read; None are all.

    Raises:
        UserError: a file is missing or damaged; the message names it.
    """
    runs = {}
    for name, folders in trained(root, names, seeds).items():
        files = [file for file in MEASURES if measures is None or f"{name}/{file}" in measures]
        runs[name] = [read_run(folder, tables, files) for folder in folders]
    return runs


def trained(root: Path, names: Iterable[str], seeds: Iterable[int | str]) -> dict[str, list[Path]]:
    """The folders of the trained networks among ``root/{name}/seed{seed}``, by name and in the order of the seeds.

    Those with a file that is not the one that training made are left out.
    ``seeds`` are those of all cells, and of cells with fewer ``NAME=0,1``, as a command line has them.
    """
    words = [str(word).partition("=") for word in seeds]
    everywhere = [int(word) for word, equals, _ in words if not equals]
    fewer = {name: [int(seed) for seed in some.split(",")] for name, equals, some in words if equals}
    found = {}
    for name in names:
        # A network of an ablation has the seeds of its cell.
        wanted = sorted(fewer.get("/".join(name.split("/")[-4:]), everywhere))
        folders = [root / name / f"seed{seed}" for seed in wanted]
        there = [folder for folder in folders if (folder / "summary.json").exists()]
        found[name] = [folder for folder in there if not altered([folder / file for file in CELL_FILES])]
    return found


def network_folders(root: Path, names: Iterable[str], seeds: Iterable[int | str]) -> Iterator[tuple[Path, str | None]]:
    """The folders of the trained networks, in order, each with the ablation that it belongs to, if any."""
    for name, folders in trained(root, names, seeds).items():
        variant = name.split("/")[1] if name.startswith("ablations/") else None
        yield from ((folder, variant) for folder in folders)


def read_run(folder: Path, tables: Iterable[str], measures: Sequence[str]) -> Run:
    """Read one network; see :func:`read_runs`."""
    run = Run(read_summary(folder / "summary.json"))
    # Memorisation of a network that diverged in its first epoch has no rows.
    rows = {name: read_columns(folder / f"{name}.csv", TABLES[name], empty=run.diverged) for name in tables}
    # Of thousands of networks other columns would take gigabytes of memory.
    rows = {name: table[list(TABLES[name])].copy() for name, table in rows.items()}
    measured, unread = read_measures(folder, run.cell, measures)
    return replace(run, **rows, measured=measured, unread=unread)


def read_measures(folder: Path, cell: Cell, files: Sequence[str]) -> tuple[dict[str, float | None], dict[str, str]]:
    """The measures in some of :data:`MEASURES`, and which of these are there but not read, with what is wrong.

    They must be of the network in this folder, not of one that was there before.
    """
    base = folder.parents[4] / str(cell.base)
    measured, unread = {}, {}
    for name in files:
        networks = [base, folder] if name == "stability.json" else [folder]
        path, needs = folder / name, [network / CELL_FILES[0] for network in networks]
        if not path.exists():
            continue
        if altered([path]):
            unread[name] = f"a {name} that has changed since it was made"
        elif not made_from(path, needs):
            unread[name] = f"a {name} of an earlier network"
        else:
            measured |= read_json(path)
    return measured, unread


def summaries(runs: Runs) -> list[Mapping[str, Any]]:
    """The contents of their ``summary.json`` files."""
    return [run.summary for some in runs.values() for run in some]


# ---- means


def from_first_epoch(run: Run) -> Run:
    """A run without the untrained network, which has no batches to average over."""
    return replace(run, curve=run.curve[run.curve.epoch > 0])


def mean_curve(runs: Sequence[Run], column: str) -> pd.DataFrame:
    """Mean of a column over the seeds that did not diverge, by epoch.

    Returns:
        Columns ``epoch``, ``mean`` and ``ci``, the half width of the interval of
        :func:`rethinking.analysis.statistics.mean_interval`; no rows if there is no such seed.
    """
    values = pd.DataFrame({run.cell.seed: run.curve.set_index("epoch")[column] for run in runs if not run.diverged})
    intervals = [mean_interval(row) for row in values.to_numpy()]
    return pd.DataFrame(intervals, columns=["mean", "ci"]).assign(epoch=values.index)[["epoch", "mean", "ci"]]


def mean_curves(runs: Runs, columns: Sequence[str]) -> pd.DataFrame:
    """Mean curves of several cells, one row per cell, ``quantity`` (one of ``columns``) and epoch.

    Returns:
        :data:`CELL_PARTS`, ``quantity``, ``epoch``, ``mean`` and ``ci`` as :func:`mean_curve` has them;
        a cell without a mean has one row in which these three are missing.
    """
    rows = []
    for name, some in runs.items():
        for column in columns:
            head = cell_parts(name) | {"quantity": column}
            curve = mean_curve(some, column)
            rows += [head | row for row in curve.to_dict("records")] or [head]
    table = pd.DataFrame(rows, columns=[*CELL_PARTS, "quantity", "epoch", "mean", "ci"])
    return table.astype({"epoch": "Int64", "mean": "float64", "ci": "float64"})


# ---- names


def cell_parts(name: str) -> dict[str, str]:
    """The parts of a cell's name, by :data:`CELL_PARTS`."""
    return dict(zip(CELL_PARTS, name.split("/"), strict=True))


def published_name(name: str, split: str = "") -> str | None:
    """What the paper's curve of a cell is called in figure 1a or, of the accuracy of a split, in figure 2, if it has one.

    Figure 1a has the Inception without regularisers, 2b one network per curve, 2a one combination of regularisers.
    """
    dataset, corruption, model, regularisers = name.split("/")
    if not paper_has(dataset):
        return None
    if not split:
        return corruption if (model, regularisers) == ("inception", "none") else None
    if corruption != "true_labels" or (model != "inception_v3" and regularisers != "none"):
        return None
    return f"{split}_{regularisers if model == 'inception_v3' else model}"


def published_over_p(paper: Mapping[str, np.ndarray], network: Network, corruptions: Iterable[str]) -> np.ndarray:
    """The paper's (n, 2) p and values of a network, of those by model; no rows where it has none.

    It has only networks without regularisers, and only its own noise.
    """
    dataset, model, regularisers = network
    own = any(registry.entry("corruption", each).own for each in corruptions)
    known = regularisers == "none" and model in paper and paper_has(dataset) and not own
    return paper[model] if known else np.empty((0, 2))


def published_at_p(paper: Mapping[str, np.ndarray], name: str) -> float:
    """The paper's value of a cell at its p; nan where it has none."""
    dataset, corruption, *rest = name.split("/")
    curve = published_over_p(paper, (dataset, *rest), [corruption])
    return dict(curve).get(probability(corruption), math.nan)


def networks_of(table: pd.DataFrame) -> list[Network]:
    """The networks of a table's rows, each once, in order."""
    return list(table[NETWORK].drop_duplicates().itertuples(index=False, name=None))
