"""Tables of finished text as Markdown and LaTeX.

A table's columns are headings of two lines; its cells are text. The other modules of this folder make such tables
from the CSVs.
"""

import math
import re
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

import pandas as pd

MISSING = "—"
LARGE = 1e9  # from here on numbers have a power of ten, ``3.2e+12``, because nobody counts their digits
LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{character: f"\\{character}" for character in "&%$#_{}"},
        "\N{NO-BREAK SPACE}": "~",
        "±": r"$\pm$",
        "×": r"$\times$",
        "→": r"$\rightarrow$",
        "−": r"$-$",
        "τ": r"$\tau$",
        "√": r"$\surd$",
        "≪": r"$\ll$",
        "≤": r"$\leq$",
        "≥": r"$\geq$",
        "α": r"$\alpha$",
        # In the usual encoding of fonts these three are ¡, ¿ and a dash.
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "–": "--",
        MISSING: "---",
    }
)
# What Markdown, or GitHub's, would take for more than text. Behind a letter or digit an underscore begins nothing, so
# ``random_labels`` stays as it is.
MARKS = re.compile(r"[\\`*\[\]~$]|(?<!\w)_+|<(?=[\w/!?])|&(?=[\w#])")


class Shown(NamedTuple):
    """A table as readers see it."""

    title: str  # above it; may be empty
    table: pd.DataFrame


def texts(values: Iterable[float], form: str) -> list[str]:
    """Numbers in a format; a missing one has a dash in its place."""
    return [MISSING if pd.isna(value) else form.format(value) for value in values]


def with_interval(mean: float, half_width: float, form: str) -> str:
    """For example ``+1.20 ± 0.30``."""
    if pd.isna(mean):
        return MISSING
    if max(abs(mean), half_width) >= LARGE:
        form = "{:.1e}"
    text = form.format(mean).replace("-", "−")
    return text if pd.isna(half_width) else f"{text} ± {form.replace('+', '').format(half_width)}"


def lowest_to_highest(lowest: float, highest: float) -> str:
    """Two numbers of any size with four digits, ``79,310 to 763,200``; one where they are the same."""
    ends = []
    for value in (lowest, highest):
        places = 3 - math.floor(math.log10(abs(value))) if 0 < abs(value) < LARGE else 0
        ends.append(with_interval(round(value, places), math.nan, f"{{:,.{max(places, 0)}f}}"))
    return " to ".join(dict.fromkeys(ends))


def with_intervals(table: pd.DataFrame, column: str, form: str) -> list[str]:
    """The means of a column with the half widths beside it."""
    return [
        with_interval(mean, half_width, form)
        for mean, half_width in zip(table[column], table[f"{column}_ci"], strict=True)
    ]


def to_markdown(tables: Sequence[Shown], note: str) -> str:
    """Render tables of plain text, with a note below, also plain text."""
    parts = []
    for title, table in tables:
        headings = [in_cell(" ".join(filter(None, heading))) for heading in table]
        # disable_numparse: the cells are finished text.
        text = (
            table.map(in_cell)
            .set_axis(headings, axis=1)
            .to_markdown(index=False, disable_numparse=True, colalign=alignment(table))
        )
        parts += [f"**{in_markdown(title)}**", text] if title else [text]
    return "\n\n".join([*parts, in_markdown(note)]) + "\n"


def in_markdown(text: str) -> str:
    """Plain text for a paragraph of Markdown, where no sign in it means anything."""
    return MARKS.sub(lambda found: "".join(f"\\{sign}" for sign in found[0]), text)


def in_cell(text: str) -> str:
    """Plain text for a cell of a Markdown table; a plug-in's can have several lines."""
    return in_markdown(text).replace("|", r"\|").replace("\n", " ")


def to_latex(tables: Sequence[Shown], note: str) -> str:
    r"""Render as :func:`to_markdown` does, each as a ``tabular`` for ``\input``, made smaller if it is wider than the text."""
    lines = [
        "% Needs the packages booktabs and graphicx. A table wider than the text is made smaller; where that is too small to",
        r"% read, put \input between \begin{landscape} and \end{landscape} of the package pdflscape.",
        r"\begingroup\footnotesize\setlength{\tabcolsep}{4pt}",
    ]
    for title, table in tables:
        if title:
            lines += [rf"\par\medskip\noindent\textbf{{{escape(title)}}}\par\smallskip"]
        width = r"\ifdim\width>\linewidth\linewidth\else\width\fi"
        lines += [rf"\noindent\resizebox{{{width}}}{{!}}{{%", f"{tabular(table)}}}"]
    lines += [rf"\par\smallskip\noindent {escape(note)}\par", r"\endgroup"]
    return "\n".join(lines) + "\n"


def tabular(table: pd.DataFrame) -> str:
    """One ``tabular``, with a rule under each heading over several columns and space above each new block of rows."""
    shown = table.map(escape)
    shown.iloc[1:, 0] = shown.iloc[1:, 0].map(lambda cell: cell and rf"\addlinespace {cell}")
    rules, column = "", 1
    for heading, group in groupby(heading for heading, _ in table):
        width = len(list(group))
        if heading and width > 1:
            rules += rf"\cmidrule(lr){{{column}-{column + width - 1}}} "
        column += width
    top, (first, *others) = ([escape(heading) for heading in line] for line in zip(*table, strict=True))
    shown.columns = pd.MultiIndex.from_arrays([top, [rules + first, *others]])
    columns = "".join(side[0] for side in alignment(table))
    style = shown.style.hide(axis="index")
    return style.to_latex(column_format=f"@{{}}{columns}@{{}}", hrules=True, multicol_align="c").rstrip()


def alignment(table: pd.DataFrame) -> list[str]:
    """How each column of finished text is aligned: ``right`` if any cell is a number or all are missing, or else ``left``."""
    # "5 of 10" is one, "25 epochs; 1 seed" is none.
    numbers = table.apply(lambda column: column.str.match(r"[+−-]?\d(?!.*[a-z]{3})").any() or column.eq(MISSING).all())
    return ["right" if number else "left" for number in numbers]


def escape(text: str) -> str:
    """Plain text for LaTeX."""
    return text.translate(LATEX)
