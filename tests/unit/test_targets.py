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
        ("result/table1.csv", "results/table1.csv"),
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
    assert describe_unknown([word], RULES, FILES) == f"no rule makes '{word}'{said}"


def test_path_from_the_root_is_offered_as_snakemake_knows_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "did you mean 'results/table1.csv'" in describe_unknown(
        [f"{tmp_path}/results/table1.csv"], RULES, FILES
    )
    outside = [f"{tmp_path}/results/table1.csv"]
    assert f"did you mean '{outside[0]}'" in describe_unknown(["results/table1.csv"], RULES, outside)
