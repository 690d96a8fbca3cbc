"""One HTML file with every table, figure and claim, and where the numbers come from.

It needs neither network nor scripts. Tables come from the Markdown and figures from the SVG that other rules have
written; both are placed into ``report.html.jinja``. All text from files is escaped.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, get_args
from xml.etree import ElementTree

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from rethinking import registry
from rethinking.claims.verdicts import Verdict
from rethinking.registrations import SHOWN
from rethinking.report.provenance import (
    Network,
    below_full_scale,
    network_rows,
    overview,
    provenance,
    run_times,
    total_time,
)
from rethinking.run.files import UserError

TEMPLATE = Path(__file__).with_name("report.html.jinja")
SECTIONS = {"table": "Tables", "figure": "Figures", "claims": "Claims"}
VERDICTS = get_args(Verdict)

# Markdown may contain anything, so HTML is escaped and images, which a browser would fetch, are dropped.
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


# ---- the whole


class Artefact(NamedTuple):
    """A table or figure, or the claims."""

    name: str
    kind: str
    title: str
    caption: str  # what the paper shows, what to look for, how ours differs

    @property
    def filename(self) -> str:
        """Its file in the folder of the results."""
        return f"{self.name}.{'svg' if self.kind == 'figure' else 'md'}"


def known_artefacts() -> list[Artefact]:
    """All tables and figures, in the order of their captions."""
    titles = {each.name: (kind, each.title) for kind in SHOWN for each in registry.entries(kind)}
    titles["claims"] = "claims", "What the paper states, checked against our numbers"
    captions = yaml.safe_load(Path(__file__).with_name("captions.yaml").read_text(encoding="utf-8"))
    return [Artefact(name, *titles[name], caption) for name, caption in captions.items()]


def render(
    artefacts: Mapping[str, Path],
    networks: Sequence[Network],
    claims: pd.DataFrame | None = None,
    asked_for: int | None = None,
) -> str:
    """The report as an HTML document.

    Args:
        artefacts: name, as in :func:`known_artefacts` -> its file; others are listed as missing.
        networks: those behind them, in the order in which they are listed.
        claims: a frame with a column ``verdict``, counted in the summary.
        asked_for: how many networks there should be; by default as many as there are.

    Raises:
        UserError: a file is missing or malformed, or a name is unknown; the message names it.
    """
    everything = known_artefacts()
    known = {artefact.name for artefact in everything}
    if unknown := set(artefacts) - known:
        raise UserError(
            f"no such table or figure: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}"
        )
    sections = []
    for kind, title in SECTIONS.items():
        entries = [
            (artefact, read_artefact(artefact, artefacts[artefact.name]), artefacts[artefact.name])
            for artefact in everything
            if artefact.kind == kind and artefact.name in artefacts
        ]
        if entries:
            sections.append((kind, title, entries))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE.name).render(
        sections=sections,
        left_out=[artefact.title for artefact in everything if artefact.name not in artefacts],
        verdicts=None if claims is None else count_verdicts(claims),
        below_full_scale=below_full_scale(networks),
        overview=overview(networks, len(networks) if asked_for is None else asked_for),
        facts=provenance(networks),
        run_times=run_times(networks),
        total=total_time(networks),
        networks=network_rows(networks),
    )


def read_artefact(artefact: Artefact, path: Path) -> Markup:
    """The HTML of a table or figure."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} ({artefact.title}) cannot be read ({error}); delete it to have it made again"
        ) from error
    if artefact.kind == "figure":
        try:
            return svg_image(text, artefact.title, f"{artefact.name}-caption")
        except ValueError as error:
            raise UserError(
                f"{path} ({artefact.title}) is no figure to show: {error}; delete it to have it made again"
            ) from error
    return markdown_html(text, artefact.title)


def count_verdicts(claims: pd.DataFrame) -> dict[str, int]:
    """How many claims have each verdict."""
    counts = Counter(claims.verdict)
    if unknown := set(counts) - set(VERDICTS):
        raise UserError(
            f"unknown verdict {', '.join(map(repr, unknown))} of a claim; known: {', '.join(VERDICTS)}"
        )
    return {verdict: counts[verdict] for verdict in VERDICTS}


# ---- Markdown and SVG as parts of a page


def markdown_html(text: str, label: str) -> Markup:
    """Markdown as HTML, with headings below those of the page, scrolling tables and coloured verdicts.

    ``label`` names the tables for screen readers.
    """
    tokens = MARKDOWN.parse(text)
    for token in tokens:
        if token.type == "th_open":
            token.attrSet("scope", "col")
        elif token.type.startswith("heading"):
            token.tag = f"h{min(int(token.tag[1]) + 3, 6)}"
        for child, following in pairwise(token.children or []):
            if child.type == "strong_open" and following.content in VERDICTS:
                child.attrSet("class", f"verdict {following.content}")
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
        ValueError: it is not SVG.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"not SVG ({error})") from error
    if not root.tag.endswith("}svg"):
        raise ValueError("its root is no <svg>")
    data = b64encode(text.encode()).decode()
    return Markup('<img src="data:image/svg+xml;base64,{}" alt="{}" aria-describedby="{}">').format(
        data, title, caption
    )
