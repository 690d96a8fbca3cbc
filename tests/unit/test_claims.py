"""Each claim: supported by the paper's own numbers, contradicted by a counterexample, undecided without its cells."""

import re

import numpy as np
import pytest

from rethinking import registry
from rethinking.cells import Cell
from rethinking.claims import CLAIMS
from rethinking.claims.report import claimed_cells, judge, reason, summarise, to_frame

from ..default_config import default_config
from .paper_cells import cell_values, make_run, make_runs

NAMED = {claim.name: claim for claim in CLAIMS}
EACH = pytest.mark.parametrize("claim", CLAIMS, ids=list(NAMED))
CELL = "random_labels/mlp_1x512/none"
# Claim -> a cell, and what must change there for the claim to be wrong.
COUNTEREXAMPLES = {
    **{
        f"fits_random_labels_{model}": (f"random_labels/{model}/none", {"train": 98.0})
        for model in ("inception", "inception_no_bn", "alexnet", "mlp_3x512", "mlp_1x512")
    },
    "fits_random_labels": ("random_labels/inception_no_bn/none", {"train": 33.7}),
    "zero_training_loss": ("random_labels/mlp_1x512/none", {"losses": [2.0, 0.3]}),
    "unchanged_hyperparameters": ("random_labels/alexnet/none", {"settings": {"learning_rate": 0.05}}),
    "random_labels_at_chance": ("random_labels/mlp_3x512/none", {"test": 13.0}),
    "true_labels_generalise": ("true_labels/mlp_3x512/none", {"test": 30.0}),
    "labels_alone_open_the_gap": ("random_labels/alexnet/none", {"train": 40.0}),
    "more_parameters_than_images": ("true_labels/alexnet/none", {"parameters": 49_999}),
    "fits_shuffled_pixels": ("shuffled_pixels/inception/none", {"train": 98.0}),
    "fits_random_pixels": ("random_pixels/inception/none", {"train": 98.0}),
    "fits_gaussian": ("gaussian/inception/none", {"train": 98.0}),
    "random_labels_start_late": ("random_labels/inception/none", {"losses": [0.5]}),
    "random_pixels_start_sooner": ("random_pixels/inception/none", {"losses": [2.2] * 20 + [0.0]}),
    "gaussian_starts_sooner": ("gaussian/inception/none", {"losses": [2.2] * 20 + [0.0]}),
    "fast_once_started": ("random_labels/inception/none", {"losses": [2.2] * 9 + [1.0] * 10 + [0.1]}),
    "fits_every_corruption": ("labels_p0.7/alexnet/none", {"train": 98.0}),
    "small_constant_factor": ("random_labels/inception/none", {"fitted": 41}),
    "slower_with_corruption": ("true_labels/alexnet/none", {"fitted": 60}),
    "steady_deterioration": ("labels_p0.9/mlp_1x512/none", {"test": 80.0}),
    "signal_beside_noise": ("labels_p0.5/mlp_1x512/none", {"test": 15.0}),
    "order_of_networks": ("labels_p0.4/alexnet/none", {"test": 80.0}),
    "regularisers_help": ("true_labels/inception/crop+wd", {"test": 80.0}),
    "each_regulariser_helps": ("true_labels/alexnet/wd", {"test": 76.0}),
    "cropping_beats_weight_decay": ("true_labels/alexnet/crop", {"test": 70.0}),
    "regularisers_not_necessary": ("true_labels/mlp_3x512/none", {"test": 45.0}),
    "regularisers_not_sufficient": ("random_labels/inception/augment", {"train": 60.0}),
    "architecture_matters_more": ("true_labels/mlp_3x512/wd", {"test": 84.0}),
    "early_stopping_gains_nothing": ("true_labels/inception/none", {"best": 90.0}),
    "batch_norm_gain": ("true_labels/inception_no_bn/wd", {"test": 86.0}),
    "batch_norm_steadies": ("true_labels/inception_no_bn/none", {"tests": [50.0, 82.0]}),
    "weight_decay_still_fits": ("random_labels/mlp_3x512/wd", {"train": 98.0}),
    "weight_decay_stops_alexnet": ("random_labels/alexnet/wd", {"train": 99.0}),
    "cropping_still_fits": ("random_labels/inception/crop", {"online": 98.0}),
    "augmentation_still_fits": ("random_labels/inception/augment", {"online": 98.0}),
    "rademacher_complexity_is_one": ("random_signs_n5000/alexnet/none", {"train": 90.0}),
    "rademacher_bound_misses_the_gap": ("true_signs_n50000/mlp_1x512/none", {"test": 51.0}),
    "no_measure_explains_the_gap": (
        "true_labels/inception/none",
        {"measured": dict.fromkeys(registry.names("measure"), 0.0)},
    ),
    "truth_first": ("labels_p0.8/alexnet/none", {"memorisation": [(15.0, 12.0), (99.0, 0.5)]}),
    "memory_last": ("labels_p0.2/mlp_1x512/none", {"memorisation": [(9.0, 25.0), (20.0, 60.0)]}),
}
# Those on lower bounds, which no small number contradicts, with a cell.
ON_LOWER_BOUNDS = {
    "uniform_stability_is_trivial": "random_labels_replaced0/alexnet/none",
    "uniform_stability_ignores_labels": "true_labels_replaced0/mlp_1x512/none",
}


