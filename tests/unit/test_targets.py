"""What a misspelt target is told."""

import pytest

from rethinking.run.targets import NO_IDEA, describe_unknown

RULES = ["all", "cifar10", "train_cell"]
CELL = "results/cells/cifar10/true_labels/mlp_1x512/none/seed0/summary.json"
FILES = ["results/table1.csv", "results/table1.md", "results/fig1a.svg", CELL]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("al", "all"),
        ("CIFAR10", None),
        ("tabl1", "results/table1.csv"),
        ("tabel1.csv", "results/table1.csv"),
        ("./results//tabel1.md", "results/table1.md"),
        ("results/demo/fig1a.pdf", "results/fig1a.svg"),
        (CELL.replace("true", "ture"), CELL),
        (CELL.replace("seed0/summary", "seed7/sumary"), CELL),
        ("", None),
        ("/", None),
        ("{x}", None),
    ],
)
def test_nearest_is_offered(word, meant):
    said = f"; did you mean '{meant}'?" if meant else NO_IDEA
    assert describe_unknown([word], RULES, FILES, "results") == f"no rule makes '{word}'{said}"


def test_path_from_the_root_is_offered_as_snakemake_knows_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = describe_unknown([f"{tmp_path}/results/table1.csv"], RULES, FILES, "results")
    assert said.endswith("; did you mean 'results/table1.csv'?")
    outside = [f"{tmp_path}/results/table1.csv"]
    said = describe_unknown(["results/table1.csv"], RULES, outside, f"{tmp_path}/results")
    assert said.endswith(f"; did you mean '{outside[0]}'?")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("results/mine/table1.csv", "results/table1.csv"),
        ("result/table1.csv", "results/table1.csv"),
        (CELL.replace("results", "results/demo"), CELL),
    ],
)
def test_result_of_another_configuration_asks_for_it(word, meant):
    said = describe_unknown([word], RULES, FILES, "results")
    assert said.endswith(f"did you mean '{meant}'? Results in another folder need their --configfile or --profile")
