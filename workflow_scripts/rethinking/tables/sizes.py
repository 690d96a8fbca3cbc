"""The table of sizes: the networks have more parameters than there are training images."""

import pandas as pd

from rethinking import registry
from rethinking.analysis.descriptions import describe_copies
from rethinking.analysis.sizes import COLUMNS
from rethinking.paper.titles import DATASET_TITLES, MODEL_TITLES
from rethinking.tables.presentation import Columns, View, beside_paper, comparable, starts_block
from rethinking.tables.rendering import Shown, texts


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
    ours = table.outputs[(table.dataset == "imagenet") & (table.model == "inception_v3")]
    if len(ours):
        outputs = (
            f"The count listed for Inception V3 has 1008 outputs and running statistics, ours {ours.iloc[0]} and none. "
        )
    place = ""
    if (table.dataset == "imagenet").any():
        place = (
            " For networks on ImageNet its numbers are those of zhang2017.json; their place in the paper is not known."
        )
    return f"{text}\n{outputs}Paper: Zhang et al. (2017).{place}"


@registry.table("sizes", title="Sizes: more parameters than training images", script="count_sizes")
def sizes() -> View:
    """Parameters and training images."""
    return View(
        COLUMNS, present_sizes, note_sizes, "not in the paper, or the data set is not here or has fewer classes"
    )
