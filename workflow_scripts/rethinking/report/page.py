"""One HTML file in which every table, figure and claim can be read, with where the numbers come from.

It needs neither network nor scripts. Tables are the Markdown that other rules have written, figures their SVG,
both placed into ``report.html.jinja``; all text from files is escaped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from rethinking.claims.verdicts import Verdict
from rethinking.report.artefacts import ARTEFACTS, Artefact
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
SECTIONS = {
    "table": "Tables",
    "figure": "Figures",
    "claims": "Claims",
    "ablation": "Ablations",
}
VERDICTS = get_args(Verdict)

# What matplotlib draws with; anything else, such as a script, has no place in a figure.
SVG = "{http://www.w3.org/2000/svg}"
DRAWING = {
    *("svg", "g", "defs", "style", "title", "desc", "path", "rect", "circle", "ellipse", "line", "polyline"),
    *("polygon", "text", "tspan", "use", "clipPath", "mask", "image", "marker", "pattern", "linearGradient"),
    *("radialGradient", "stop"),
}
# Text that was Markdown may hold anything: no HTML passes, and no image, which a browser would fetch.
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


# ---- the whole


def render(
    artefacts: Mapping[str, Path],
    networks: Sequence[Network],
    claims: pd.DataFrame | None = None,
    asked_for: int | None = None,
) -> str:
    """The report as an HTML document.

    Args:
        artefacts: name, as in :data:`rethinking.report.artefacts.ARTEFACTS` -> its file; those left out are listed as such.
        networks: those behind them, in the order in which they are listed.
        claims: a frame with a column ``verdict``, counted in the summary.
        asked_for: how many networks there should be; as many as there are if not said.

    Raises:
        UserError: a file is missing or not what it should be, or a name is unknown; the message names it.
    """
    known = {artefact.name for artefact in ARTEFACTS}
    if unknown := set(artefacts) - known:
        raise UserError(
            f"no such table or figure: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}"
        )
    sections = []
    for kind, title in SECTIONS.items():
        entries = [
            (artefact, read_artefact(artefact, artefacts[artefact.name]), artefacts[artefact.name])
            for artefact in ARTEFACTS
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
        left_out=[artefact.title for artefact in ARTEFACTS if artefact.name not in artefacts],
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
            return inline_svg(text, artefact.name)
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
    """Markdown with tables as HTML: headings below a page's own, scrolling tables, coloured verdicts.

    ``label`` names the tables to those who hear the page.
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
    # Text is escaped and cannot hold these tags.
    return Markup(
        html.replace(
            "<table>", f'<div class="scroll" role="region" aria-label="{escape(label)}" tabindex="0"><table>'
        ).replace("</table>", "</table></div>")
    )


def inline_svg(text: str, name: str) -> Markup:
    """An SVG document as an element of a page in which there are others.

    Identifiers and what refers to them get ``name`` as prefix, styles hold inside the figure alone, metadata are
    left out. The page must have elements ``{name}-title`` and ``{name}-caption``, which name and describe it.

    Raises:
        ValueError: it is not SVG, or has elements or references that a drawing does not need.
    """
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(f"not SVG ({error})") from error
    if root.tag != f"{SVG}svg" or "viewBox" not in root.attrib:
        raise ValueError("its root is no <svg> with a viewBox")
    for metadata in root.findall(f"{SVG}metadata"):
        root.remove(metadata)
    for element in root.iter():
        tag = element.tag.removeprefix(SVG)
        if tag not in DRAWING:
            raise ValueError(f"it has an element <{tag}>")
        element.tag = tag
        # HTML has no namespaces: xlink:href is href.
        attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        element.attrib.clear()
        for key, value in attributes.items():
            if key.startswith("on") or (key == "href" and not value.startswith(("#", "data:image/"))):
                raise ValueError(f'it has an attribute {key}="{value}"')
            if key == "id":
                value = f"{name}-{value}"
            elif key == "href":
                value = re.sub("^#", f"#{name}-", value)
            element.set(key, re.sub(r"url\(#", f"url(#{name}-", value))
        if tag == "style":
            element.text = re.sub(r"(^|})\s*\*", rf"\1 #{name}-svg *", element.text or "")
    for key in ("width", "height"):
        root.attrib.pop(key, None)  # the page decides
    root.set("id", f"{name}-svg")
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title")
    root.set("aria-describedby", f"{name}-caption")
    return Markup(ElementTree.tostring(root, encoding="unicode", short_empty_elements=False))