def verdict_on(claim, runs):
    (judged,) = judge(runs, "cifar10", [claim])
    return judged.verdict


@pytest.fixture(scope="module")
def paper_runs():
    """Three seeds of every cell with the paper's numbers; not to be changed."""
    return make_runs(cell_values())


@EACH
def test_the_papers_own_numbers_support_it(claim, paper_runs):
    assert verdict_on(claim, paper_runs) == "supported"


@pytest.mark.parametrize(
    "claim", [claim for claim in CLAIMS if claim.name not in ON_LOWER_BOUNDS], ids=lambda claim: claim.name
)
def test_counterexample_contradicts_it(claim, paper_runs):
    cell, change = COUNTEREXAMPLES[claim.name]
    assert verdict_on(claim, paper_runs | make_runs({cell: cell_values()[cell] | change})) == "contradicted"


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
@pytest.mark.parametrize(("name", "cell"), ON_LOWER_BOUNDS.items())
def test_small_lower_bound_decides_nothing(name, cell, seeds, paper_runs):
    small = make_runs({cell: cell_values()[cell] | {"measured": {"all_change": 0.3}}}, seeds)
    (judged,) = judge(paper_runs | small, "cifar10", [NAMED[name]])
    assert judged.outcome == "undecided"
    assert "a lower bound below 0.5 decides nothing" in reason(judged)


def test_labels_alone_differ_only_with_the_same_optimiser(paper_runs):
    cell = "random_labels/mlp_1x512/none"
    changed = make_runs({cell: cell_values()[cell] | {"settings": {"rmsprop": {"decay": 0.9, "epsilon": 1.0}}}})
    for name in ("labels_alone_open_the_gap", "unchanged_hyperparameters"):
        assert verdict_on(NAMED[name], paper_runs | changed) == "contradicted"


@EACH
def test_it_is_undecided_without_any_one_of_its_cells(claim, paper_runs):
    for cell in claimed_cells("cifar10", [claim]):
        without = {key: value for key, value in paper_runs.items() if key != cell}
        (judged,) = judge(without, "cifar10", [claim])
        assert judged.verdict == "undecided"
        assert reason(judged) == f"missing: {cell.removeprefix('cifar10/')}"


@EACH
def test_one_seed_decides_only_what_does_not_depend_on_seeds(claim, paper_runs):
    exact = all(check.exact for check in claim.checks)
    (judged,) = judge({cell: seeds[:1] for cell, seeds in paper_runs.items()}, "cifar10", [claim])
    assert (judged.verdict, reason(judged)) == (
        ("supported", "") if exact else ("undecided", "one seed, an interval needs two")
    )


@EACH
def test_predicate_says_how_many_networks_and_each_bound_with_its_sign(claim):
    models = {cell.split("/")[1] for check in claim.checks for cell in check.cells}
    if said := re.match("(two|three|five) networks", claim.predicate):
        assert len(models) == {"two": 2, "three": 3, "five": 5}[said[1]]
    for check in claim.checks:
        for bound, forms in (
            (check.at_least, ("≥ {}", "from {} to")),
            (check.at_most, ("≤ {}", "to {}", "{} settings differ")),
            (check.above, ("> {}",)),
        ):
            if bound is not None:
                number = f"{bound:g}".replace("-", "−")
                said = "|".join(re.escape(form.format(number)) for form in forms)
                assert re.search(rf"(?<![\d.])({said})(?![\d.]*\d)", claim.predicate), (check.label, bound)


def test_names_are_unique():
    assert len(NAMED) == len(CLAIMS) >= 20


def test_default_configuration_trains_every_claimed_cell():
    config = default_config()
    planned = {cell.name for cell in config.cells(*config.results)}
    claimed = claimed_cells("cifar10")
    assert [name for name in claimed if name not in planned] == []
    assert [Cell.from_name(name, 0).name for name in claimed] == claimed


