"""Verdicts from files, against an independent computation."""

import contextlib
import io
import math

import pandas as pd
import pytest

from rethinking.analysis.runs import TABLES, read_runs
from rethinking.claims import CLAIMS
from rethinking.claims.report import MISSES, OUTCOMES, claims_table, judge, number, readable, to_frame
from rethinking.report.claims import draw, points

from ..recompute_claims import RECIPES, differences
from .paper_cells import EPOCHS, cell_values, make_run, make_runs, write_runs

NAMES = [claim.name for claim in CLAIMS]
CELL = "random_labels/mlp_1x512/none"


@pytest.fixture(scope="module")
def check(script):
    """Run check_claims.py on ``root/cells``; what it prints."""

    def run(root, cells, *seeds):
        networks = {"root": root / "cells", "cells": list(cells), "seeds": list(seeds)}
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            script("check_claims", **networks, csv=root / "claims.csv", markdown=root / "claims.md")
        return printed.getvalue()

    return run


@pytest.fixture(scope="module")
def small_results(tmp_path_factory, check):
    """Verdicts on networks at reduced scale: some cells, seeds and files missing, one network diverged."""
    root = tmp_path_factory.mktemp("results")
    values = cell_values()
    for some in values.values():
        some["images"] = 1000
    del values["gaussian/inception/none"]
    values["true_labels/alexnet/none"]["test"] = 40.0
    for cell in ("random_labels/mlp_3x512/none", "labels_p0.5/inception/none"):
        values[cell]["diverged"] = True
    runs = make_runs(values)
    del runs["cifar10/true_labels/inception/wd"][1]
    write_runs(root / "cells", runs)
    printed = check(root, runs, 0, 1, 2)
    return root, printed, pd.read_csv(root / "claims.csv", keep_default_na=False).set_index("claim")


def test_numbers_agree_with_an_independent_computation(small_results):
    root, _, table = small_results
    assert table.index.tolist() == NAMES
    assert differences(root) == []
    on_networks = table.index[~table.cells.str.startswith("theory/") & ~table.index.str.startswith("imagenet_")]
    assert sorted(RECIPES) == sorted(on_networks)


def test_independent_computation_leaves_out_own_claims(small_results, tmp_path):
    """A plug-in can name a source of its claim, and none of the others are on its data set."""
    root, _, table = small_results
    (tmp_path / "cells").symlink_to(root / "cells")
    own = table.loc[["batch_norm_gain"]].rename({"batch_norm_gain": "mine"}).assign(source="this study")
    pd.concat([table, own]).to_csv(tmp_path / "claims.csv")
    assert differences(tmp_path) == []
    own.to_csv(tmp_path / "claims.csv")
    assert differences(tmp_path) == ["claims.csv has none of the claims that are recomputed here"]


def test_independent_computation_notices_a_changed_number(small_results, tmp_path):
    root, _, table = small_results
    (tmp_path / "cells").symlink_to(root / "cells")
    table.loc[["batch_norm_gain"]].assign(measured="3.75; 3.13").to_csv(tmp_path / "claims.csv")
    *_, line = differences(tmp_path)  # after those of claims that are left out here
    assert line.startswith("batch_norm_gain: [3.75, 3.13] in claims.csv")


def test_csv_lists_checks_and_cells_in_one_order(small_results):
    row = small_results[2].loc["regularisers_help"]
    assert row.measured.split("; ") == ["3.3", "41.22"]
    assert row.cells == (
        "cifar10/true_labels/inception/crop+wd, cifar10/true_labels/inception/none; "
        "cifar10/true_labels/alexnet/crop+wd, cifar10/true_labels/alexnet/none"
    )
    assert (row.verdict, row.reason) == ("contradicted", "not so: AlexNet")
    assert row.data == "CIFAR-10 (exact), 1,000 of 50,000 training images; 70 epochs; 3 seeds"
    assert small_results[2].loc["fits_gaussian"].measured == ""
    assert small_results[2].loc["fits_gaussian"].data == "none of these networks is trained yet"


def test_markdown_says_scale_count_and_reasons(small_results):
    root, printed, table = small_results
    text = (root / "claims.md").read_text()
    counts = table.outcome.value_counts()
    summary = ", ".join(f"{counts[each]} {each}" for each in OUTCOMES if each in counts)
    assert text.startswith(f"**On CIFAR-10: {summary}**: CIFAR-10 (exact), 1,000 of 50,000 training images; 70 epochs;")
    assert printed.strip().endswith(summary)
    lines = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("|")}
    assert len(lines) == len(CLAIMS) + 2
    assert {line.count(" | ") for line in lines.values()} == {5}
    assert (
        "| — | **not run** | missing: gaussian/inception/none |"
        in lines["Gaussian noise in place of images is fitted too."]
    )
    assert (
        "AlexNet: 41.22 (41.21 to 41.23); Inception: 3.3 (3.29 to 3.31)"
        in lines["Random cropping and weight decay improve generalisation by a few points."]
    )


