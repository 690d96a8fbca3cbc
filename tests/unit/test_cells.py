"""The names of cells."""

import itertools

import pytest

from rethinking import registry
from rethinking.cells import Cell, by_network, canonical_name, probability
from rethinking.run.files import UserError

CORRUPTIONS = registry.names("corruption")
DATASETS = registry.names("dataset")
REGULARISERS = registry.names("regulariser")
MODELS = registry.names("model")

ALL_REGULARISERS = [
    "+".join(some) or "none" for n in range(len(REGULARISERS) + 1) for some in itertools.combinations(REGULARISERS, n)
]


def test_regularisers_keep_their_order():
    """It is that of their files and lines, and another one would rename the folders of finished networks."""
    known = ("crop", "augment", "wd", "dropout")
    assert tuple(name for name in REGULARISERS if name in known) == known


@pytest.mark.parametrize("regularisers", ALL_REGULARISERS)
def test_roundtrip(regularisers):
    names = itertools.product(DATASETS, [*CORRUPTIONS, "labels_p0.3", "labels_p0.25"], MODELS)
    for seed, name in enumerate(names):
        text = "/".join([*name, regularisers, f"seed{seed}"])
        assert str(Cell.parse(text)) == text


def test_parts():
    cell = Cell.parse("cifar10/labels_p0.3/inception_no_bn/crop+wd/seed12")
    assert cell == Cell("cifar10", "labels_p0.3", "inception_no_bn", ("crop", "wd"), 12)
    assert cell.name == "cifar10/labels_p0.3/inception_no_bn/crop+wd"
    assert Cell.parse("cifar10/true_labels/alexnet/none/seed0").regularisers == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cifar1/true_labels/alexnet/none/seed0", "unknown data set 'cifar1'; did you mean 'cifar10'?"),
        (
            "cifar10/true_label/alexnet/none/seed0",
            "unknown corruption 'true_label'; did you mean 'true_labels'?",
        ),
        (
            "cifar10/label_p0.4/alexnet/none/seed0",
            "unknown corruption 'label_p0.4'; did you mean 'labels_p0.4'?",
        ),
        ("cifar10/random_sign_n7/alexnet/none/seed0", "did you mean 'random_signs_n7'?"),
        # Each number has one spelling.
        ("cifar10/labels_p0.50/alexnet/none/seed0", "'labels_p0.50'; did you mean 'labels_p0.5'?"),
        ("cifar10/labels_p.5/alexnet/none/seed0", "'labels_p.5'; did you mean 'labels_p0.5'?"),
        ("cifar10/labels_p5e-1/alexnet/none/seed0", "'labels_p5e-1'; did you mean 'labels_p0.5'?"),
        ("cifar10/labels_p1/alexnet/none/seed0", "'labels_p1'; did you mean 'labels_p1.0'?"),
        ("cifar10/true_signs_n500.0/alexnet/none/seed0", "did you mean 'true_signs_n500'?"),
        ("cifar10/true_signs_n050000/alexnet/none/seed0", "did you mean 'true_signs_n50000'?"),
        ("cifar10/labels_p1.5/alexnet/none/seed0", "unknown corruption 'labels_p1.5'; known: "),
        ("cifar10/true_labels/alexnt/none/seed0", "unknown model 'alexnt'; did you mean 'alexnet'?"),
        ("cifar10/true_labels/alexnet/corp/seed0", "unknown regulariser 'corp'; did you mean 'crop'?"),
        (
            "cifar10/true_labels/alexnet/zzz/seed0",
            f"unknown regulariser 'zzz'; known: {', '.join(REGULARISERS)}; or none",
        ),
        ("cifar10/true_labels/alexnet//seed0", "unknown regulariser ''"),
        ("cifar10/true_labels/alexnet/none+wd/seed0", "unknown regulariser 'none'"),
        ("cifar10/true_labels/alexnet/wd+crop/seed0", "write its regularisers as 'crop+wd', not 'wd+crop'"),
        ("cifar10/true_labels/alexnet/wd+wd/seed0", "write its regularisers as 'wd', not 'wd+wd'"),
        ("cifar10/alexnet/none/seed0", "has 3 parts; the form is data set/corruption/model/regularisers"),
        ("a/cifar10/true_labels/alexnet/none/seed0", "has 5 parts"),
        ("cifar10/true_labels/alexnet/none", "the last part must be seed0, seed1, ..., not 'none'"),
        ("cifar10/true_labels/alexnet/none/seed", "not 'seed'"),
        ("cifar10/true_labels/alexnet/none/seed01", "not 'seed01'"),
        ("cifar10/true_labels/alexnet/none/seed-1", "not 'seed-1'"),
    ],
)
def test_wrong_names_say_what_would_be_right(text, expected):
    with pytest.raises(UserError) as error:
        Cell.parse(text)
    assert expected in str(error.value)
    assert text.rpartition("/")[0] in str(error.value)


