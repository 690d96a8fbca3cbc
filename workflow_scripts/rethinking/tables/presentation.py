"""From CSVs to tables for readers, in the paper's shape, with its numbers beside ours and a note on scale."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from rethinking import registry
from rethinking.analysis.ablations import COLUMNS as ABLATION_COLUMNS
from rethinking.analysis.aggregation import COLUMNS, TABLE4_COLUMNS, paper_has
from rethinking.analysis.descriptions import describe_copies, describe_scale, span
from rethinking.analysis.statistics import LEVEL
from rethinking.paper.titles import DATASET_TITLES, MODEL_TITLES, REGULARISER_HEADINGS
from rethinking.tables.rendering import MISSING, Shown, texts, with_interval, with_intervals
from rethinking.tables.sizes import COLUMNS as SIZES_COLUMNS

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
    note: Callable[
        [pd.DataFrame], str
    ]  # below: a line on what was measured, which the report always shows, and the rest
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


# ---- table 1


def present_table1(table: pd.DataFrame) -> list[Shown]:
    """Table 1 in the shape of the paper's: each network is one block, in the order of their first rows."""
    networks = table.groupby(["dataset", "model"], sort=False).ngroup()
    table = table.loc[networks.sort_values(kind="stable").index].reset_index(drop=True)
    columns = network_columns(table)
    for regulariser, heading in REGULARISER_HEADINGS.items():
        used = yes_or_no(table, regulariser)
        if "yes" in used:
            columns[heading] = used
    columns["", "labels"] = table.corruption.map(short_label)
    for split, title in ACCURACIES.items():
        columns[title, "ours"] = [measured(row, f"{split}_accuracy") for _, row in table.iterrows()]
        columns[title, "paper"] = table[f"paper_{split}_accuracy"].map(percent)
    return [Shown("", comparable(table, columns))]


def note_table1(table: pd.DataFrame) -> str:
    """Data, scale, seeds and what is compared."""
    return (
        f"Ours: {describe_scale(table)}.\nAccuracies are those of the network after its last epoch, on images "
        f"without augmentation: {MEANS}.{paper_note(table)}"
    )


# ---- table 4


def present_table4(table: pd.DataFrame) -> list[Shown]:
    """Table 4 in the shape of the paper's; a star marks accuracies on augmented images."""
    columns = network_columns(table)
    columns["", "regularisers"] = table.regularisers.map(regulariser_titles)
    if set(table.corruption) != {"random_labels"}:
        columns["", "labels"] = table.corruption.map(short_label)
    ours, paper = [], []
    for _, row in table.iterrows():
        star = "*" if augmented(row.regularisers) else ""
        ours.append(measured(row, "train_accuracy_online" if star else "train_accuracy", mark=star))
        paper.append(published(row, mark=star))
    columns["training accuracy (%)", "ours"] = ours
    columns["training accuracy (%)", "paper"] = paper
    return [Shown("", comparable(table, columns))]


def note_table4(table: pd.DataFrame) -> str:
    """Data, scale, seeds and what is compared."""
    labels = "Random labels. " if set(table.corruption) == {"random_labels"} else ""
    text = (
        f"{labels}Ours: {describe_scale(table)}.\nAccuracies are those of the network after its last epoch, on images "
        f"without augmentation, {MEANS}."
    )
    if table.regularisers.map(augmented).any():
        whose = ", ours and the paper's" if beside_paper(table) else ""
        text += f" *: accuracy over the augmented training batches of the last epoch{whose}."
    return text + paper_note(table)


def augmented(regularisers: str) -> bool:
    """Whether a network sees altered images in training; if so, the paper gives the accuracy on these."""
    entries = [registry.find("regulariser", name) for name in regularisers.split("+")]
    return any(entry and "images" in entry.arguments for entry in entries)


# ---- sizes


def present_sizes(table: pd.DataFrame) -> list[Shown]:
    """Parameters, training images and their ratio, beside the paper's."""
    first = starts_block(table, "dataset", "input_size")
    columns: Columns = {
        ("", "data set"): table.dataset.map(DATASET_TITLES).where(first, ""),
        ("", "images"): table.input_size.map(lambda size: f"{size}×{size}").where(first, ""),
        ("", "model"): table.model.map(lambda name: MODEL_TITLES.get(name, name)),
    }
    for column, title, form in (
        ("parameters", "parameters p", "{:,}"),
        ("train_images", "training images n", "{:,}"),
        ("parameters_per_image", "p / n", "{:,.1f}"),
    ):
        for name, whose in ((column, "ours"), (f"paper_{column}", "paper")):
            columns[title, whose] = texts(table[name], form)
    return [Shown("", comparable(table, columns))]


