"""Tables for readers: Markdown and LaTeX in the shape of the paper's table 1."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import pandas as pd

from rethinking.cells import REGULARISERS
from rethinking.statistics import CONFIDENCE
from rethinking.tables import describe_scale
from rethinking.titles import DATASET_TITLES, MODEL_TITLES, REGULARISER_HEADINGS

MISSING = "—"
LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "±": r"$\pm$",
        "×": r"$\times$",
        MISSING: "---",
    }
)


def to_markdown(table: pd.DataFrame) -> str:
    """Render a frame of :func:`aggregate_accuracy` in the shape of the paper's table 1, with a note below."""
    shown = present(table)
    alignment = ["right" if align(column) == "r" else "left" for column in shown]
    shown.columns = [" ".join(filter(None, heading)) for heading in shown]
    # disable_numparse: the cells are finished text.
    text = shown.to_markdown(index=False, disable_numparse=True, colalign=alignment)
    return f"{text}\n\n{note(table)}\n"


def to_latex(table: pd.DataFrame) -> str:
    r"""Render as :func:`to_markdown` does, as a ``tabular`` for ``\input`` into a document with booktabs."""
    shown = present(table)
    top, rules, column = [], [], 1
    for heading, group in groupby(heading for heading, _ in shown):
        width = len(list(group))
        if heading and width > 1:
            top.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(heading)}}}")
            rules.append(rf"\cmidrule(lr){{{column}-{column + width - 1}}}")
        else:
            top += [escape(heading)] * width
        column += width
    body = []
    for cells in shown.itertuples(index=False, name=None):
        if body and cells[0]:
            body.append(r"\addlinespace")
        body.append(latex_row(map(escape, cells)))
    lines = [
        "% Needs the package booktabs.",
        r"\begingroup\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\begin{{tabular}}{{@{{}}{''.join(map(align, shown))}@{{}}}}",
        r"\toprule",
        latex_row(top),
        *rules,
        latex_row(escape(heading) for _, heading in shown),
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        rf"\par\smallskip\noindent {escape(note(table))}\par",
        r"\endgroup",
    ]
    return "\n".join(lines) + "\n"


def present(table: pd.DataFrame) -> pd.DataFrame:
    """The text of every cell of a rendered table; columns are headings of two lines."""
    blocks = table[["dataset", "model"]]
    first = (blocks != blocks.shift()).any(axis=1)
    parameters = table.groupby(first.cumsum()).parameters.transform("first")
    columns: dict[tuple[str, str], Any] = {}
    if table.dataset.nunique() > 1:
        columns["", "data set"] = table.dataset.map(DATASET_TITLES).where(first, "")
    columns["", "model"] = table.model.map(MODEL_TITLES).where(first, "")
    columns["", "parameters"] = parameters.map(lambda n: MISSING if pd.isna(n) else f"{n:,}").where(first, "")
    for regulariser in REGULARISERS:
        used = table.regularisers.map(lambda names, wanted=regulariser: wanted in names.split("+"))
        if used.any():
            columns[REGULARISER_HEADINGS[regulariser]] = used.map({True: "yes", False: "no"})
    columns["", "labels"] = table.corruption.map(lambda name: name.removesuffix("_labels").replace("_", " "))
    for split, title in (("train", "training accuracy (%)"), ("test", "test accuracy (%)")):
        columns[title, "ours"] = [measured(row, f"{split}_accuracy") for _, row in table.iterrows()]
        columns[title, "paper"] = table[f"paper_{split}_accuracy"].map(
            lambda value: MISSING if pd.isna(value) else f"{value:.2f}"
        )
    return pd.DataFrame(columns)


def measured(row: pd.Series, column: str) -> str:
    """Mean and half width; with the training accuracy, how many of the seeds diverged."""
    parts = []
    if row.seeds:
        half_width = row[f"{column}_ci"]
        parts.append(f"{row[column]:.2f}" + ("" if pd.isna(half_width) else f" ± {half_width:.2f}"))
    if row.diverged and column == "train_accuracy":
        parts.append(f"diverged ({row.diverged} of {row.seeds + row.diverged})")
    return ", ".join(parts) or MISSING


def note(table: pd.DataFrame) -> str:
    """What a reader must know beside the numbers: data, scale, seeds and what is compared."""
    text = (
        f"Ours: {describe_scale(table)}. Accuracies are those of the network after its last epoch, on images "
        "without augmentation: means over the seeds that did not diverge, ± half width of the "
        f"{CONFIDENCE:.0%} Student-t interval (a single seed has none). "
        "Paper: Zhang et al. (2017), CIFAR-10 at full scale."
    )
    some_missing = (table.seeds + table.diverged == 0).any() or table.paper_test_accuracy.isna().any()
    return f"{text} {MISSING}: not available." if some_missing else text


def align(heading: tuple[str, str]) -> str:
    """How a rendered column is aligned: numbers right, words left."""
    return "r" if heading[1] in ("parameters", "ours", "paper") else "l"


def latex_row(cells: Iterable[str]) -> str:
    """One row of a ``tabular``."""
    return " & ".join(cells) + r" \\"


def escape(text: str) -> str:
    """Plain text for LaTeX."""
    return text.translate(LATEX)
