"""The seeds of a cell together: their curves, the mean and its interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from rethinking import registry
from rethinking.analysis.aggregation import read_columns, read_summary
from rethinking.analysis.statistics import mean_interval
from rethinking.cells import Cell, probability
from rethinking.run.files import UserError

CELL_PARTS = ["dataset", "corruption", "model", "regularisers"]
NETWORK = ["dataset", "model", "regularisers"]


@dataclass(frozen=True)
class Run:
    """One seed of a cell; ``curve`` has one row per ``epoch`` and ends early if the seed diverged."""

    cell: Cell
    curve: pd.DataFrame
    diverged: bool


# Name without seed -> its runs, possibly none, in the order of a figure.
Runs = Mapping[str, Sequence[Run]]
Network = tuple[str, str, str]  # as in NETWORK


# ---- reading


def read_runs(
    names: Sequence[str], folders: Sequence[Path], filename: str, columns: Mapping[str, str]
) -> tuple[dict[str, list[Run]], list[dict[str, Any]]]:
    """Read a file of one row per epoch, and the summary, of some seeds of some cells.

    Args:
        names: cells without seeds, in order.
        folders: folders of any of their seeds.
        filename: ``curve.csv`` or ``memorisation.csv``.
        columns: those that it must have, name -> dtype.

    Returns:
        The runs by cell, seeds in order, and the contents of the ``summary.json`` files.

    Raises:
        UserError: a file is missing or damaged; the message names it.
    """
    runs: dict[str, list[Run]] = {name: [] for name in names}
    summaries = []
    for folder in folders:
        summary = read_summary(folder / "summary.json")
        summaries.append(summary)
        cell, diverged = Cell.parse(summary["cell"]), summary["status"] == "diverged"
        path = folder / filename
        # memorisation.csv of a network that diverged in its first epoch has no line.
        if diverged and path.exists() and not path.read_text().strip():
            curve = pd.DataFrame({name: pd.Series(dtype=dtype) for name, dtype in columns.items()})
        else:
            curve = read_columns(path, columns)
        if cell.name in runs:
            runs[cell.name].append(Run(cell, curve, diverged))
    return {name: sorted(some, key=lambda run: run.cell.seed) for name, some in runs.items()}, summaries


# ---- means


def mean_curve(runs: Sequence[Run], column: str) -> pd.DataFrame:
    """Mean of a column over the seeds that did not diverge, by epoch.

    Returns:
        Columns ``epoch``, ``mean`` and ``ci``, the half width of the interval of
        :func:`rethinking.analysis.statistics.mean_interval`; no rows if there is no such seed.
    """
    values = pd.DataFrame(
        {run.cell.seed: run.curve.set_index("epoch")[column] for run in runs if not run.diverged}
    )
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


def paper_has(dataset: str) -> bool:
    """Whether the paper's curves are shown with those of a data set; they are not for a plug-in's data."""
    return not registry.entry("dataset", dataset).own


def by_network(names: Iterable[str]) -> dict[Network, dict[float, str]]:
    """The cells of each network by the probability p at which their labels are corrupted, smallest p first.

    Raises:
        UserError: the pixels of a cell are corrupted, so it has no p.
    """
    networks: dict[Network, dict[float, str]] = defaultdict(dict)
    for name in names:
        parts = cell_parts(name)
        p = probability(parts["corruption"])
        if p is None:
            raise UserError(
                f"cell '{name}' cannot be shown over the label corruption; "
                "take true_labels, random_labels or labels_p0.0 to labels_p1.0"
            )
        cells = networks[tuple(parts[key] for key in NETWORK)]
        if cells.setdefault(p, name) != name:
            raise UserError(f"cells '{cells[p]}' and '{name}' have the same p; show one of them")
    return {network: dict(sorted(levels.items())) for network, levels in networks.items()}


def networks_of(table: pd.DataFrame) -> list[Network]:
    """The networks of a table's rows, each once, in order."""
    return list(table[NETWORK].drop_duplicates().itertuples(index=False, name=None))
