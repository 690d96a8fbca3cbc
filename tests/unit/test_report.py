"""The text of the report, and how it puts files into one page, from constructed summaries and figures."""

import math
import re
from base64 import b64decode
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest

from rethinking.analysis.descriptions import unbroken
from rethinking.claims.forms import Claim
from rethinking.claims.report import COLUMNS, OUTCOMES, Judged, claim_rows
from rethinking.claims.verdicts import Check, Finding
from rethinking.report import page as module
from rethinking.report.claims import Point, draw, points
from rethinking.report.layout import entry_of, sections
from rethinking.report.page import TEMPLATE, markdown_html, part, split_note, svg_image
from rethinking.run.files import UserError

from ..summaries import make_data, make_network
from .table_rows import CELLS, aggregate, summary, to_markdown

SHOWN = [each for section in sections() for each in section.shown]
ARTEFACTS = [entry_of("finding"), *(each.entry for each in SHOWN)]
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
        path.with_suffix(".csv").touch()
    return paths


# ---- the whole


NO_CLAIMS = pd.DataFrame(columns=list(COLUMNS))


def render(files, networks, claims=NO_CLAIMS, finding=(), asked_for=1, unjudged=()):
    return module.render(files, networks, claims, unjudged, finding, asked_for)


def test_every_artefact_is_shown_with_title_caption_content_and_files(files):
    network = make_network()
    page = Outline(render(files, [network]))
    assert str(network.cell) in page.text
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    alternatives = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    for each in SHOWN:
        artefact = each.entry
        assert artefact.title in page.text
        assert unbroken(each.see) in page.text
        assert unbroken(each.note) in page.text
        assert f"{artefact.name} &lt; 1" in "".join(page.figures) or f"{artefact.name} rows" in page.text
        assert {f"#{artefact.name}", f"{artefact.name}.csv"} <= set(links)
        assert not {f"{artefact.name}.{ending}" for ending in ("pdf", "png", "tex")} & set(links)  # which are not there
        if artefact.kind == "figure":
            assert f"{artefact.name}.svg" in links
            assert artefact.title in alternatives


@pytest.mark.parametrize("sentence", [each for shown in SHOWN for each in shown.see.split(". ")])
def test_what_stands_above_results_of_any_kind_is_no_result(sentence):
    assert re.search(r"\b(paper|should|would)\b|look for", sentence, re.IGNORECASE)


def test_no_line_ends_between_a_number_and_its_sign(files):
    """In what the page itself says as in its tables, whose files keep their spaces."""
    files["table1"].write_text(
        "| model | ours |\n|:--|--:|\n| any | 0.23 ± 0.03 |\n\nOurs: 95 %; 1 seed.\n\\*: p > 0.\n"
    )
    claims = pd.DataFrame(
        [claim("a", "undecided", statement="All fit 99 %.", reason="gap = 9 %", predicate="gap ≥ 2 %")]
    )
    page = Outline(render(files, [], claims, ["All reach 87 %.", "500 digits, p = 0."]))
    assert not re.findall(r".* [=<>≤≥±%].*|.*[=<>≤≥±] .*", page.text[page.text.index("All reach") :])


