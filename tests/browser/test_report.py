"""The report in a real browser: every table, figure and claim can be read, and nothing is fetched."""

import json
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
from PIL import Image

from rethinking.report.page import known_artefacts

from ..summaries import make_summary

ARTEFACTS = known_artefacts()
ROOT = Path(__file__).parents[2]
FIGURE = ROOT / "results/reference/cifar10_jpeg_small/fig1a.svg"
CELL = "cifar10/true_labels/mlp_1x512/none"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--enable-logging=stderr",  # what a page's console says
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed to read the report with"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with every artefact: tables of two rows, and the same image for all figures."""
    folder = tmp_path_factory.mktemp("report")
    for artefact in ARTEFACTS:
        path = folder / artefact.filename
        if artefact.kind == "figure":
            shutil.copy(FIGURE, path)
        else:
            path.write_text(
                "| model | ours | verdict |\n|:--|--:|:--|\n"
                f"| first of {artefact.name} | 1.00 ± 0.10 | **supported** |\n|  | 2.00 | **undecided** |\n\nA note.\n"
            )
    (folder / "claims.csv").write_text("claim,verdict\na,supported\nb,contradicted\n")
    summary = folder / "cells" / CELL / "seed0/summary.json"
    summary.parent.mkdir(parents=True)
    summary.write_text(json.dumps(make_summary(f"{CELL}/seed0")))
    command = [sys.executable, ROOT / "workflow_scripts/render_report.py", "--claims", folder / "claims.csv"]
    command += ["--artefacts", *(folder / artefact.filename for artefact in ARTEFACTS)]
    command += ["--results", folder, "--cells", f"cells/{CELL}", "--seeds", "0", "1"]
    subprocess.run([*command, "--output", folder / "report.html"], check=True)
    return folder / "report.html"


def browse(report, *arguments):
    profile = report.parent / "profile"
    return subprocess.run(
        [CHROMIUM, *QUIET, f"--user-data-dir={profile}", *arguments, report.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,  # a browser that hangs
    )


@pytest.fixture(scope="module")
def page(report):
    """The page as the browser built it, and its console messages."""
    return browse(report, "--dump-dom")


def section(dom, name):
    """The part of a page that shows an artefact."""
    return re.search(rf'<section id="{name}".*?</section>', dom, re.DOTALL)[0]


@pytest.mark.parametrize("artefact", ARTEFACTS, ids=lambda artefact: artefact.name)
def test_artefact_is_there(page, artefact):
    part = section(page.stdout, artefact.name)
    text = unescape(re.sub("<[^>]*>", "", part))
    assert artefact.title in text
    assert artefact.caption in text
    if artefact.kind == "figure":
        (alternative,) = re.findall(r'<img src="data:image/svg[^"]*" alt="([^"]*)"', part)
        assert unescape(alternative) == artefact.title
    else:
        assert f"first of {artefact.name}" in text
        assert part.count('<th style="text-align:') == part.count('scope="col"') == 3


def test_verdicts_are_counted(page):
    assert re.findall(r'<li class="verdict \w+">([^<]*)</li>', page.stdout) == [
        *("1 supported", "1 contradicted", "0 undecided")
    ]


def test_networks_are_counted_and_listed(page):
    assert "1 of 2 trained" in page.stdout
    assert f"{CELL}/seed0</th>" in page.stdout


def test_identifiers_stay_unique(page):
    identifiers = re.findall(r'\sid="([^"]*)"', page.stdout)
    assert len(identifiers) > 2 * len(ARTEFACTS)
    assert len(identifiers) == len(set(identifiers))


def test_nothing_is_fetched_and_nothing_refused(page):
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page.stdout)
    elsewhere = {address for address in addresses if not address.startswith(("#", "data:"))}
    assert elsewhere == {"https://arxiv.org/abs/1611.03530v2"}
    assert "url(http" not in page.stdout
    assert "<script" not in page.stdout
    assert "CONSOLE" not in page.stderr


@pytest.mark.parametrize("width", [500, 1300])
def test_page_is_drawn(report, width):
    picture = report.parent / f"{width}.png"
    browse(report, f"--screenshot={picture}", f"--window-size={width},4000")
    with Image.open(picture) as image:
        assert image.size == (width, 4000)
        # Text is grey; only lines of figures and verdicts have colours.
        colours = image.convert("RGB").getcolors(maxcolors=1 << 24)
        assert sum(max(colour) - min(colour) > 60 for _, colour in colours) > 50