@pytest.mark.parametrize(
    ("name", "change", "verdict"),
    [
        # Settings that are the same, and with which random labels are not fitted.
        ("unchanged_hyperparameters", {"train": 14.5}, "contradicted"),
        # Worse than guessing is no better than guessing.
        ("random_labels_at_chance", {"test": 7.0}, "supported"),
    ],
)
def test_random_labels_that_are_not_fitted(name, change, verdict, paper_runs):
    cell = "random_labels/inception_no_bn/none"
    assert verdict_on(NAMED[name], paper_runs | make_runs({cell: cell_values()[cell] | change})) == verdict


def test_networks_that_guess_are_at_chance():
    """Three seeds of five networks that guess the labels of 10,000 images."""
    claim, rng = NAMED["random_labels_at_chance"], np.random.default_rng(0)
    supported = 0
    for _ in range(20):
        runs = {
            cell: [make_run(cell, seed, train=100.0, test=rng.binomial(10_000, 0.1) / 100) for seed in range(3)]
            for cell in claimed_cells("cifar10", [claim])
        }
        supported += verdict_on(claim, runs) == "supported"
    assert supported >= 18


def test_time_to_fit_that_never_comes_is_undecided_and_says_so(paper_runs):
    slow = make_runs({CELL: cell_values()[CELL] | {"fitted": None}})
    (judged,) = judge(paper_runs | slow, "cifar10", [NAMED["small_constant_factor"]])
    assert judged.verdict == "undecided"
    assert f"cifar10/{CELL}/seed1 never reaches 99 %" in reason(judged)


@pytest.mark.parametrize(
    ("train", "fitted", "verdict", "why"),
    [
        (20.0, 69, "supported", ""),
        (20.0, None, "undecided", "random_labels/alexnet/none/seed0 never reaches 99 %"),
        (99.9, None, "contradicted", ""),
    ],
)
def test_weight_decay_stops_only_what_fits_without_it(train, fitted, verdict, why, paper_runs):
    with_decay, without = "random_labels/alexnet/wd", "random_labels/alexnet/none"
    changed = {with_decay: cell_values()[with_decay] | {"train": train}}
    changed |= {without: cell_values()[without] | {"fitted": fitted}}
    (judged,) = judge(paper_runs | make_runs(changed), "cifar10", [NAMED["weight_decay_stops_alexnet"]])
    assert judged.verdict == verdict
    assert why in reason(judged)
    # One that is trained for fewer epochs than the other needs.
    short = changed[with_decay] | {"settings": {"epochs": 40}}
    (judged,) = judge(
        paper_runs | make_runs(changed | {with_decay: short}),
        "cifar10",
        [NAMED["weight_decay_stops_alexnet"]],
    )
    assert judged.verdict == ("contradicted" if train > 99 else "undecided")
    assert train > 99 or fitted is None or "does not fit in 40 epochs either" in reason(judged)


@pytest.mark.parametrize(("fitted", "verdict"), [(40, "supported"), (60, "undecided"), (None, "undecided")])
def test_early_stopping_needs_a_network_that_was_trained_on(fitted, verdict, paper_runs):
    """Of 70 epochs; the best of one that has just fitted is its last."""
    cell = "true_labels/inception_no_bn/none"
    runs = paper_runs | make_runs({cell: cell_values()[cell] | {"fitted": fitted}})
    assert verdict_on(NAMED["early_stopping_gains_nothing"], runs) == verdict


def test_steadiness_is_compared_while_both_networks_learn(paper_runs):
    steady, falling = np.linspace(40, 80, 70), np.linspace(80, 10, 70)
    cells = {name: f"true_labels/{name}/none" for name in ("inception", "inception_no_bn")}
    # The one with batch normalisation falls until it fits, the other one from then on.
    tests = {
        "inception": [*falling[:20], *steady[20:]],
        "inception_no_bn": [*steady[:20], *falling[20:]],
    }
    changed = {
        cells[name]: cell_values()[cells[name]] | {"tests": list(some), "fitted": {"inception": 20}.get(name)}
        for name, some in tests.items()
    }
    assert verdict_on(NAMED["batch_norm_steadies"], paper_runs | make_runs(changed)) == "contradicted"


def test_another_data_set_can_be_asked():
    runs = make_runs(cell_values(), dataset="digits")
    judged = judge(runs, "digits")
    assert summarise(judged) == f"{len(CLAIMS)} supported"
    table = to_frame(judged, runs, "digits")
    assert table.cells.str.startswith("digits/").all()
    assert table.data.str.startswith("digits (exact)").all()
