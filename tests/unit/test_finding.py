"""The finding in one sentence, from constructed summaries."""

import pytest

from rethinking.analysis.finding import measure, scale, sentence
from rethinking.analysis.statistics import mean_interval
from rethinking.figures.finding import plot

from ..summaries import make_data, make_summary
from .curves import legend

MODELS = ("inception", "mlp_1x512")
CELLS = [f"digits/{labels}_labels/{model}/none" for model in MODELS for labels in ("true", "random")]


def network(cell, train, test, seed=0, **settings):
    settings = {"thresholds": [99.0]} | settings
    accuracies = {"train_accuracy": train, "test_accuracy": test}
    return make_summary(f"{cell}/seed{seed}", settings=settings, data=make_data("digits"), **accuracies)


def summaries(random=(100.0, 100.0), **settings):
    found = []
    for cell in CELLS:
        fitted = random[MODELS.index(cell.split("/")[2])]
        true = "true" in cell
        found.append(network(cell, 100.0 if true else fitted, 97.2 if true else 11.0, **({} if true else settings)))
    return found


def test_all_networks_fit():
    assert sentence(measure(CELLS, summaries())) == (
        "Both networks fit random labels: 100 % training accuracy, with 11 % test accuracy (chance is 10 %). "
        "With the same settings they reach 97 % test accuracy on true labels."
    )


@pytest.mark.parametrize(
    ("random", "words"),
    [
        (
            (99.6, 90.0),
            "1 of 2 networks fits random labels: 99.6 % training accuracy, with 11 % test accuracy (chance is 10 %); "
            "the other reaches 90 %. With the same settings both reach",
        ),
        (
            (50.0, 40.0),
            "None of 2 networks fit random labels: 40 to 50 % training accuracy, with 11 % test accuracy "
            "(chance is 10 %). With",
        ),
        ((99.0, 99.97), "Both networks fit random labels: 99 to 100 % training accuracy"),
        ((98.96, 98.6), "None of 2 networks fit random labels: 98.6 to 98.9 % training accuracy"),
    ],
)
def test_networks_that_do_not_fit_are_not_hidden(random, words):
    assert sentence(measure(CELLS, summaries(random))).startswith(words)


@pytest.mark.parametrize(
    ("diverged", "words"),
    [
        ([3], "1 of 2 networks fits random labels: 100 % training accuracy, with 11 % test accuracy (chance is 10 %); "
         "MLP 1×512 diverged. With the same settings both reach 97 % test accuracy on true labels."),
        ([1, 3], "None of 2 networks fit random labels: Inception, MLP 1×512 diverged. With the same settings both reach "
         "97 % test accuracy on true labels."),
        ([2], "Both networks fit random labels: 100 % training accuracy, with 11 % test accuracy (chance is 10 %). "
         "With the same settings 1 of 2 reaches 97 % test accuracy on true labels; MLP 1×512 diverged."),
        ([0, 2], "Both networks fit random labels: 100 % training accuracy, with 11 % test accuracy (chance is 10 %). "
         "With the same settings Inception, MLP 1×512 diverged on true labels."),
    ],
)  # fmt: skip
def test_networks_that_diverged_are_not_hidden(diverged, words):
    found = [
        make_summary(made["cell"], diverged_at=(1, 5), data=made["data"], settings={"thresholds": [99.0]})
        if number in diverged
        else made
        for number, made in enumerate(summaries())
    ]
    assert sentence(measure(CELLS, found)) == words
    lost = f" Not in the numbers: {len(diverged)} of 4 networks, which diverged."
    assert scale(measure(CELLS, found)).endswith(lost)


def test_one_network_that_diverged():
    true, random = summaries()[:2]
    lost = make_summary(random["cell"], diverged_at=(1, 5), data=random["data"])
    assert sentence(measure(CELLS[:2], [true, lost])).startswith(
        "The network does not fit random labels: it diverged. With"
    )


