"""Tables of ablations: each cell with its own settings and with a variant's."""

import pandas as pd

from rethinking import registry
from rethinking.analysis.ablations import COLUMNS
from rethinking.analysis.descriptions import describe_scale, span
from rethinking.paper.titles import MODEL_TITLES
from rethinking.tables.presentation import (
    ACCURACIES,
    MEANS,
    Columns,
    View,
    comparable,
    data_sets,
    measured,
    paper_note,
    percent,
    published,
    regulariser_titles,
    short_label,
    starts_block,
)
from rethinking.tables.rendering import MISSING, Shown, with_intervals


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


@registry.table("ablations", title="Ablations: what if a guessed setting were another", script="compare_ablations")
def ablations() -> View:
    """Variants of settings that the paper leaves open."""
    return View(COLUMNS, present_ablations, note_ablations)
