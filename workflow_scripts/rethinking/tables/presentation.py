"""What tables for readers share: the paper's numbers beside ours, and a note on scale below them."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from rethinking.analysis.aggregation import paper_has
from rethinking.analysis.statistics import LEVEL
from rethinking.paper.titles import DATASET_TITLES, MODEL_TITLES, REGULARISER_HEADINGS
from rethinking.tables.rendering import MISSING, Shown, with_interval

# A rendered column, by its heading of two lines.
Columns = dict[tuple[str, str], Any]
MEANS = (
    f"means over the seeds that did not diverge, ± half width of the {LEVEL} Student-t interval "
    "(a single seed has none)"
)
ACCURACIES = {"train": "training accuracy (%)", "test": "test accuracy (%)"}
PAPER = "Paper: Zhang et al. (2017), CIFAR-10 at full scale."


class View(NamedTuple):
    """How a kind of table is read and shown."""

    columns: Mapping[str, str]  # of the CSV -> dtype
    present: Callable[[pd.DataFrame], list[Shown]]
    note: Callable[[pd.DataFrame], str]  # a line on what was measured, which the report always shows, and the rest
    missing: str = "not available"  # what a dash means

    def show(self, table: pd.DataFrame) -> tuple[list[Shown], str]:
        """The tables and the note below them, which explains dashes where there are some."""
        shown, note = self.present(table), self.note(table)
        dashes = any(each.table.map(lambda cell: cell.startswith(MISSING)).any(axis=None) for each in shown)
        return shown, f"{note} {MISSING}: {self.missing}." if dashes else note


def beside_paper(table: pd.DataFrame) -> bool:
    """Whether the paper's numbers are shown beside a table's; they are not if all data sets are a plug-in's."""
    return table.empty or any(map(paper_has, table.dataset.unique()))


def comparable(table: pd.DataFrame, columns: Columns) -> pd.DataFrame:
    """The columns for readers, without the paper's if it has nothing to compare."""
    frame = pd.DataFrame(columns)
    return frame if beside_paper(table) else frame.drop(columns=[each for each in frame if each[1] == "paper"])


def paper_note(table: pd.DataFrame) -> str:
    """The source of the paper's columns, if there are any."""
    return f" {PAPER}" if beside_paper(table) else ""


def data_sets(table: pd.DataFrame) -> Columns:
    """The column of data sets, where there are several."""
    return {("", "data set"): table.dataset.map(DATASET_TITLES)} if table.dataset.nunique() > 1 else {}


def starts_block(table: pd.DataFrame, *columns: str) -> pd.Series:
    """Whether each row differs from the one above it in some of these columns."""
    block = table[list(columns)]
    return (block != block.shift()).any(axis=1)


def yes_or_no(table: pd.DataFrame, regulariser: str) -> list[str]:
    """Whether each row has a regulariser."""
    return ["yes" if regulariser in names.split("+") else "no" for names in table.regularisers]


def network_columns(table: pd.DataFrame) -> Columns:
    """Data set (where there are several), network and its parameters, at the first row of each block."""
    first = starts_block(table, "dataset", "model")
    parameters = table.groupby(first.cumsum()).parameters.transform("first")
    columns: Columns = {heading: titles.where(first, "") for heading, titles in data_sets(table).items()}
    columns["", "model"] = table.model.map(MODEL_TITLES).where(first, "")
    columns["", "parameters"] = parameters.map(lambda n: MISSING if pd.isna(n) else f"{n:,}").where(first, "")
    return columns


def short_label(corruption: str) -> str:
    """A corruption as the paper's tables write it, for example ``random``."""
    return corruption.removesuffix("_labels").replace("_", " ")


def regulariser_titles(names: str) -> str:
    """The regularisers of a cell's name in words."""
    if names == "none":
        return "none"
    return ", ".join(" ".join(filter(None, REGULARISER_HEADINGS[name])) for name in names.split("+"))


def measured(row: pd.Series, column: str, prefix: str = "", mark: str = "") -> str:
    """Mean and half width and, for training accuracies, how many of the seeds diverged.

    ``prefix`` is the prefix of the columns; ``mark`` follows the number.
    """
    seeds, diverged = row[f"{prefix}seeds"], row[f"{prefix}diverged"]
    parts = []
    if seeds:
        parts.append(with_interval(row[f"{prefix}{column}"], row[f"{prefix}{column}_ci"], "{:.2f}") + mark)
    if diverged and column.startswith("train_accuracy"):
        parts.append(f"diverged ({diverged} of {seeds + diverged})")
    return ", ".join(parts) or MISSING


def published(row: pd.Series, mark: str = "") -> str:
    """The paper's training accuracy, or its words in place of a number."""
    if pd.notna(row.paper_train_accuracy):
        return percent(row.paper_train_accuracy) + mark
    return row.paper_note if pd.notna(row.paper_note) else MISSING


def percent(value: float) -> str:
    """A published accuracy."""
    return MISSING if pd.isna(value) else f"{value:.2f}"