def test_networks_that_diverged_with_some_seeds_do_not_fit():
    """As claims count them; the seeds that finished would be a selection."""
    true, random = summaries()[2:]
    lost = [
        make_summary(random["cell"].replace("seed0", f"seed{seed}"), diverged_at=(1, 5), data=random["data"])
        for seed in (1, 2)
    ]
    for each in lost:
        each["provenance"]["settings"] = random["provenance"]["settings"]
    assert sentence(measure(CELLS, [*summaries(), *lost])) == (
        "1 of 2 networks fits random labels: 100 % training accuracy, with 11 % test accuracy (chance is 10 %); "
        "2 of 3 seeds of MLP 1×512 diverged. With the same settings both reach 97 % test accuracy on true labels."
    )
    assert sentence(measure(CELLS[2:], [true, random, *lost])).startswith(
        "The network does not fit random labels: 2 of 3 seeds diverged. With the same settings it reaches 97 %"
    )


def test_other_settings_are_said_of_the_networks_that_have_them():
    others = summaries(learning_rate=0.5)
    assert "With other settings they reach" in sentence(measure(CELLS, others))
    assert "With the same settings (MLP 1×512 with others) they reach" in sentence(
        measure(CELLS, [*summaries()[:3], others[3]])
    )
    assert "With other settings it reaches" in sentence(measure(CELLS[:2], others[:2]))


def test_an_options_own_default_is_no_other_setting():
    cells = [f"digits/{labels}/inception/none" for labels in ("true_labels", "random_labels")]
    given = {"batch_norm_affine": False}
    some = [network(cells[0], 100.0, 97.0, architecture={}), network(cells[1], 100.0, 10.0, architecture=given)]
    assert "With the same settings" in sentence(measure(cells, some))
    some[1]["provenance"]["settings"]["architecture"] = {"batch_norm_affine": True}
    assert "With other settings" in sentence(measure(cells, some))


def test_networks_of_several_data_sets_are_named_with_theirs():
    cells = [*CELLS[:2], *(cell.replace("digits", "mnist") for cell in CELLS[:2])]
    some = [network(cell, 100.0, 50.0, **({"learning_rate": 0.5} if cell == cells[3] else {})) for cell in cells]
    assert "(Inception on MNIST with others)" in sentence(measure(cells, some))


def test_those_that_reach_an_accuracy_on_true_labels_are_not_those_alone_that_fit_random_ones():
    cells = [*CELLS, "digits/true_labels/alexnet/none", "digits/random_labels/alexnet/none"]
    some = [*summaries((100.0, 15.0)), network(cells[4], 100.0, 52.0), network(cells[5], 100.0, 10.0)]
    assert sentence(measure(cells, some)).endswith(
        "the other reaches 15 %. With the same settings all 3 reach 52 to 97 % test accuracy on true labels."
    )


@pytest.mark.parametrize(
    ("classes", "accuracy", "words"),
    [
        (1000, 0.094, "0.094 % test accuracy (chance is 0.1 %)"),
        (300, 0.31, "0.31 % test accuracy (chance is 0.33 %)"),
        (100, 1.4, "1 % test accuracy (chance is 1 %)"),
        (8, 0, "0 % test accuracy (chance is 12.5 %)"),
        (3, 40, "40 % test accuracy (chance is 33.3 %)"),
    ],
)
def test_chance_and_accuracies_below_one_percent_are_not_rounded_away(classes, accuracy, words):
    some = [network(cell, 100.0, accuracy) for cell in CELLS[:2]]
    for each in some:
        each["data"]["num_classes"] = classes
    assert words in sentence(measure(CELLS[:2], some))


def test_half_of_a_pair_is_no_finding():
    assert sentence(measure(CELLS, summaries()[:1])) == "No network is trained on both true and random labels yet."
    for some in (summaries()[:2], summaries()[:3]):
        assert sentence(measure(CELLS, some)).startswith("The one network trained so far fits")


