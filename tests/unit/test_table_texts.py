"""Tables 1 and 4 as Markdown and LaTeX; test_kept_results.py has them as the scripts write them."""

import ast
import copy
import math
import re

import pandas as pd
import pytest
from markupsafe import escape

from rethinking import paper, registry
from rethinking.analysis.aggregation import read_columns
from rethinking.report.page import markdown_html
from rethinking.run.code import SCRIPTS
from rethinking.tables import accuracies, rendering
from rethinking.tables.presentation import data_sets, yes_or_no
from rethinking.tables.rendering import LATEX, alignment

from .table_rows import CELLS, RANDOM, SUMMARIES, aggregate, aggregate_table4, summary, to_latex, to_markdown
from .test_degenerate_theory import THEORY


def rows(markdown):
    """The fields of a Markdown table's rows, heading first."""
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    return [[field.strip() for field in line.strip("|").split("|")] for line in lines[:1] + lines[2:]]


def test_columns_of_data_sets_and_regularisers():
    table = pd.DataFrame({"dataset": ["cifar10", "digits"], "regularisers": ["crop+wd", "mywd"]})
    assert [*data_sets(table)[("", "data set")]] == ["CIFAR-10", "digits"]
    assert data_sets(table[:1]) == {}
    assert yes_or_no(table, "wd") == ["yes", "no"]


def test_markdown():
    text = to_markdown(aggregate())
    heading, *body = rows(text)
    assert heading[:5] == ["model", "parameters", "random crop", "weight decay", "labels"]
    # AlexNet is not trained, so its parameters are unknown too.
    assert body == [
        ["Inception", "1,649,402", "yes", "yes", "true", "99.00 ± 2.48", "100.00", "89.00 ± 2.48", "89.05"],
        ["", "", "no", "no", "random", "97.50, diverged (1 of 2)", "100.00", "10.00", "9.78"],
        ["AlexNet", "—", "no", "no", "true", "—", "100.00", "—", "76.07"],
    ]
    assert "CIFAR-10 (JPEG copy), 2,000 of 50,000 training images; 30 epochs; 2 to 3 seeds." in text
    assert "95 % Student-t interval" in text
    assert text.endswith(" Paper: Zhang et al. (2017), CIFAR-10 at full scale. —: not available.\n")


def test_a_network_is_one_block_of_table_1_however_its_cells_are_listed():
    _, *body = rows(to_markdown(aggregate([CELLS[0], CELLS[2], CELLS[1], CELLS[2].replace("true", "random")])))
    shown = [(row[0], row[4]) for row in body]
    assert shown == [("Inception", "true"), ("", "random"), ("AlexNet", "true"), ("", "random")]


def test_a_bar_in_a_text_begins_no_column_and_a_line_no_row():
    table = pd.DataFrame({("", "|w|"): ["a|b\nc"]})
    heading, _, row, *_ = rendering.to_markdown([rendering.Shown("", table)], "").splitlines()
    assert "c" in row
    for line in (heading, row):
        assert len(re.findall(r"(?<!\\)\|", line)) == 2


@pytest.mark.parametrize(
    "text",
    [
        "Net*2*x, *a* **b** _*c*_ d_*(e)*, f*",
        "*a*: (*)*b*_",
        "__A__ net, _b_ c_, a__b c__d, random_labels",
        "[a](http://x.y) ![b](c) [d]: e",
        r"a \* `b` \\",
        "<b>a</b> <http://x.y> &amp; &#42; a < b & c",
        "a|b",
    ],
)
def test_what_a_user_writes_is_no_markdown(text):
    """Not in a heading, cell, title or note; a code's name is as it was."""
    made = rendering.to_markdown([rendering.Shown(text, pd.DataFrame({("", text): [text]}))], text)
    assert ("random_labels" in text) == ("random_labels" in made)
    html = re.sub(r" (?:style|scope|class|role|aria-label|tabindex)=\"[^\"]*\"", "", markdown_html(made, ""))
    shown = str(escape(text)).replace("&#39;", "'")
    assert html.split("\n")[0] == f"<p><strong>{shown}</strong></p>"
    assert f"<th>{shown}</th>" in html
    assert f"<td>{shown}</td>" in html
    assert html.endswith(f"<p>{shown}</p>\n")
    assert rendering.in_markdown("~a~ $b$") == r"\~a\~ \$b\$"  # only GitHub reads these