def test_cells_that_are_not_named_are_left_out(small_results, check, tmp_path):
    (tmp_path / "cells").symlink_to(small_results[0] / "cells")
    assert check(tmp_path, [f"cifar10/{CELL}"], 0, 1) == "On CIFAR-10: 1 supported, 44 not run\n"


@pytest.mark.parametrize("dataset", ["cifar10", "own"])
def test_data_sets_whose_networks_are_not_judged_are_named(script, plugin, tmp_path, dataset):
    """Also where there is no table of the claims on networks."""
    plugin("@dataset('own', title='*Own*')\ndef own(): ...\n")
    networks = {"root": tmp_path, "cells": [f"{dataset}/{CELL}"], "seeds": 0, "dataset": dataset}
    written = {"csv": tmp_path / "claims.csv", "markdown": tmp_path / "claims.md"}
    script("check_claims", **networks, not_judged=["mnist", "own"], **written)
    *_, last = written["markdown"].read_text().splitlines()
    assert last.endswith(r" The paper's claims are not judged on the networks trained on MNIST and \*Own\*.")


def test_own_data_have_none_of_the_papers_claims(script, plugin, tmp_path):
    plugin("@dataset('own')\ndef own(): ...\n")
    csv, markdown = tmp_path / "claims.csv", tmp_path / "claims.md"
    networks = {"root": tmp_path, "cells": [f"own/{CELL}"], "seeds": 0, "dataset": "own"}
    script("check_claims", **networks, csv=csv, markdown=markdown)
    assert pd.read_csv(csv).empty
    assert "**" not in markdown.read_text()


def test_own_claim_says_which_cell_is_missing(check, plugin, tmp_path):
    plugin(f"@claim('c', statement='It fits.', cells=['cifar10/{CELL}'], above=0)\ndef c(run): ...\n")
    check(tmp_path, [f"cifar10/{CELL}"], 0)
    own, networks, *_ = (tmp_path / "claims.md").read_text().split("\n\n**")
    assert f"| It fits. | own | c above 0 | — | **not run** | missing: cifar10/{CELL} |" in own
    assert networks.startswith("On CIFAR-10: 45 not run**: none of the networks that these claims need is trained.")
    assert "|" not in networks


def test_own_claim_says_which_cell_no_section_lists(check, plugin, tmp_path):
    """It would never be trained."""
    cells = [f"cifar10/{CELL}", f"mnist/{CELL}", f"imagenet/{CELL}"]
    plugin(f"@claim('c', statement='s', cells={cells}, above=0)\ndef c(a, b, c): ...\n")
    check(tmp_path, cells[:1], 0)
    row = pd.read_csv(tmp_path / "claims.csv").iloc[0]
    assert row.outcome == "not run"
    assert row.reason == (
        f"missing: {cells[0]}, {cells[1]} (no section lists it; add it to one, such as table1), {cells[2]} (no section "
        "lists it, or datasets.imagenet.path is not set; add it to one, such as table1)"
    )


def test_files_give_what_was_written(small_results):
    runs = read_runs(small_results[0] / "cells", ["cifar10/labels_p0.5/alexnet/none"], [0, 7], *TABLES)
    (run,) = runs["cifar10/labels_p0.5/alexnet/none"]
    assert (len(run.curve), len(run.memorisation)) == (EPOCHS + 1, EPOCHS)


def test_numbers_for_readers():
    numbers = {-0.83333: "−0.8333", 23885392: "23,885,392", -1200.0: "−1,200", 1e-6: "1e-06", math.nan: ""}
    assert [readable(value) for value in numbers] == list(numbers.values())
    assert [number(value) for value in (5.500938e-16, -0.0, 32.2 - 31.2)] == ["5.50094e-16", "0", "1"]
    assert number(2e15) == "2e+15"  # beyond what float64 counts, digits would be made up
    # Rounded to four digits they would lie at the bound, or beyond it.
    near = {
        98.996: "98.996",
        99.00004: "99.00004",
        99.0: "99",
        98.99: "98.99",
        32.2 - 31.2: "1",
        5.5e-16: "5.5e-16",
        0.0: "0",
    }
    assert [readable(value, (0, 1, 99)) for value in near] == list(near.values())


def test_number_that_misses_its_bound_is_not_shown_at_it():
    (claim,) = [claim for claim in CLAIMS if claim.name == "fits_random_labels_mlp_1x512"]
    runs = {f"cifar10/{CELL}": [make_run(f"cifar10/{CELL}", train=98.996, test=10.0)]}
    judged = judge(runs, "cifar10", [claim])
    assert f"| MLP 1×512: 98.996 | **{MISSES}** |" in claims_table(judged)
    (point,) = points(next(to_frame(judged, runs, "cifar10").itertuples()))
    assert point.text == "MLP 1×512: 98.996, at least 99"
    assert ">98.996</text>" in draw([point])