def test_chance_is_explained_where_the_test_accuracy_is_off_it():
    assert "off chance by some points" not in scale(measure(CELLS, summaries()))
    far = [made | {"test_accuracy": 5.0} for made in summaries()]
    assert " One draw of so few random labels is off chance by some points" in scale(measure(CELLS, far))
    both = [*far, *(made | {"cell": made["cell"].replace("seed0", "seed1")} for made in far)]
    assert " The mean of 2 draws of so few random labels" in scale(measure(CELLS, both))
    unfitted = [made | {"train_accuracy": 50.0} for made in far]
    assert "off chance by some points" not in scale(measure(CELLS, unfitted))


def test_both_accuracies_of_each_network_are_drawn_in_its_row():
    drawn = plot(measure(CELLS, summaries((100.0, 60.0))), "a note").axes
    for axes, rows in zip(drawn, ([(100, 97.2), (100, 97.2)], [(100, 11), (60, 11)]), strict=True):
        marks = {marker: [line for line in axes.lines if line.get_marker() == marker] for marker in "oD"}
        for marker, accuracies in zip("oD", zip(*rows, strict=True), strict=True):
            assert [[*line.get_xydata()[0]] for line in marks[marker]] == [[accuracies[0], 0], [accuracies[1], 1]]


def test_a_row_that_is_empty_says_why():
    figure = plot(measure(CELLS, summaries()[:2]), "a note")
    for axes in figure.axes:
        assert [text.get_text() for text in axes.texts] == ["not trained"]
    diverged = [made if "true" in made["cell"] else made | {"status": "diverged"} for made in summaries()]
    figure = plot(measure(CELLS, diverged), "a note")
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [[], ["diverged"] * 2]


def test_intervals_are_drawn_and_in_the_legend_where_there_are_any():
    def intervals(figure):
        segments = [each for axes in figure.axes for lines in axes.collections for each in lines.get_segments()]
        return [(left, right, low) for (left, low), (right, high) in segments if low == high]

    one = summaries()
    figure = plot(measure(CELLS, one), "a note")
    assert legend(figure)[0] == "training accuracy"
    assert not intervals(figure)
    two = [made | {"cell": made["cell"].replace("seed0", "seed1"), "test_accuracy": 10.0} for made in one]
    figure = plot(measure(CELLS, [*one, *two]), "a note")
    assert legend(figure)[0] == "training accuracy, 95 % interval over seeds"
    mean, half_width = mean_interval([11.0, 10.0])  # on random labels; on true ones it goes from 0 to 100
    random = pytest.approx((mean - half_width, mean + half_width))
    assert sorted({(left, right) for left, right, _ in intervals(figure)}) == [(0, 100), random, (100, 100)]
    # That of the test accuracy can hold that of the training accuracy.
    assert len({height for *_, height in intervals(figure)}) == 2 * len(MODELS)


def test_long_names_do_not_meet(plugin):
    title = "A residual network with squeeze and excitation, 64 wide"
    plugin("".join(f"@model('{name}', title='{title}')\ndef {name}(image_shape, num_classes): ...\n" for name in "ab"))
    cells = [f"digits/{labels}_labels/{model}/none" for model in "ab" for labels in ("true", "random")]
    figure = plot(measure(cells, [network(cell, 100.0, 50.0) for cell in cells]), "a note")
    figure.draw_without_rendering()
    upper, lower = (label.get_window_extent() for label in figure.axes[0].get_yticklabels())
    assert lower.y1 < upper.y0


def test_each_data_set_has_its_own_chance():
    cells = [
        f"{dataset}/{labels}_labels/alexnet/none" for dataset in ("digits", "cifar100") for labels in ("true", "random")
    ]
    some = [network(cell, 100.0, 50.0) for cell in cells]
    for each in some[2:]:
        each["data"]["num_classes"] = 100
    for axes in plot(measure(cells, some), "a note").axes:
        ends = [lines.get_segments()[0].tolist() for lines in axes.collections]
        assert ends == [[[10, -0.5], [10, 0.5]], [[1, 0.5], [1, 1.5]]]
