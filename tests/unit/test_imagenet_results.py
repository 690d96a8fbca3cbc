"""Table 2, figure 2a, the claims on ImageNet and the sizes of its networks, from constructed networks."""

import re

import numpy as np
import pandas as pd
import pytest

from rethinking import paper
from rethinking.analysis.aggregation import TABLE2_COLUMNS, aggregate_accuracy
from rethinking.analysis.runs import Run, summaries
from rethinking.analysis.sizes import count_imagenet, count_sizes
from rethinking.claims import measures
from rethinking.claims.imagenet import ALEXNET_2012, IMAGENET, MEANT, papers_last_accuracy, papers_parameters
from rethinking.claims.report import claimed_cells, judge, number
from rethinking.figures.fig2a import draw
from rethinking.report.layout import section_of_claim
from rethinking.tables import rendering
from rethinking.tables.imagenet import table2
from rethinking.tables.sizes import sizes

from ..default_config import default_config
from ..summaries import make_data, make_summary
from .curves import dashed_lines, make_run, note

CELLS = ["/".join(key) for key in paper.table2()]
NONE, WD = "true_labels/inception_v3/none", "true_labels/inception_v3/wd"


def network(cell, seed=0, classes=1000, dataset="imagenet", **changes):
    """A network with the paper's numbers, moved a little by the seed."""
    values = dict(paper.table2()[tuple(cell.split("/"))])
    if cell == WD:
        values["train_accuracy"] = 99.6  # what is meant
    values = {key: (value or 0) + 0.001 * seed for key, value in values.items()}
    for ending in ("", "_top5"):
        best, last = f"best_test_accuracy{ending}", f"test_accuracy{ending}"
        values[best] = max(values[best], values[last])
    if classes <= 10:
        values = {key: value for key, value in values.items() if not key.endswith("top5")}
    summary = make_summary(
        f"{dataset}/{cell}/seed{seed}",
        settings={"epochs": 250, "learning_rate": 0.045, "thresholds": []},
        parameters=23_834_568,
        data=make_data(dataset, 50_000, 50_000, num_classes=classes),
    )
    return Run(summary | values | changes, pd.DataFrame())


def networks():
    return {f"imagenet/{cell}": [network(cell, seed) for seed in (0, 1)] for cell in CELLS}


def rendered(runs, dataset="imagenet"):
    names = [f"{dataset}/{cell}" for cell in CELLS]
    table = aggregate_accuracy(names, summaries(runs), paper.table2(), TABLE2_COLUMNS)
    view = table2()
    return view.present(table)[0].table, view.note(table)


# --- table 2 ----------------------------------------------------------------------------------------


def test_figure_2a_and_the_claims_take_the_cells_of_table2():
    config = default_config()
    assert set(claimed_cells("imagenet", IMAGENET)) <= set(config.table2.cells)
    assert set(config.fig2a.cells) <= set(config.table2.cells)
    assert paper.table2()["random_labels", "inception_v3", "wd+dropout"]["train_accuracy"] == 91.18


def test_table2_beside_the_papers():
    runs = {f"imagenet/{cell}": [network(cell)] for cell in CELLS}
    shown, text = rendered(runs)
    row = shown.iloc[3]
    assert list(row[:4]) == ["true", "no", "no", "no"]
    assert list(shown.iloc[0][:4]) == ["true", "yes", "yes", "yes"]
    for k, value in ((1, "59.80 (63.16)"), (5, "80.38 (84.49)")):
        assert row[f"top-{k} test accuracy (%)", "ours"] == value
        assert row[f"top-{k} test accuracy (%)", "paper"] == value
    assert row["top-5 training accuracy (%)", "paper"] == "100.00"
    assert paper.inconsistency("table2") in text


def test_the_best_test_accuracy_of_each_is_its_own():
    row = rendered({f"imagenet/{NONE}": [network(NONE, best_test_accuracy=61.0)]})[0].iloc[3]
    columns = [row["top-1 test accuracy (%)", whose] for whose in ("ours", "paper")]
    assert columns == ["59.80 (61.00)", "59.80 (63.16)"]


def test_ten_classes_have_no_top5_in_table2():
    runs = {f"imagenette/{cell}": [network(cell, classes=10, dataset="imagenette")] for cell in CELLS}
    shown, _ = rendered(runs, "imagenette")
    assert {heading[0] for heading in shown if "accuracy" in heading[0]} == {
        "top-1 training accuracy (%)",
        "top-1 test accuracy (%)",
    }


