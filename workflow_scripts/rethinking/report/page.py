"""One HTML file with the finding, every table, figure and claim, and where the numbers come from.

It needs neither network nor scripts. Tables come from the Markdown and figures from the SVG that other rules have
written; both are placed into ``report.html.jinja``, in the order of ``layout.yaml``. All text from files is escaped.
"""

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from rethinking.analysis.descriptions import unbroken
from rethinking.claims.report import not_judged
from rethinking.entries import Entry
from rethinking.report.claims import PAPER, by_section, count, not_run, origins
from rethinking.report.layout import FINDING, Shown, entry_of, sections
from rethinking.report.provenance import (
    Network,
    below_full_scale,
    network_rows,
    overview,
    provenance,
    run_times,
    total_time,
)
from rethinking.run.files import read_text, reading

TEMPLATE = Path(__file__).with_name("report.html.jinja")
# Other files of a table or figure, for programs and for print.
LINKED = {"csv": "CSV", "pdf": "PDF", "png": "PNG", "svg": "SVG", "tex": "LaTeX"}
SIGN = re.compile(r"(?:\\\*|—|In parentheses): .*?\.(?: |$)")  # a sentence of a note on a sign in its table
# Markdown may contain anything, so HTML is escaped and images, which a browser would fetch, are dropped.
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


@dataclass(frozen=True)
class Part:
    """A table or figure on the page."""

    shown: Shown
    content: Markup
    scale: Markup  # what ours was measured on, and signs in a table; empty for figures, which say it themselves
    method: Markup  # the rest of the note below a table
    links: dict[str, str]  # text -> file beside the report

    @property
    def entry(self) -> Entry:
        """Its registration."""
        return self.shown.entry


# ---- the whole


def render(
    artefacts: Mapping[str, Path],
    networks: Sequence[Network],
    claims: pd.DataFrame,
    unjudged: Sequence[str],
    finding: Sequence[str],
    asked_for: int,
) -> str:
    """The report as an HTML document.

    Args:
        artefacts: name, as registered -> its file; others are listed as missing.
        networks: those behind them, in the order in which they are listed.
        claims: ``claims.csv``, with :data:`rethinking.claims.report.COLUMNS`.
        unjudged: names of the data sets that none of the paper's claims is judged on.
        finding: the finding in one sentence, and the data that it was measured on; empty where it is left out.
        asked_for: how many networks there should be.

    Raises:
        UserError: a file is missing or malformed; the message names it.
    """
    known = [each.entry.name for section in sections() for each in section.shown] + [FINDING]
    parts: dict[str, list[Part]] = {}
    for section in sections():
        for each in section.shown:
            if each.entry.name in artefacts:
                parts.setdefault(section.heading, []).append(part(each, artefacts[each.entry.name]))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = unbroken
    picture = part(Shown(entry_of(FINDING), "", ""), artefacts[FINDING]) if FINDING in artefacts else None
    return environment.get_template(TEMPLATE.name).render(
        finding=list(finding),
        picture=picture,
        sections=list(parts.items()),
        left_out=[entry_of(name).title for name in known if name not in artefacts],
        counts=count(claims),
        origins=origins(claims),
        claims=by_section(claims),
        not_run=not_run(claims),
        not_judged=not_judged(unjudged),
        judged=PAPER in origins(claims),
        below_full_scale=below_full_scale(networks),
        overview=overview(networks, asked_for),
        facts=provenance(networks),
        run_times=run_times(networks),
        total=total_time(networks),
        networks=network_rows(networks),
    )


def part(shown: Shown, path: Path) -> Part:
    """A table or figure from its file.

    Raises:
        UserError: it cannot be read or is no figure.
    """
    title = shown.entry.title
    text = read_text(path)
    files = {name: path.with_suffix(f".{ending}") for ending, name in LINKED.items()}
    links = {name: file.name for name, file in files.items() if file.exists()}
    if shown.entry.kind == "table":
        tables, *note = split_note(unbroken(text))
        scale, method = (Markup(MARKDOWN.renderInline(each)) for each in note)
        return Part(shown, markdown_html(tables, title), scale, method, links)
    with reading(path):
        return Part(shown, svg_image(text, title, f"{shown.entry.name}-caption"), Markup(), Markup(), links)


# ---- Markdown and SVG as parts of a page


def split_note(text: str) -> tuple[str, str, str]:
    """A rendered table without the note below it; of the note what readers need at once, and the rest.

    Needed at once are its first line, up to the data, and what signs in the table mean.
    """
    tables, separator, note = text.rstrip().rpartition("\n\n")
    if not separator or note.startswith("|"):
        return text, "", ""
    scale, _, rest = note.partition("\n")
    at_once = [scale, *SIGN.findall(rest)]
    return tables, " ".join(map(str.strip, at_once)), SIGN.sub("", rest).strip()


def markdown_html(text: str, label: str) -> Markup:
    """Markdown as HTML, with headings below those of the page and scrolling tables.

    ``label`` names the tables for screen readers.
    """
    tokens = MARKDOWN.parse(text)
    for token in tokens:
        if token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type.startswith("heading"):
            token.tag = f"h{min(int(token.tag[1]) + 3, 6)}"
    html = MARKDOWN.renderer.render(tokens, MARKDOWN.options, {})
    # Text is escaped, so it cannot contain these tags.
    return Markup(
        html.replace(
            "<table>", f'<div class="scroll" role="region" aria-label="{escape(label)}" tabindex="0"><table>'
        ).replace("</table>", "</table></div>")
    )


def svg_image(text: str, title: str, caption: str) -> Markup:
    """An SVG document as an ``<img>``, which isolates its identifiers and styles; nothing in it is fetched or run.

    Args:
        text: the document.
        title: the text for screen readers.
        caption: identifier of the element that describes it.

    Raises:
        ParseError: it is not XML.
        ValueError: it is not SVG.
    """
    if not ElementTree.fromstring(text).tag.endswith("}svg"):
        raise ValueError("its root is no <svg>")
    data = b64encode(text.encode()).decode()
    return Markup('<img src="data:image/svg+xml;base64,{}" alt="{}" aria-describedby="{}">').format(
        data, title, caption
    )