def test_identifiers_are_unique_and_links_lead_to_them(files):
    page = Outline(render(files, [make_network()], finding=["All networks fit random labels.", "500 digits."]))
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
    levels = [int(tag[1]) for tag, _ in Outline(render(files, [make_network()])).tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_a_part_of_the_results_makes_a_report_that_says_what_is_left_out(files):
    page = Outline(render({"fig1a": files["fig1a"]}, [make_network()]))
    left_out = page.text[page.text.index("Not in this report") :]
    assert "Table 1" in left_out
    assert "Sizes" in left_out
    assert "finished_only" in left_out
    assert "fig1a" in page.ids
    assert not {"table1", "section-2", "claims"} & set(page.ids)


def test_nothing_trained_yet():
    assert "0 of 66 trained" in render({}, [], asked_for=66)


def claim(name, outcome, **values):
    """A row of claims.csv."""
    row = {"claim": name, "statement": f"It is {name}.", "source": "section 2.2", "outcome": outcome}
    row |= {"predicate": "accuracy ≥ 99", "reason": float("nan"), "data": "digits", "checks": "MLP; AlexNet"}
    row |= {"cells": "cifar10/random_labels/mlp_1x512/none; cifar10/random_labels/alexnet/none"}
    row |= {"measured": "99.5; 98", "interval": "99.2 to 99.8; ", "lowest": "99; 99", "highest": "; "}
    return row | values


CLAIMS = pd.DataFrame(
    [
        claim("a", "one seed: misses the condition"),
        claim("b", "supported"),
        claim("c", "not run", measured="; ", interval="; "),
        claim("d", "supported", source="section 5"),
    ]
)


def test_outcomes_are_counted_and_told_apart():
    counted = re.compile(r'<li class="outcome ([\w-]+)">(\d) ([^<]+)<')
    assert counted.findall(render({}, [], CLAIMS)) == [
        ("supported", "2", "supported"),
        ("one-seed-misses-the-condition", "1", "one seed: misses the condition"),
        ("not-run", "1", "not run"),
    ]
    page = render({}, [], pd.DataFrame([claim(each, each) for each in OUTCOMES]))
    assert [outcome for _, _, outcome in counted.findall(page)] == list(OUTCOMES)
    assert page.count('<svg class="dots"') == len(OUTCOMES) - 1  # all but those that are not run


def test_claims_stand_by_section_the_decided_first():
    page = render({}, [], CLAIMS)
    assert re.findall(r'<li id="claim-(\w)"', page) == ["b", "a", "d"]
    assert "1 claim is not run here" in page
    assert "<li>It is c.</li>" in page


@pytest.mark.parametrize(("judged", "first"), [(["a", "c", "d"], False), (["b"], True), ([], True)])
def test_data_sets_without_the_papers_claims_are_named(plugin, judged, first):
    """Once; at the top where none of the paper's claims is judged at all, be there own ones."""
    plugin("@claim('b', statement='s', cells=['digits/true_labels/mlp_1x512/none'], above=0)\ndef b(run): ...\n")
    claims = CLAIMS[CLAIMS.claim.isin(judged)]
    sentence = "The paper's claims are not judged on the networks trained on MNIST."
    _, after = Outline(render({}, [], claims, unjudged=["mnist"])).text.split(sentence)
    assert ("arXiv" in after) == first
    assert "are not judged" not in render({}, [], claims)


def test_claims_of_the_paper_and_others_are_counted(plugin):
    plugin("@claim('b', statement='s', cells=['digits/true_labels/mlp_1x512/none'], above=0)\ndef b(run): ...\n")
    others = [claim("e", "supported", source="finding on table 2"), claim("f", "not run", source="beyond the paper")]
    claims = pd.concat([CLAIMS, pd.DataFrame(others)])
    for some, said in (
        (claims, "Of 6 statements (3 of the paper, 1 on its own numbers, 1 beyond it, 1 of this study), checked"),
        (claims[claims.claim == "b"], "Of 1 statement (1 of this study), checked"),
    ):
        assert said in Outline(render({}, [], some)).text


def test_a_claim_of_a_plugin_that_is_not_run_says_why(plugin):
    """The paper's full experiment does not have it."""
    plugin("@claim('c', statement='s', cells=['digits/true_labels/mlp_1x512/none'], above=0)\ndef c(run): ...\n")
    claims = CLAIMS.assign(reason=["", "", "missing: own/true_labels/mlp_1x512/none", ""])
    page = render({}, [], claims)
    assert re.findall(r'<li id="claim-(\w)"', page) == ["b", "a", "c", "d"]
    assert "Missing: own/true_labels/mlp_1x512/none" in page
    assert "not run here" not in page


def test_a_claim_is_drawn_with_its_numbers():
    (drawing, *_) = re.findall(r'<svg class="dots".*?</svg>', render({}, [], CLAIMS), re.DOTALL)
    titles = re.findall("<title>(.*?)</title>", drawing)
    assert titles == ["AlexNet: 98, at least 99", "MLP: 99.5 (99.2 to 99.8), at least 99"]
    assert drawing.count('class="outside"') == drawing.count("<circle") == 1


def test_a_point_its_interval_and_its_bounds_are_drawn_to_scale():
    """The axis goes from 1.75 to 9.25, a quarter of 3 to 8 beyond them; a wide interval is cut at its ends."""
    drawn = draw([Point("any", 5.0, -100.0, 100.0, 3.0, 8.0)])
    left, right = 168, 352 - 58
    x = [left + (right - left) * (value - 1.75) / 7.5 for value in (3, 5, 8)]
    assert f'<rect class="allowed" x="{x[0]:.1f}" y="0" width="{x[2] - x[0]:.1f}"' in drawn
    assert f'<circle class="within" cx="{x[1]:.1f}"' in drawn
    assert f'<line class="within" x1="{left:.1f}" x2="{right:.1f}"' in drawn
    assert [f'<line class="bound" x1="{each:.1f}"' in drawn for each in (x[0], x[2])] == [True, True]


def test_what_counts_is_drawn_with_all_its_digits():
    check = Point("parameters", 23885392, math.nan, math.nan, 23885392, 23885392)
    assert check.text == "parameters: 23,885,392, at least 23,885,392, at most 23,885,392"
    assert re.findall("<text .*?>(.*?)</text>", draw([check])) == ["parameters", "23,885,392", "23,885,392"]


@pytest.mark.parametrize("name", ["cifar10", "theory", "imagenette"])
def test_rows_of_a_drawing_can_be_told_apart(name):
    kept = pd.read_csv(Path(__file__).parents[2] / f"results/reference/{name}/claims.csv")
    for row in kept.itertuples():
        labels = re.findall('<text x="0" .*?>(.*?)</text>', draw(points(row)))
        assert len(set(labels)) == len(labels), row.claim
    assert "AlexNet − MLP 1×512, p = 0.5" in draw([Point("AlexNet − MLP 1×512, p = 0.5", *[1.0] * 5)])


@pytest.mark.parametrize(
    ("bounds", "measured", "text"),
    [
        ({"above": 0}, 0.0, "x: 0, above 0"),
        ({"at_most": 1e-9}, 1.4e-9, "x: 1.4e-09, at most 1e-09"),
        ({"at_least": 99}, 98.0, "x: 98, at least 99"),
    ],
)
def test_what_a_claim_misses_is_drawn_so(bounds, measured, text):
    """As it goes through claims.csv; a bound that does not count itself is missed by the same number."""
    written = Claim("a", "A.", "section 5", "any", (Check("x", float, (), **bounds),))
    (row,) = claim_rows([Judged(written, [Finding(measured)])], "cifar10", ["any"]).itertuples()
    (point,) = points(row)
    assert not point.within
    assert point.text == text
    met = measured / 2 if "at_most" in bounds else measured + 1
    (row,) = claim_rows([Judged(written, [Finding(met)])], "cifar10", ["any"]).itertuples()
    assert points(row)[0].within


def test_the_page_begins_with_the_finding(files):
    page = Outline(render(files, [], finding=["All networks fit.", "500 digits."]))
    assert page.text.index("All networks fit.") < page.text.index("Section 2: networks fit random labels and noise\n\n")
    images = [attributes["aria-describedby"] for tag, attributes in page.tags if tag == "img"]
    assert images[0] == "finding-caption"
    assert "500 digits." in page.text  # which the picture has too small for a telephone
    assert page.tags[page.tags.index(("body", {})) + 1] == ("a", {"class": "skip", "href": "#main"})


@pytest.mark.parametrize("name", ["table1", "fig1a"])
def test_missing_artefact_is_named(files, name):
    files[name].unlink()
    with pytest.raises(UserError, match=f"{files[name]} cannot be used .No such file"):
        render(files, [])
    files[name].write_bytes(bytes(900))
    with pytest.raises(UserError, match=f"{files[name]} cannot be read .some of its bytes are zero.; delete it"):
        render(files, [])


def test_study_that_leaves_out_all_of_the_paper_has_no_claims(script, plugin, tmp_path):
    plugin('@dataset("own", title="Own")\ndef own(path): ...\n')
    results = {
        "root": tmp_path,
        "seeds": 0,
        "claims": tmp_path / "claims.csv",
        "output": tmp_path / "report.html",
    }
    written = {"csv": results["claims"], "markdown": tmp_path / "claims.md"}
    script("check_claims", root=tmp_path, seeds=0, dataset="own", **written)
    script("render_report", asked_for=0, **results)
    assert 'id="claims"' not in results["output"].read_text()


def test_damaged_finding_is_named(script, tmp_path):
    pd.DataFrame(columns=list(COLUMNS)).assign(claim=["a"]).to_csv(tmp_path / "claims.csv", index=False)
    (tmp_path / "finding.txt").write_bytes(b"\xff")
    files = {"claims": tmp_path / "claims.csv", "finding": tmp_path / "finding.txt", "output": tmp_path / "x"}
    with pytest.raises(UserError, match=r"finding\.txt cannot be read .*delete it"):
        script("render_report", root=tmp_path, seeds=0, asked_for=0, **files)


@pytest.mark.parametrize("text", ["", FIGURE[:300], "<html/>"])
def test_damaged_figure_is_named(files, text):
    files["fig1a"].write_text(text)
    with pytest.raises(UserError, match=f"{files['fig1a']} cannot be read .*; delete it to have it made again"):
        render(files, [])


def test_text_from_files_is_escaped(files):
    evil = "<img src=x onerror=alert(1)>"
    files["table1"].write_text(
        f"| {evil} | ours |\n|:--|--:|\n| {evil} | 1 |\n\n{evil}\n\n![x](https://example.org/x.png)\n"
    )
    data = make_data(provenance=evil)
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
    few = make_data(train=1000)
    notice = "Not all of this was measured"
    assert notice not in render({}, [make_network()])
    assert notice in render({}, [make_network(), make_network("cifar10/random_labels/mlp_1x512/none/seed0", data=few)])


# ---- Markdown and SVG


def test_tables_have_scope_and_alignment():
    html = markdown_html("| a | b |\n|:--|--:|\n| 1 | 2 |\n", 'A "label"')
    assert re.findall(r"<th [^>]*>", html) == [
        '<th style="text-align:left" scope="col">',
        '<th style="text-align:right" scope="col">',
    ]
    assert 'aria-label="A &#34;label&#34;"' in html


def test_the_note_of_a_table_is_split_behind_the_data():
    tables = "| a |\n|:--|\n| 1 |"
    note = "Random labels. Ours: digits by A. Smith; 1 seed.\n\\*: chosen. Accuracies are of the last epoch. —: none."
    assert split_note(f"{tables}\n\n{note}\n") == (
        tables,
        "Random labels. Ours: digits by A. Smith; 1 seed. \\*: chosen. —: none.",
        "Accuracies are of the last epoch.",
    )
    assert split_note(f"{tables}\n") == (f"{tables}\n", "", "")


def test_what_a_copy_is_called_is_shown_as_written(tmp_path):
    data = make_data(provenance="copy *by* A. Smith. See [b](http://c.d)", source={"kind": "images", "files": {}})
    table = aggregate(CELLS[2:], [summary(f"{CELLS[2]}/seed0", 99.0, 10.0, data=data)])
    file = tmp_path / "table1.md"
    file.write_text(to_markdown(table))
    shown = part(module.Shown(entry_of("table1"), "", ""), file)
    assert shown.scale == (
        "Ours: CIFAR-10 (copy *by* A. Smith. See [b](http://c.d)), 50,000 training images; 30 epochs; 1 seed."
    )
    assert shown.method.startswith("Accuracies are")


def test_every_text_has_a_contrast_of_six():
    """The colours of text on those of their backgrounds, in both schemes (WCAG's relative luminance)."""
    css = TEMPLATE.read_text()
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", css[: css.index("prefers-color-scheme")]))
    dark = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", css[css.index("prefers-color-scheme") :]))
    pairs = [(text, back) for text in ("text", "quiet", "link") for back in ("page", "panel")]
    pairs += [(name, f"{name}-back") for name in ("supported", "contradicted", "open", "neutral")]
    pairs += [("supported", "page"), ("contradicted", "page"), ("text", "allowed")]
    for scheme in (light, dark):
        for text, back in pairs:
            assert contrast(scheme[text], scheme[back]) >= 6, (text, back)


def contrast(first, second):
    def luminance(colour):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_headings_in_markdown_come_below_those_of_the_page():
    assert markdown_html("# Title\n", "") == "<h4>Title</h4>\n"


def test_figure_is_an_image_of_its_own_with_a_text_for_those_who_do_not_see_it():
    html = svg_image(FIGURE, 'Figure "1a"', "fig1a-caption")
    ((tag, attributes),) = Outline(html).tags
    assert tag == "img"
    assert attributes["alt"] == 'Figure "1a"'
    assert attributes["aria-describedby"] == "fig1a-caption"
    assert figure_in(attributes["src"]) == FIGURE


def test_bounds_that_are_close_stand_side_by_side():
    """Their labels would be printed on each other."""
    nan = math.nan
    label = r'text-anchor="(middle|start|end)">(?:−9|0.01|0.1)<'
    assert re.findall(label, draw([Point("far", 0.0, nan, nan, -9.0, 0.01)])) == ["middle", "middle"]
    assert re.findall(label, draw([Point("close", -8.0, nan, nan, 0.01, 0.1)])) == ["end", "start"]


def test_what_is_measured_against_other_bounds_has_an_axis_of_its_own():
    """A share of 99.6 % and 4.6 times chance: beside percentages 2 and 4.6 are the same place."""
    nan = math.nan
    accuracy, chance = Point("accuracy", 99.6, nan, nan, 99.0, nan), Point("chance", 4.6, nan, nan, 2.0, nan)
    drawn = draw([accuracy, chance, accuracy])
    shapes = r'<(?:circle class="within" c|line class="bound" )x1?="([\d.]+)"'
    alone = [re.findall(shapes, draw([check])) for check in (accuracy, chance)]
    assert re.findall(shapes, drawn) == [*alone[0], *alone[0], *alone[1]]
    assert re.findall(r'<text x="[^>]* y="(\d+)" text-anchor="middle">(\d+)<', drawn) == [("41", "99"), ("70", "2")]
