"""Measures that claims compare, from constructed networks."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rethinking.analysis.rank_correlations import weakest_correlation
from rethinking.claims import measures
from rethinking.claims.measures import NotMeasured
from rethinking.claims.verdicts import Check, examine

from .curves import make_run as make_curve
from .paper_cells import EPOCHS, JITTER, make_run

CELL = "random_labels/mlp_1x512/none"
REPLACED = "random_labels_replaced0/mlp_1x512/none"


def test_memorisation_of_unchanged_labels_is_undecided_and_says_so():
    run = make_run(f"cifar10/{CELL}", train=100.0, test=10.0)
    check = Check("lead", measures.truth_lead, (CELL,), above=0)
    assert examine(check, {f"cifar10/{CELL}": {0: run}}, "cifar10").reasons == ("seed0 has nothing to measure",)


@pytest.mark.parametrize(("key", "why"), [("zero", "ZeroDivisionError"), ("absent", "KeyError")])
def test_zero_to_divide_by_and_absent_parts_are_undecided_and_say_so(key, why):
    check = Check("any", lambda record: 1 / record[key], ("a",), at_least=0)
    (reason,) = examine(check, {"cifar10/a": {0: {"zero": 0}}}, "cifar10").reasons
    assert reason.startswith(f"seed0 has nothing to measure ({why}")


@pytest.mark.filterwarnings("ignore:invalid value")
def test_infinite_numbers_have_no_interval_and_are_not_one_seed():
    check = Check("own", float, ("x",), at_most=1)
    finding = examine(check, {"x": {0: 1.0, 1: math.inf, 2: 2.0}}, "")
    assert (finding.verdict, finding.reasons) == ("undecided", ("a seed has an infinite number",))
    assert examine(check, {"x": {0: math.inf, 1: math.inf}}, "").verdict == "undecided"


def test_what_was_not_measured_is_undecided_and_says_so():
    run = make_run(f"cifar10/{CELL}", train=100.0, test=10.0)
    # The second has the file, of a version with fewer measures.
    for each in (run, replace(run, measured={"parameters": 30730})):
        with pytest.raises(NotMeasured, match=r"seed0 has no complexity.json with path_norm$"):
            measures.weakest_tau("path_norm")(each)
    with pytest.raises(NotMeasured, match=r"seed0 has no stability.json with all_change$"):
        measures.largest_change(run)
    earlier = replace(run, unread={"complexity.json": "a complexity.json of an earlier network"})
    with pytest.raises(NotMeasured, match=r"of an earlier network \('snakemake complexity' without"):
        measures.weakest_tau("path_norm")(earlier)
    # Nulls, where the network without the replacement has no losses.
    replaced = make_run(f"cifar10/{REPLACED}", train=100.0, test=10.0, measured={"all_change": None})
    with pytest.raises(NotMeasured, match=f"^cifar10/{CELL}/seed0 diverged"):
        measures.largest_change(replaced)


def test_a_measure_explains_what_it_orders_in_all_kinds_of_pairs():
    gaps = {"true_labels/alexnet/none": 20.0, "random_labels/alexnet/none": 90.0}
    gaps |= {"true_labels/mlp_1x512/none": 40.0, "random_labels/mlp_1x512/none": 85.0}

    def weakest(*values):
        runs = [
            make_run(
                f"cifar10/{cell}",
                train=100.0,
                test=10.0,
                test_corrupted=100 - gap,
                measured={"path_norm": value},
            )
            for (cell, gap), value in zip(gaps.items(), values, strict=True)
        ]
        return measures.weakest_tau("path_norm")(*runs)

    assert weakest(1, 4, 2, 3) == 1
    assert weakest(1, 3, 2, 4) == 0  # the two networks on random labels the other way round
    assert weakest(2, 4, 1, 3) == 0
    assert weakest(5, 5, 5, 5) == 0
    assert math.isnan(weakest(1, 4, 2, None))
    # Of one network alone, no pair says whether the measure orders networks, and one pair is always in some order.
    cells = [f"cifar10/labels_p{p}/alexnet/none/seed0" for p in (0.1, 0.2, 0.5, 0.8)]
    for some in (cells, [cells[0].replace("alexnet", "mlp_1x512"), *cells]):
        order = range(len(some))
        assert math.isnan(weakest_correlation(some, order, order))


def test_what_no_network_can_reach_decides_nothing():
    """Two classes have at most twice chance, and a bound cannot be compared with a gap that is not there."""
    two = make_run(f"cifar10/{CELL}", train=100.0, test=100.0)
    half = make_run(f"cifar10/{CELL}", train=75.0, test=50.0)
    with pytest.raises(NotMeasured, match="does not fit its signs"):
        measures.rademacher_per_gap(half, two)
    two.summary["data"]["num_classes"] = 2
    with pytest.raises(NotMeasured, match="2 classes"):
        measures.times_chance(two)
    with pytest.raises(NotMeasured, match="no gap"):
        measures.rademacher_per_gap(two, make_run(f"cifar10/{CELL}", train=90.0, test=91.0))


def test_as_many_epochs_as_the_control_takes_are_enough():
    control = make_run(f"cifar10/{CELL}", train=100.0, test=10.0, fitted=EPOCHS)
    failed = make_run(f"cifar10/{CELL}", train=20.0, test=10.0)
    control.curve.loc[EPOCHS, "train_accuracy_end"] = 99.0  # at the very end of the last epoch
    measured = measures.failed_train_accuracy, measures.gap_at_chance
    assert [measure(failed, control) for measure in measured] == [20, pytest.approx(10 + JITTER)]
    control.curve.loc[EPOCHS, "train_accuracy_end"] = 98.99
    for measure in measured:
        with pytest.raises(NotMeasured, match="never reaches 99 %"):
            measure(failed, control)
        assert measure(control, control) >= 90  # a network that fits needs no control


def test_signs_and_changes_by_hand():
    """Three of four signs are fitted: (3 - 1) / 4; a gap of 20 points."""
    fitted = make_run(f"cifar10/{CELL}", 1, train=75.0, test=55.0, measured={"all_change": 0.3})
    assert measures.rademacher(fitted) == 0.5
    signs = make_run(f"cifar10/{CELL}", 1, train=99.5, test=50.0)
    assert measures.rademacher_per_gap(signs, fitted) == pytest.approx(0.99 / 0.2)
    assert measures.largest_change(fitted) == 0.3


def test_number_of_several_seeds_is_their_mean_where_nothing_is_random_too():
    runs = {"cifar10/a": {0: 1.0, 1: 3.0}}
    finding = examine(Check("any", float, ("a",), at_most=2, exact=True), runs, "cifar10")
    assert finding[:4] == (2.0, 1.0, 3.0, "undecided")


def test_both_kinds_of_test_labels_have_trends_of_their_own():
    runs = [
        make_run(f"cifar10/{CELL}", 1, train=100.0, test=true, test_corrupted=corrupted)
        for true, corrupted in ((90.0, 10.0), (80.0, 30.0), (70.0, 20.0))
    ]
    assert measures.test_error_trend(*runs) == pytest.approx(1)
    assert measures.corrupted_test_error_trend(*runs) == pytest.approx(-0.5)


def test_untrained_network_is_no_epoch():
    run = make_run(f"cifar10/{CELL}", train=100.0, test=10.0, losses=[2.2, 2.0, 0.2])
    run.curve.loc[0, ["train_loss_end", "train_accuracy_end"]] = [0.1, 100.0]
    # The loss of guessing among ten classes is 2.302585.
    assert measures.loss_epoch(run, 0.9) == pytest.approx(1 + (2.2 - 2.0723265) / 0.2)
    assert measures.loss_epoch(run, 0.1) == pytest.approx(2 + (2.0 - 0.2302585) / 1.8)
    assert measures.fit_time(run) == pytest.approx(19.98)  # from 50 to 100 %


@pytest.mark.parametrize("untrained", [0.1, math.inf, math.nan])
def test_nothing_is_interpolated_from_an_untrained_network_that_is_no_start(untrained):
    run = make_run(f"cifar10/{CELL}", train=100.0, test=10.0, losses=[2.0])
    run.curve.loc[0, "train_loss_end"] = untrained
    assert measures.loss_epoch(run, 0.9) == 1


def test_epochs_are_read_off_where_the_predicates_say():
    run = make_run(f"cifar10/{CELL}", train=100.0, test=10.0, losses=[2.1, 2.0, 0.24, 0.23, 0.22])
    run.curve.loc[5:6, "train_accuracy_end"] = [98.99, 99.0]
    run.curve.loc[3, "train_accuracy"] = 100.0  # over the batches of an epoch
    assert measures.fit_time(run) == 6
    start, end = 1 + (2.1 - 2.0723265) / 0.1, 3 + (0.24 - 0.2302585) / 0.01
    assert measures.wait_beyond_fall(run) == pytest.approx(2 * start - end)
    assert measures.start_delay(run, run) == 0


def test_rounding_to_whole_epochs_decides_nothing():
    """A start that is 0.1 epochs later on average, in 100 draws of three seeds: few of them contradict that it is later.

    In whole epochs most would, because equal numbers have an interval without width.
    """
    check = Check("delay", measures.start_delay, ("late", "early"), above=0)
    epochs, drawn = np.arange(10), np.random.default_rng(0).normal(0.1, 0.3, (100, 3))

    def starting(time, seed):
        losses = 0.9 * math.log(10) + 0.2 * (time - epochs)
        return make_curve(f"cifar10/{CELL}", seed, train_loss_end=losses)

    verdicts = [
        examine(
            check,
            {
                "cifar10/late": {seed: starting(5.45 + delay, seed) for seed, delay in enumerate(delays)},
                "cifar10/early": {seed: starting(5.45, seed) for seed in range(3)},
            },
            "cifar10",
        ).verdict
        for delays in drawn
    ]
    assert verdicts.count("contradicted") <= 5


def test_falls_are_averaged_over_epochs_also_those_that_rise():
    run = make_run(f"cifar10/{CELL}", 1, train=100.0, test=60.0, tests=[50.0, 70.0, 66.0, 67.0, 60.0])
    assert measures.mean_fall(run, EPOCHS) == pytest.approx((4 + 7) / (EPOCHS - 1))
    assert measures.mean_fall(run, 4) == pytest.approx(4 / 3)


def test_recorded_thresholds_and_more_epochs_are_no_hyperparameters():
    runs = [
        make_run(f"cifar10/{CELL}", train=100.0, test=10.0, settings=settings)
        for settings in ({}, {"thresholds": [50.0]}, {"epochs": 7, "learning_rate": 0.5})
    ]
    assert [measures.changed_settings(run, runs[0]) for run in runs] == [0, 0, 1]


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ({"rmsprop": {"decay": 0.9, "epsilon": 1.0}}, 1),
        ({"decay_every": 2, "label_smoothing": 0.1, "auxiliary_loss": 0.4}, 3),
        ({"average_decay": 0.999, "micro_batch": 32, "reduction": "exact"}, 3),
        ({"rmsprop": None, "decay_every": 1, "label_smoothing": 0.0}, 0),
        ({"precision": "float32"}, 0),  # not known of the other
    ],
)
def test_settings_that_a_summary_leaves_out_have_their_defaults(given, changed):
    plain, other = (make_run(f"cifar10/{CELL}", train=100.0, test=10.0, settings=each) for each in ({}, given))
    assert measures.changed_settings(plain, other) == measures.changed_settings(other, plain) == changed
