"""The report in a real browser: nothing is fetched, it fits the screen, and it is drawn in both schemes."""

import json
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from rethinking.claims.report import COLUMNS, OUTCOMES
from rethinking.report.layout import entry_of, sections

from ..summaries import make_summary, write_summary

ARTEFACTS = [entry_of("finding"), *(each.entry for section in sections() for each in section.shown)]
ROOT = Path(__file__).parents[2]
FIGURE = ROOT / "results/reference/cifar10/fig1a.svg"
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
    """A report with every artefact: tables of three rows, and the same image for all figures."""
    folder = tmp_path_factory.mktemp("report")
    for artefact in ARTEFACTS:
        path = folder / artefact.filename
        if artefact.kind == "figure":
            shutil.copy(FIGURE, path)
        else:
            path.write_text(
                "| model | ours | paper |\n|:--|--:|--:|\n"
                f"| first of {artefact.name} | 1.00 ± 0.10 | 1.00 |\n| {'long_' * 9} | 2.00 | {'wide ' * 40} |\n"
                "|  | 3.00 | 3.00 |\n\n"
                "Ours: digits; 1 seed.\nA note.\n"
            )
            path.with_suffix(".csv").write_text("model\n")
    (folder / "finding.txt").write_text("All networks fit random labels.\n500 digits.\n")
    claims = [
        dict.fromkeys(COLUMNS, "") | {"claim": name, "outcome": name, "statement": f"It is {name}."}
        for name in OUTCOMES
    ]
    measured = {"source": "section 2.2", "checks": "MLP", "measured": "99.5", "lowest": "99"}
    pd.DataFrame([claim | measured for claim in claims]).to_csv(folder / "claims.csv", index=False)
    write_summary(folder / "cells", make_summary(f"{CELL}/seed0"))
    command = [sys.executable, ROOT / "workflow_scripts/render_report.py", "--claims", folder / "claims.csv"]
    command += ["--finding", folder / "finding.txt", "--asked-for", "2"]
    command += ["--artefacts", *(folder / artefact.filename for artefact in ARTEFACTS)]
    command += ["--root", folder, "--cells", f"cells/{CELL}", "--seeds", "0", "1"]
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


def test_nothing_is_fetched_and_nothing_refused(page):
    addresses = re.findall(r'(?:src|href)="([^"]*)"', page.stdout)
    elsewhere = {address for address in addresses if not address.startswith(("#", "data:"))}
    beside = {f"{each.name}.{ending}" for each in ARTEFACTS for ending in ("csv", "svg")}
    beside |= {"claims.csv", "cells.csv", "curves.csv.gz"}
    assert elsewhere - beside == {"https://arxiv.org/abs/1611.03530v2"}
    assert "url(http" not in page.stdout
    assert "<script" not in page.stdout
    assert "CONSOLE" not in page.stderr


def test_the_page_fits_the_screen(report):
    """Tables and figures that are wider scroll by themselves; pages in frames tell how wide they are."""
    frame = report.with_name("frame.html")
    style = "width:{}px;height:900px;border:0".format
    pages = [f'<iframe src="{report.name}" style="{style(width)}"></iframe>' for width in (390, 800, 1400)]
    frame.write_text(
        "".join(pages) + "<script>onload = () => {"
        "const pages = [...document.querySelectorAll('iframe')].map(each => each.contentDocument);"
        "const folded = page => page.querySelector('nav.top').offsetHeight > 0;"
        "const firsts = page => [...page.querySelectorAll('.scroll td:first-child')];"
        "const inside = page => firsts(page).every(cell => cell.scrollWidth <= cell.clientWidth);"
        "document.title = pages.map(page => [page.documentElement.scrollWidth, folded(page), inside(page)].join(' '))}"
        "</script>"
    )
    dom = browse(frame, "--dump-dom", "--allow-file-access-from-files").stdout
    # On small screens the contents are folded. No long name lies over the next column.
    assert re.search(r"<title>(.*?)</title>", dom)[1] == "390 true true,800 true true,1400 false true"


def test_a_page_of_paper_begins_with_a_network(report):
    """Where it begins within a table: no break comes before a row that does not repeat what its block begins with."""
    avoids = printed(report, "rows.map(row => getComputedStyle(row).breakBefore)")
    assert avoids == ["auto", "auto", "avoid"] * sum(artefact.kind == "table" for artefact in ARTEFACTS)


def test_a_folded_table_is_printed_with_its_heading_or_not_at_all(report):
    folded = "[...page.querySelectorAll('section:has(> details > .result)')]"
    heights = f"{folded}.map(each => each.offsetHeight > 0)"
    unfold = f"{folded}.forEach(each => each.querySelector('details').open = true)"
    count = sum(shown.folded for section in sections() for shown in section.shown)
    assert count
    assert printed(report, f"[{heights}, ({unfold}, {heights})]") == [[False] * count, [True] * count]


def printed(report, expression):
    """What a script makes of the page as printed, whose ``rows`` are those of all tables of results."""
    frame = report.with_name("frame.html")
    frame.write_text(
        f"<iframe src='{report.name}'></iframe><script>onload = () => {{"
        "const page = document.querySelector('iframe').contentDocument;"
        "for (const rule of page.styleSheets[0].cssRules) if (rule.media?.mediaText === 'print') rule.media.mediaText = 'all';"
        "const rows = [...page.querySelectorAll('.result tbody tr')];"
        f"document.title = JSON.stringify({expression})}}</script>"
    )
    dom = browse(frame, "--dump-dom", "--allow-file-access-from-files").stdout
    return json.loads(unescape(re.search(r"<title>(.*?)</title>", dom)[1]))


@pytest.mark.parametrize("scheme", [1, 0], ids=["light", "dark"])
def test_page_is_drawn(report, scheme):
    picture = report.parent / "page.png"
    browse(
        report,
        f"--screenshot={picture}",
        "--window-size=1400,4000",
        f"--blink-settings=preferredColorScheme={scheme}",
    )
    with Image.open(picture) as image:
        assert image.size == (1400, 4000)
        # Text is grey; only lines of figures and outcomes have colours.
        pixels = image.convert("RGB")
        colours = pixels.getcolors(maxcolors=1 << 24)
        assert sum(max(colour) - min(colour) > 60 for _, colour in colours) > 50
        assert (sum(pixels.getpixel((1390, 10))) < 384) == (scheme == 0)
