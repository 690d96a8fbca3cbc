"""Table 2: Inception V3 on ImageNet, top-1 and top-5 accuracies, and the best over the epochs in parentheses."""

import pandas as pd

from rethinking import paper, registry
from rethinking.analysis.aggregation import TABLE2_COLUMNS
from rethinking.analysis.descriptions import describe_scale
from rethinking.paper.titles import SPLIT_TITLES
from rethinking.tables.presentation import (
    MEANS,
    View,
    beside_paper,
    comparable,
    data_sets,
    measured,
    percent,
    short_label,
    yes_or_no,
)
from rethinking.tables.rendering import Shown

REGULARISERS = {"augment": ("data", "augmentation"), "dropout": ("", "dropout"), "wd": ("weight", "decay")}


def present_table2(table: pd.DataFrame) -> list[Shown]:
    """Table 2 in the shape of the paper's."""
    columns = data_sets(table)
    columns["", "labels"] = table.corruption.map(short_label)
    for name, heading in REGULARISERS.items():
        columns[heading] = yes_or_no(table, name)
    for split, title in SPLIT_TITLES.items():
        for k, ending in ((1, ""), (5, "_top5")):
            key = f"{split}_accuracy{ending}"
            if k == 5 and table[key].isna().all() and table.seeds.any():
                continue  # not measured with ten classes
            heading = f"top-{k} {title} accuracy (%)"
            columns[heading, "ours"] = [with_best(measured(row, key), row, key) for _, row in table.iterrows()]
            columns[heading, "paper"] = [
                with_best(percent(row[f"paper_{key}"]), row, key, "paper_") for _, row in table.iterrows()
            ]
    return [Shown("", comparable(table, columns))]


def with_best(text: str, row: pd.Series, key: str, prefix: str = "") -> str:
    """A test accuracy with the best over the epochs in parentheses, where there is one."""
    best = row.get(f"{prefix}best_{key}")
    return text if best is None or pd.isna(best) else f"{text} ({best:.2f})"


def note_table2(table: pd.DataFrame) -> str:
    """Data, scale, seeds and what is compared."""
    text = (
        f"Ours: {describe_scale(table)}.\nAccuracies are those of the network after its last epoch, on images without "
        f"augmentation: {MEANS}. In parentheses: the best test accuracy over the epochs."
    )
    if not beside_paper(table):
        return text
    return f"{text} Paper: Zhang et al. (2017), ImageNet with 1.28 million images. {paper.inconsistency('table2')}"


@registry.table("table2", title="Table 2: Inception V3 on ImageNet", script="aggregate_table")
def table2() -> View:
    """The paper's table 2: top-1 and top-5 accuracies."""
    return View(TABLE2_COLUMNS, present_table2, note_table2)