def test_columns_of_numbers_are_aligned_right():
    columns = {
        ("a", "labels"): ["true", ""],
        ("b", ""): ["failed to converge", "−0.5 to 1"],
        ("c", ""): ["—"] * 2,
    }
    assert alignment(pd.DataFrame(columns | {("d", ""): ["MLP 1×512", "—"]})) == ["left", "right", "right", "left"]
    shown = pd.DataFrame({"scale": ["25 epochs; 1 seed"], "points": ["5 of 10"], "norm": ["3.2e+12"]})
    assert alignment(shown) == ["left", "right", "right"]


def test_all_seeds_diverged():
    diverged = [summary(f"{CELLS[2]}/seed{seed}", diverged_at=(1, 5)) for seed in (0, 1)]
    _, row = rows(to_markdown(aggregate(CELLS[2:], diverged)))
    assert row[-4:] == ["diverged (2 of 2)", "100.00", "—", "76.07"]


def test_nothing_trained():
    assert "Ours: none of these networks is trained yet." in to_markdown(aggregate(summaries=[]))


def test_table4_compares_augmented_rows_on_augmented_images():
    summaries = [summary(f"{name}/seed0", 99.0, 10.0) for name in RANDOM]
    summaries += [summary(f"{name}/seed1", diverged_at=(2, 3)) for name in RANDOM[1:]]
    text = to_markdown(aggregate_table4(summaries=summaries), "table4")
    heading, *body = rows(text)
    assert heading == [
        "model",
        "parameters",
        "regularisers",
        "training accuracy (%) ours",
        "training accuracy (%) paper",
    ]
    assert body == [
        ["Inception", "1,649,402", "weight decay", "99.00", "100.00"],
        ["", "", "random crop", r"98.00\*, diverged (1 of 2)", r"99.93\*"],
        ["AlexNet", "1,649,402", "weight decay", "99.00, diverged (1 of 2)", "failed to converge"],
    ]
    assert (
        "Random labels. Ours: CIFAR-10 (JPEG copy), 2,000 of 50,000 training images; 30 epochs; 1 to 2 seeds." in text
    )
    assert r"\*: accuracy over the augmented training batches of the last epoch, ours and the paper's." in text
    assert "—" not in text  # words in place of the paper's number are no gap


def test_table4_without_results_or_with_other_labels():
    text = to_markdown(aggregate_table4([RANDOM[1], "cifar10/true_labels/inception/crop+wd"]), "table4")
    heading, first, second = rows(text)
    assert heading[2:4] == ["regularisers", "labels"]
    assert first[2:] == ["random crop", "random", "—", r"99.93\*"]
    assert second[2:] == ["random crop, weight decay", "true", "—", "—"]
    assert "Random labels" not in text


def test_without_the_papers_column_table4_has_no_accuracy_of_the_paper(plugin):
    plugin("@dataset('shapes')\ndef shapes(path): ...\n")
    text = to_markdown(aggregate_table4([RANDOM[1].replace("cifar10", "shapes")]), "table4")
    assert text.count("of the last epoch.") == 1
    assert "aper" not in text


def test_a_star_is_the_papers_too_only_where_the_paper_has_a_starred_number():
    other = RANDOM[1].replace("inception", "alexnet")
    text = to_markdown(aggregate_table4([RANDOM[0], other]), "table4")
    assert [row[4] for row in rows(text)[1:]] == ["100.00", "—"]
    assert "of the last epoch. Paper: " in text


def test_the_paper_has_online_accuracies_where_images_are_augmented():
    for (_, _, regularisers), row in paper.table4().items():
        assert row["online"] == accuracies.augmented(regularisers)