@pytest.mark.parametrize(
    "corruption",
    ["labels_p0.50", "labels_p0.00", "labels_p0", "labels_p1", "labels_p.5", "labels_p1.1", "labels_p-0.5",
     "labels_p0.5\n", "labels_p", "random_signs", "random_signs_n0", "random_signs_n05", "gaussian_replaced0",
     "true_labels_replaced01"],
)  # fmt: skip
def test_a_parameter_has_one_spelling(corruption):
    """Two spellings would give two folders with the same numbers."""
    message = r"labels_p\{p\} with p from 0\.0 to 1\.0.*random_signs_n\{n\} with n from 1"
    with pytest.raises(UserError, match=message):
        Cell.from_name(f"cifar10/{corruption}/alexnet/none", seed=0)
    assert probability(corruption) is None


@pytest.mark.parametrize(
    ("corruption", "p"),
    [("labels_p0.0", 0), ("labels_p0.1", 0.1), ("labels_p0.25", 0.25), ("labels_p1.0", 1), ("random_labels", 1),
     ("true_labels", 0), ("shuffled_pixels", None), ("random_pixels", None), ("gaussian", None)],
)  # fmt: skip
def test_label_corruption(corruption, p):
    assert probability(corruption) == p


@pytest.mark.parametrize(
    ("corruption", "canonical"),
    [("labels_p0.0", "true_labels"), ("labels_p1.0", "random_labels"), ("labels_p0.1", "labels_p0.1")],
)
def test_two_names_of_one_corruption_have_the_same_draws(corruption, canonical):
    one = Cell.from_name(f"cifar10/{corruption}/alexnet/crop+wd", seed=2)
    other = Cell.from_name(f"cifar10/{canonical}/alexnet/crop+wd", seed=2)
    assert one.stream_key == other.stream_key == other.name == canonical_name(one.name)


def test_cells_have_draws_of_their_own():
    names = itertools.product(DATASETS, CORRUPTIONS, MODELS, ALL_REGULARISERS)
    keys = [Cell.from_name("/".join(name), seed=0).stream_key for name in names]
    assert len(set(keys)) == len(DATASETS) * len(CORRUPTIONS) * len(MODELS) * 2 ** len(REGULARISERS)


def test_cells_of_a_network_are_in_order_of_p():
    names = [f"cifar10/{part}/none" for part in ("random_labels/alexnet", "labels_p0.25/alexnet")]
    true = "cifar10/true_labels/alexnet/none"
    other = "cifar10/true_labels/mlp_1x512/none"
    networks = by_network([*names, other, true])
    assert list(networks) == [("cifar10", "alexnet", "none"), ("cifar10", "mlp_1x512", "none")]
    levels = list(networks["cifar10", "alexnet", "none"].items())
    assert levels == [(0.0, true), (0.25, names[1]), (1.0, names[0])]
    with pytest.raises(UserError, match="have the same p"):
        by_network([true, true.replace("true_labels", "labels_p0.0")])


def test_corrupted_pixels_have_no_p():
    with pytest.raises(UserError, match=r"gaussian/alexnet.*labels_p0\.0"):
        by_network(["cifar10/true_labels/alexnet/none", "cifar10/gaussian/alexnet/none"])


def test_one_curve_over_p_shows_one_kind_of_noise(plugin):
    plugin("@corruption('flips_p{p:0.0..1.0}')\ndef flips(labels, p: float): ...\n")
    true, own, paper = (f"cifar10/{name}/alexnet/none" for name in ("true_labels", "flips_p0.2", "labels_p0.5"))
    assert list(by_network([true, own])["cifar10", "alexnet", "none"]) == [0.0, 0.2]
    with pytest.raises(UserError, match=r"flips_p0\.2/.*labels_p0\.5/.*different kinds of noise"):
        by_network([true, own, paper])
    # Another network can have another kind.
    by_network([true, own, paper.replace("alexnet", "mlp_1x512")])


def test_noise_with_other_parameters_than_p_is_another_kind(plugin):
    plugin("@corruption('next{k:1..5}_p{p:0.0..1.0}')\ndef following(labels, k: int, p: float): ...\n")
    true, *own = (f"cifar10/{name}/alexnet/none" for name in ("true_labels", "next1_p0.5", "next1_p1.0", "next3_p1.0"))
    assert list(by_network([true, *own[:2]])["cifar10", "alexnet", "none"]) == [0.0, 0.5, 1.0]
    with pytest.raises(UserError, match=r"next1_p0\.5/.*next3_p1\.0/.*different kinds of noise"):
        by_network([true, own[0], own[2]])