def note_sizes(table: pd.DataFrame) -> str:
    """Data behind the counts."""
    text = f"Ours: {describe_copies(table.data.dropna())}; trainable parameters of the networks as they are built here."
    if not beside_paper(table):
        return text
    outputs = ""
    if ((table.dataset == "imagenet") & (table.model == "inception_v3")).any():
        outputs = "The paper's count for Inception V3 has 1008 outputs and running statistics, ours 1000 and none. "
    return f"{text}\n{outputs}Paper: Zhang et al. (2017)."


# ---- ablations


def present_ablations(table: pd.DataFrame) -> list[Shown]:
    """One table per question: each cell with its own settings and with the variant's, where that is trained."""
    table = table[has_variant(table)]
    return [
        Shown(question, present_question(table[table.question == question]))
        for question in dict.fromkeys(table.question)
    ]


def has_variant(table: pd.DataFrame) -> pd.Series:
    """Which rows of ``ablations.csv`` have a trained variant; the others say nothing that table 1 does not."""
    return table.seeds + table.diverged > 0


def present_question(table: pd.DataFrame) -> pd.DataFrame:
    """The variants that answer one question."""
    columns: Columns = {("", "name"): table.variant.where(starts_block(table, "variant"), "")}
    columns["", "changed"] = table.changes.fillna(MISSING)
    columns |= data_sets(table) | {("", "model"): table.model.map(MODEL_TITLES)}
    columns["", "regularisers"] = table.regularisers.map(regulariser_titles)
    columns["", "labels"] = table.corruption.map(short_label)
    rows = [row for _, row in table.iterrows()]
    for split, title in ACCURACIES.items():
        accuracy = f"{split}_accuracy"
        columns[title, "default"] = [measured(row, accuracy, prefix="default_") for row in rows]
        columns[title, "variant"] = [measured(row, accuracy) for row in rows]
        columns[title, "difference"] = with_intervals(table, f"{split}_difference", "{:+.2f}")
        columns[title, "paper"] = table[f"paper_{accuracy}"].map(percent)
    columns["training accuracy (%)", "paper"] = list(map(published, rows))
    return comparable(table, columns)


def note_ablations(table: pd.DataFrame) -> str:
    """Data, scale, seeds and what is compared."""
    found = table[has_variant(table)]
    absent = len(table) - len(found)
    return (
        f"Ours: {describe_scale(found)}; differences from {span([*found.pairs] or [0], 'pair')} of networks with the same "
        f"seed.\n{f'{absent} of {len(table)} cells with a change are not trained and have no row. ' if absent else ''}"
        "Default: the cell with the configuration's own settings; variant: the same cell, with the same "
        "random draws, with what is changed; difference: variant minus default. "
        "Accuracies are those of the network after its last epoch, on images without augmentation: "
        f"{MEANS}; the interval of a difference is over the pairs.{paper_note(table)}"
    )


# ---- registrations


@registry.table("table1", title="Table 1: the same networks fit true and random labels", script="aggregate_table")
def table1() -> View:
    """The paper's table 1: accuracies on true and random labels."""
    return View(COLUMNS, present_table1, note_table1)


@registry.table(
    "table4",
    title="Table 4: explicit regularisers do not prevent fitting random labels",
    script="aggregate_table",
)
def table4() -> View:
    """The paper's table 4: random labels with regularisers."""
    return View(TABLE4_COLUMNS, present_table4, note_table4)


@registry.table("sizes", title="Sizes: more parameters than training images", script="count_sizes")
def sizes() -> View:
    """Parameters and training images."""
    return View(SIZES_COLUMNS, present_sizes, note_sizes, "not in the paper, or the data set is not here")


@registry.table("ablations", title="Ablations: what if a guessed setting were another", script="compare_ablations")
def ablations() -> View:
    """Variants of settings that the paper leaves open."""
    return View(ABLATION_COLUMNS, present_ablations, note_ablations)


# ---- parts


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