def test_regularisers_of_plugins_alter_images_too(plugin):
    plugin("@regulariser('dark')\ndef dark(images):\n    return images / 2\n")
    assert accuracies.augmented("wd+dark")
    assert not accuracies.augmented("wd+dropout")
    assert not accuracies.augmented("none")


def test_two_data_sets_and_other_regularisers():
    cells = [CELLS[2], "digits/true_labels/alexnet/augment"]
    heading, first, second = rows(to_markdown(aggregate(cells, [])))
    assert heading[:5] == ["data set", "model", "parameters", "flip and rotation", "labels"]
    assert (first[:4], second[:4]) == (["CIFAR-10", "AlexNet", "—", "no"], ["digits", "AlexNet", "—", "yes"])


def test_latex():
    summaries = copy.deepcopy(SUMMARIES)
    for each in summaries:
        each["data"]["provenance"] = "50% copy_2 & more"
    text = to_latex(aggregate(summaries=summaries))
    lines = text.splitlines()
    assert r"50\% copy\_2 \& more" in text
    assert (
        r"Inception & 1,649,402 & yes & yes & true & 99.00 $\pm$ 2.48 & 100.00 & 89.00 $\pm$ 2.48 & 89.05 \\" in lines
    )
    assert any(line.startswith(r"\cmidrule(lr){6-7} ") for line in lines)
    assert text.isascii()
    assert r"\begin{landscape}" in " ".join(line for line in lines if line.startswith("%"))
    braces = text.replace(r"\{", "").replace(r"\}", "")
    assert braces.count("{") == braces.count("}")
    # As many columns in every row as the tabular declares.
    begin = next(line for line in lines if line.startswith(r"\begin{tabular}"))
    assert begin == r"\begin{tabular}{@{}lrlllrrrr@{}}"
    spans = [
        line.count(" & ") + 1 + sum(int(n) - 1 for n in re.findall(r"multicolumn{(\d)}", line))
        for line in lines
        if line.endswith(r" \\")
    ]
    assert set(spans) == {9}


def test_latex_has_each_character_of_tables():
    """Of all texts that tables are made from; pdflatex refuses what is not ASCII."""
    library = SCRIPTS / "rethinking"
    files = [
        file
        for folder in ("tables", "analysis", "paper", "measures", "models")
        for file in (library / folder).glob("*.py")
    ]
    texts = {
        node.value
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    odd = {character for text in texts for character in text if not character.isascii()}
    assert "≥" in odd
    assert odd <= set(map(chr, LATEX))


@pytest.mark.parametrize(
    ("mean", "half_width", "text"),
    [
        (478.63, math.nan, "478.6"),
        (3.2049e12, math.nan, "3.2e+12"),
        (2e8, 3e9, "2.0e+08 ± 3.0e+09"),
        (math.inf, math.nan, "inf"),
    ],
)
def test_large_numbers_have_a_power_of_ten(mean, half_width, text):
    assert rendering.with_interval(mean, half_width, "{:,.1f}") == text


@pytest.mark.parametrize(
    ("lowest", "highest", "text"),
    [
        (79_305.2, 763_170.4, "79,310 to 763,200"),
        (44.8123, 45.3, "44.81 to 45.30"),
        (478.63, 478.63, "478.6"),
        (999.96, 2_964_123, "1,000.0 to 2,964,000"),
        (0, 3.2049e12, "0 to 3.2e+12"),
        (1.5, math.inf, "1.500 to inf"),
        (math.nan, math.nan, "—"),
    ],
)
def test_ends_of_any_size_have_four_digits(lowest, highest, text):
    assert rendering.lowest_to_highest(lowest, highest) == text


@pytest.mark.parametrize("name", ["table3", "norms"])
def test_errors_of_the_paper_have_its_digits(name):
    view = registry.entry("table", name).call()
    shown, _ = view.show(read_columns(THEORY / f"{name}.csv", view.columns))
    errors = {error.split()[0] for error in shown[0].table["test error (%)", "paper"]}
    assert errors <= {"46", "17", "15", "1.2", "0.6", rendering.MISSING}
    assert {"46", "1.2"} <= errors