# --- figure 2a --------------------------------------------------------------------------------------


def test_figure_has_the_papers_curves_in_epochs():
    names = default_config().fig2a.cells
    tests = [0.1, 60.0, 65.0, 62.0]
    columns = {"train_accuracy_end": [0.1, 50.0, 80.0, 99.0], "test_accuracy": tests}
    runs = {name: [make_run(name, **columns)] for name in names}
    figure, numbers = draw(runs, "some scale")
    assert [axes.get_title() for axes in figure.axes] == [
        "augmentation, weight\ndecay, dropout",
        "weight decay",
        "no regulariser",
    ]
    for axes, regularisers in zip(figure.axes, ("augment+wd+dropout", "wd", "none"), strict=True):
        for line, split in zip(dashed_lines(axes), ("train", "test"), strict=True):
            published = np.array(
                paper.read("figures")["curves"][f"fig2a_{split}_{regularisers.replace('ment', '').replace('+', '_')}"]
            )
            np.testing.assert_allclose(line.get_xdata(), published[:, 0] * 1000 / 40_036)
            np.testing.assert_allclose(line.get_ydata(), 100 * published[:, 1])
    assert "weight decay 3.00, paper 5.38" in note(figure)
    assert "99.60 is meant" in note(figure)
    assert "We infer" not in note(figure), "there is no evidence that its training accuracy is a moving average"
    assert set(numbers.quantity) == {"train_accuracy_end", "test_accuracy", "best_test_accuracy"}


# --- claims -----------------------------------------------------------------------------------------

COUNTEREXAMPLES = {
    "imagenet_fits_random_labels": ("random_labels/inception_v3/none", {"train_accuracy": 75.0}),
    "imagenet_fits_random_labels_regularised": ("random_labels/inception_v3/wd", {"train_accuracy": 75.0}),
    "imagenet_random_labels_at_chance": ("random_labels/inception_v3/wd", {"test_accuracy": 0.2}),
    "imagenet_unchanged_hyperparameters": (
        "random_labels/inception_v3/none",
        {"provenance": {"settings": {"epochs": 99, "learning_rate": 0.1}}},
    ),
    "imagenet_regularisers_help": (NONE, {"test_accuracy": 70.0}),
    "imagenet_generalises_without_regularisers": (NONE, {"test_accuracy": 50.0}),
    "imagenet_augmentation_beats_weight_decay": (WD, {"test_accuracy": 75.0}),
    "imagenet_early_stopping_gains": (NONE, {"best_test_accuracy": 60.0}),
    "imagenet_top5_near_alexnet": (NONE, {"test_accuracy_top5": 70.0}),
    "imagenet_misprint": (WD, {"train_accuracy": 90.6}),
}


def judged(name, runs, dataset="imagenet"):
    """The verdict on a claim, and the reasons of its first check."""
    (found,) = judge(runs, dataset, [claim for claim in IMAGENET if claim.name == name])
    return found.verdict, found.findings[0].reasons


def changed(cell, **changes):
    """The paper's numbers, but for those of one cell."""
    return networks() | {f"imagenet/{cell}": [network(cell, seed, **changes) for seed in (0, 1)]}


@pytest.mark.parametrize("name", [claim.name for claim in IMAGENET])
def test_the_papers_own_numbers_support_it_and_others_do_not(name):
    assert judged(name, networks())[0] == "supported"
    if name == "imagenet_parameters":  # it needs no network
        assert judged(name, {})[0] == "supported"
        return
    assert judged(name, {})[0] == "undecided"
    cell, changes = COUNTEREXAMPLES[name]
    assert judged(name, changed(cell, **changes))[0] == "contradicted"


def test_random_labels_of_imagenet_can_be_too_far_below_chance():
    runs = changed("random_labels/inception_v3/wd", test_accuracy=0.01)
    assert judged("imagenet_random_labels_at_chance", runs)[0] == "contradicted"


