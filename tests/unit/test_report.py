"""The text of the report, and how it puts files into one page, from constructed summaries and figures."""

import copy
import re
from base64 import b64decode
from html.parser import HTMLParser
from itertools import pairwise

import pandas as pd
import pytest

from rethinking.report.page import known_artefacts, markdown_html, render, svg_image
from rethinking.run.files import UserError

from ..summaries import SUMMARY, make_network

ARTEFACTS = known_artefacts()
FIGURE = """<?xml version="1.0" encoding="utf-8"?>
<svg xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg" width="9pt" viewBox="0 0 9 9">
 <metadata><x xmlns="http://example.org">made by</x></metadata>
 <defs><style type="text/css">*{stroke-linecap: butt}</style><path id="mark" d="M 0 0"/>
  <clipPath id="clip"><rect/></clipPath></defs>
 <g id="axes_1" clip-path="url(#clip)" style="fill: url(#clip)"><use xlink:href="#mark"/><text>loss &lt; 1</text></g>
</svg>"""


def figure_in(address):
    """The SVG in a data URI."""
    kind, data = address.split(",")
    assert kind == "data:image/svg+xml;base64"
    return b64decode(data).decode()


class Outline(HTMLParser):
    """Tags with their attributes, identifiers and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    @property
    def figures(self):
        return [figure_in(attributes["src"]) for tag, attributes in self.tags if tag == "img"]

    @property
    def ids(self):
        return [attributes["id"] for _, attributes in self.tags if "id" in attributes]


@pytest.fixture
def files(tmp_path):
    """A file for each artefact, which contains its name."""
    paths = {}
    for artefact in ARTEFACTS:
        path = paths[artefact.name] = tmp_path / artefact.filename
        table = f"| model | ours |\n|:--|--:|\n| {artefact.name} rows | 1 |\n"
        path.write_text(FIGURE.replace("loss", artefact.name) if artefact.kind == "figure" else table)
    return paths


# ---- the whole


def test_every_artefact_is_shown_with_title_caption_and_content(files):
    page = Outline(render(files, [make_network()]))
    for artefact in ARTEFACTS:
        assert artefact.title in page.text
        assert artefact.caption in page.text
        assert f"{artefact.name} &lt; 1" in "".join(page.figures) or f"{artefact.name} rows" in page.text
        assert ("a", {"href": f"#{artefact.name}"}) in page.tags


def test_identifiers_are_unique_and_links_lead_to_them(files):
    page = Outline(render(files, [make_network()]))
    assert len(page.ids) == len(set(page.ids))
    targets = {attributes["href"][1:] for _, attributes in page.tags if attributes.get("href", "")[:1] == "#"}
    described = {
        attributes[key]
        for _, attributes in page.tags
        for key in attributes
        if key in ("aria-labelledby", "aria-describedby")
    }
    assert targets | described <= set(page.ids)


def test_headings_descend_by_one(files):
    levels = [
        int(tag[1]) for tag, _ in Outline(render(files, [make_network()])).tags if re.fullmatch(r"h\d", tag)
    ]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_part_of_the_results_makes_a_report_that_says_what_is_left_out(files):
    page = Outline(render({"fig1a": files["fig1a"]}, [make_network()]))
    left_out = page.text[page.text.index("Not in this report") :]
    assert "Table 1" in left_out
    assert "fig1a" in page.ids
    assert not {"table1", "section-table", "claims"} & set(page.ids)


def test_nothing_trained_yet():
    assert "0 of 66 trained" in render({}, [], asked_for=66)


def test_verdicts_are_counted_in_words_and_colours():
    page = render({}, [], pd.DataFrame({"verdict": ["supported", "undecided", "supported"]}))
    assert re.findall(r'class="verdict (\w+)">(\d) (\w+)<', page) == [
        ("supported", "2", "supported"),
        ("contradicted", "0", "contradicted"),
        ("undecided", "1", "undecided"),
    ]


def test_unknown_verdict_is_an_error():
    with pytest.raises(UserError, match="unknown verdict 'proven'"):
        render({}, [], pd.DataFrame({"verdict": ["proven"]}))


@pytest.mark.parametrize("name", ["table1", "fig1a"])
def test_missing_artefact_is_named(files, name):
    files[name].unlink()
    with pytest.raises(UserError, match=rf"{files[name]} \((Table|Figure) 1.*cannot be read"):
        render(files, [])


def test_damaged_figure_is_named(files):
    files["fig1a"].write_text(FIGURE[:300])
    with pytest.raises(UserError, match=f"{files['fig1a']} .*not SVG"):
        render(files, [])


def test_unknown_artefact_is_an_error(files):
    with pytest.raises(UserError, match="no such table or figure: table9"):
        render({"table9": files["table1"]}, [])


def test_text_from_files_is_escaped(files):
    evil = "<img src=x onerror=alert(1)>"
    files["table1"].write_text(
        f"| {evil} | ours |\n|:--|--:|\n| {evil} | 1 |\n\n{evil}\n\n![x](https://example.org/x.png)\n"
    )
    data = copy.deepcopy(SUMMARY["data"]) | {"provenance": evil}
    html = render(files, [make_network(data=data, provenance={"device": evil})])
    page = Outline(html)
    assert len(page.figures) == sum(artefact.kind == "figure" for artefact in ARTEFACTS)
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert page.text.count(evil) >= 5


def test_page_asks_for_nothing_from_elsewhere(files):
    page = Outline(render(files, [make_network()]))
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe")
        assert attributes.get("src", "data:").startswith("data:")
        assert tag == "a" or not re.search("https?:", " ".join(map(str, attributes.values())))


def test_reduced_scale_is_said():
    few = copy.deepcopy(SUMMARY["data"])
    few["train"]["count"] = 1000
    notice = "Not all of this was measured"
    assert notice not in render({}, [make_network()])
    assert notice in render(
        {}, [make_network(), make_network("cifar10/random_labels/mlp_1x512/none/seed0", data=few)]
    )


# ---- Markdown and SVG


def test_tables_have_scope_and_alignment():
    html = markdown_html("| a | b |\n|:--|--:|\n| 1 | 2 |\n", 'A "label"')
    assert re.findall(r"<th [^>]*>", html) == [
        '<th style="text-align:left" scope="col">',
        '<th style="text-align:right" scope="col">',
    ]
    assert 'aria-label="A &#34;label&#34;"' in html


def test_verdict_in_a_table_is_coloured():
    html = markdown_html(
        "| verdict |\n|:--|\n| **contradicted**: why |\n| supported by **none** |\n", "claims"
    )
    assert '<strong class="verdict contradicted">contradicted</strong>: why' in html
    assert html.count("verdict ") == 1


def test_headings_in_markdown_come_below_those_of_the_page():
    assert markdown_html("# Title\n", "") == "<h4>Title</h4>\n"


def test_figure_is_an_image_of_its_own_with_a_text_for_those_who_do_not_see_it():
    html = svg_image(FIGURE, 'Figure "1a"', "fig1a-caption")
    ((tag, attributes),) = Outline(html).tags
    assert tag == "img"
    assert attributes["alt"] == 'Figure "1a"'
    assert attributes["aria-describedby"] == "fig1a-caption"
    assert figure_in(attributes["src"]) == FIGURE


@pytest.mark.parametrize("text", ["", FIGURE[:300], "<html/>"])
def test_what_is_no_svg_is_refused(text):
    with pytest.raises(ValueError, match=r"not SVG|no <svg>"):
        svg_image(text, "", "")
