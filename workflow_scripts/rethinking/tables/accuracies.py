"""Tables 1 and 4: accuracies of networks on true and random labels, with and without regularisers."""

import pandas as pd

from rethinking import registry
from rethinking.analysis.aggregation import COLUMNS, TABLE4_COLUMNS
from rethinking.analysis.descriptions import describe_scale
from rethinking.paper.titles import REGULARISER_HEADINGS
from rethinking.tables.presentation import (
    ACCURACIES,
    MEANS,
    View,
    comparable,
    measured,
    network_columns,
    paper_note,
    percent,
    published,
    regulariser_titles,
    short_label,
    yes_or_no,
)
from rethinking.tables.rendering import Shown


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


@registry.table("table1", title="Table 1: the same networks fit true and random labels", script="aggregate_table")
def table1() -> View:
    """The paper's table 1: accuracies on true and random labels."""
    return View(COLUMNS, present_table1, note_table1)


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
    starred = table[table.regularisers.map(augmented)]
    if len(starred):
        whose = ", ours and the paper's" if starred.paper_train_accuracy.notna().any() else ""
        text += f" *: accuracy over the augmented training batches of the last epoch{whose}."
    return text + paper_note(table)


def augmented(regularisers: str) -> bool:
    """Whether a network sees altered images in training; if so, the paper gives the accuracy on these."""
    entries = [registry.find("regulariser", name) for name in regularisers.split("+")]
    return any(entry and "images" in entry.arguments for entry in entries)


@registry.table(
    "table4",
    title="Table 4: fitting random labels with explicit regularisers",
    script="aggregate_table",
)
def table4() -> View:
    """The paper's table 4: random labels with regularisers."""
    return View(TABLE4_COLUMNS, present_table4, note_table4)