@pytest.mark.parametrize("regulariser", ["none", "wd", "wd+dropout"])
def test_a_network_that_fits_some_points_less_than_the_papers_contradicts_nothing(regulariser):
    cell = f"random_labels/inception_v3/{regulariser}"
    fitted = paper.table2()[tuple(cell.split("/"))]["train_accuracy"]
    runs = changed(cell, train_accuracy=fitted - 5)
    assert {judged(claim.name, runs)[0] for claim in IMAGENET} == {"supported"}


def test_settings_that_do_not_fit_random_labels_do_not_suffice_for_them():
    runs = changed("random_labels/inception_v3/none", train_accuracy=50.0)
    assert judged("imagenet_unchanged_hyperparameters", runs)[0] == "contradicted"


@pytest.mark.parametrize(("share", "verdict"), [(0.4, "contradicted"), (0.6, "supported")])
def test_half_of_the_papers_gain_by_early_stopping_is_asked_for(share, verdict):
    final, best = (paper.table2()[tuple(NONE.split("/"))][key] for key in ("test_accuracy", "best_test_accuracy"))
    runs = changed(NONE, test_accuracy=final, best_test_accuracy=final + share * (best - final))
    assert judged("imagenet_early_stopping_gains", runs)[0] == verdict


def test_what_the_paper_means_is_where_its_curve_ends():
    """And AlexNet's top-5 test error of 2012 was 16.4 %, as section 3 says."""
    assert pytest.approx(MEANT, abs=0.02) == papers_last_accuracy()
    assert pytest.approx(100 - 16.4) == ALEXNET_2012


def test_best_top5_is_not_the_last():
    run = network(NONE)
    keys = ("test_accuracy_top5", "best_test_accuracy_top5")
    assert [measures.top5(key)(run) for key in keys] == [80.38, 84.49]


def test_ten_classes_leave_top5_undecided():
    runs = {f"imagenette/{cell}": [network(cell, classes=10, dataset="imagenette")] for cell in CELLS}
    assert "too few classes" in judged("imagenet_top5_near_alexnet", runs, "imagenette")[1][0]


def test_the_papers_number_of_parameters():
    assert papers_parameters() == paper.sizes()["imagenet", "inception_v3"]["parameters"] == 23_885_392
    assert number(papers_parameters(), 4) == "23885392"  # as the table of claims shows it


def test_the_number_of_parameters_is_cited_for_no_place_in_the_paper():
    """None is noted behind the number in the paper's data."""
    assert "place in the paper is not known" in paper.read("zhang2017")["settings"]["imagenet_parameters"]["evidence"]
    (claim,) = (claim for claim in IMAGENET if claim.name == "imagenet_parameters")
    assert not re.search("section|table|appendix", claim.source)
    assert section_of_claim(claim.source) == "ImageNet"


# --- sizes ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("images", [None, 1_281_167])
def test_networks_are_as_large_as_the_paper_says(images):
    manifest = images and {"num_classes": 1000, "train": {"count": images}}
    table = count_imagenet(manifest, paper.sizes(), own=True)
    ours = table.model == "inception_v3"
    assert (table.parameters == table.paper_parameters)[~ours].all()
    assert table.parameters[ours].tolist() == [23_834_568]
    assert table.parameters_per_image.isna().all() == (images is None)
    view = sizes()
    text = rendering.to_markdown(*view.show(table))
    assert "ResNet-152" in text
    assert "1008 outputs and running statistics, ours 1000 and none" in text


def test_sizes_of_few_classes_are_not_those_of_all():
    few = make_data("imagenet", 70, 70, num_classes=3, image_shape=[3, 299, 299])
    network = {"dataset": "imagenet", "model": "inception_v3", "input_size": 299, "architecture": {}}
    table = count_sizes([network], {"imagenet": few}, paper.sizes())
    assert "1008 outputs and running statistics, ours 3 and none" in sizes().note(table)
    assert "place in the paper is not known" in sizes().note(table)
    others = count_imagenet(few, paper.sizes(), own=False)
    assert len(others) == 5
    assert others.train_images.isna().all()


# --- a data set without a path ----------------------------------------------------------------------


def test_cells_without_data_are_left_out():
    config = default_config()
    assert config.absent_datasets() == ["imagenet"]
    assert config.cells("table2", "fig2a") == []
    here = config.datasets | {"imagenet": config.datasets["imagenet"].model_copy(update={"path": "/x"})}
    assert len(config.model_copy(update={"datasets": here}).cells("table2")) == 7 * len(config.seeds)
