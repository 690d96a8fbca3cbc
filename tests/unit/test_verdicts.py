"""Verdicts from constructed networks."""

import math
from dataclasses import replace

import pytest

from rethinking.claims import CLAIMS, measures
from rethinking.claims.forms import Claim
from rethinking.claims.imagenet import IMAGENET
from rethinking.claims.report import MEETS, MISSES, Judged
from rethinking.claims.theory import THEORY_CLAIMS
from rethinking.claims.verdicts import Check, combine, compare, examine

from .paper_cells import make_run

CELL = "random_labels/mlp_1x512/none"
FITS = Check("MLP", measures.train_accuracy, (CELL,), at_least=99)
GAINS = Check("MLP", measures.test_gain, ("true_labels/mlp_1x512/wd", "true_labels/mlp_1x512/none"), above=0)


def runs_of(cell, *networks):
    """Networks of one cell, seed 0, 1, ..., each from its values."""
    return {
        f"cifar10/{cell}": {seed: make_run(f"cifar10/{cell}", seed, **values) for seed, values in enumerate(networks)}
    }


def fits(*accuracies):
    """The finding of the check FITS on seeds with these training accuracies; None is a diverged one."""
    networks = [{"train": value, "test": 10.0, "diverged": value is None} for value in accuracies]
    return examine(FITS, runs_of(CELL, *networks), "cifar10")


def gains(with_decay, without):
    """The finding of the check GAINS on test accuracies by seed."""
    runs = {
        f"cifar10/{cell}": {
            seed: make_run(f"cifar10/{cell}", 1, train=100.0, test=value) for seed, value in values.items()
        }
        for cell, values in zip(GAINS.cells, (with_decay, without), strict=True)
    }
    return examine(GAINS, runs, "cifar10")


def test_interval_over_seeds_by_hand():
    finding = fits(99.2, 99.4, 99.6)
    # t(0.975, 2) = 4.302653; the standard deviation is 0.2.
    half_width = 4.302653 * 0.2 / math.sqrt(3)
    assert finding[:3] == pytest.approx((99.4, 99.4 - half_width, 99.4 + half_width))
    assert finding.verdict == "undecided"
    assert finding.reasons == ("the interval straddles the bound",)


@pytest.mark.parametrize(
    ("accuracies", "verdict"),
    [
        ((99.1, 99.1, 99.1), "supported"),
        ((99.0, 99.0, 99.0), "undecided"),  # rounded to one image, they can be below 99
        ((99.5, 99.6, 99.7), "supported"),
        ((98.3, 98.4, 98.5), "contradicted"),
        ((97.0, 99.9, 99.9), "undecided"),
        ((100.0,), "undecided"),
    ],
)
def test_verdict_needs_the_whole_interval_on_one_side(accuracies, verdict):
    assert fits(*accuracies).verdict == verdict


def test_comparison_is_paired_by_seed():
    # Seeds differ by far more than the gain, which is the same for each of them.
    finding = gains({0: 41.0, 1: 51.1, 2: 61.0}, {0: 40.0, 1: 50.0, 2: 60.0})
    assert finding.mean == pytest.approx(3.1 / 3)
    assert finding.verdict == "supported"
    # With the seeds in another order, the same numbers decide nothing.
    assert gains({0: 61.0, 1: 41.0, 2: 51.1}, {0: 40.0, 1: 50.0, 2: 60.0}).verdict == "undecided"


def test_comparison_takes_the_seeds_that_both_have():
    finding = gains({0: 51.0, 1: 51.0, 2: 51.0}, {1: 50.0, 2: 50.0, 3: 90.0})
    assert (finding.mean, finding.verdict) == (1.0, "supported")
    assert gains({0: 51.0}, {1: 50.0}).reasons == ("its cells have no seed in common",)


def test_equal_is_not_better():
    check = replace(GAINS, exact=True)
    runs = {name: {0: make_run(f"cifar10/{name}", train=100.0, test=50.0)} for name in GAINS.cells}
    assert examine(GAINS, runs, "").verdict == "undecided"
    assert examine(check, runs, "").verdict == "contradicted"


def gains_of_images(images, *gains):
    """The finding of the check GAINS on seeds with these gains, each in test images."""
    runs = {name: {} for name in GAINS.cells}
    for name, of_gain in zip(GAINS.cells, (1, 0), strict=True):
        for seed, gain in enumerate(gains):
            run = make_run(f"cifar10/{name}", 1, train=100.0, test=50.0 + of_gain * gain * 100 / images)
            run.summary["data"]["test"]["count"] = images
            runs[name][seed] = run
    return examine(GAINS, runs, "")


def test_seeds_that_agree_are_known_to_one_image():
    """On 360 test images two seeds often agree by chance; an interval without width would decide."""
    finding = gains_of_images(360, 1, 1)
    assert finding.verdict == "undecided"
    # t(0.975, 1) = 12.7062; two accuracies are rounded, each with the variance (100 / 360)^2 / 12.
    half_width = 12.7062 * (100 / 360) * math.sqrt(2 / 12) / math.sqrt(2)
    assert finding[:3] == pytest.approx((100 / 360, 100 / 360 - half_width, 100 / 360 + half_width))
    assert gains_of_images(10_000, 100, 100).verdict == "supported"


def test_an_interval_grows_with_what_seeds_differ_by():
    widths = [finding.high - finding.low for finding in (gains_of_images(360, 2, n) for n in (2, 3, 4))]
    assert widths == sorted(widths)
    assert widths[1] < 2 * widths[0]


@pytest.mark.parametrize(("seeds", "verdict"), [(2, "undecided"), (3, "supported")])
def test_what_is_no_accuracy_of_the_summary_is_rounded_too(seeds, verdict):
    """A lead of half a point among 450 images with changed labels: 500 at p = 1, of ten classes."""
    check = Check("lead", measures.truth_lead, (CELL,), above=0)
    networks = [{"train": 100.0, "test": 10.0, "memorisation": [(9.5, 10.0)] * 2, "images": 500}] * seeds
    assert examine(check, runs_of(CELL, *networks), "cifar10").verdict == verdict


def test_seeds_that_agree_on_what_is_rounded_to_nothing_known_decide_nothing():
    finding = examine(Check("own", float, ("x",), at_least=0), {"x": {0: 0.5, 1: 0.5}}, "")
    assert (finding.verdict, finding.reasons) == (
        "undecided",
        ("all seeds agree, so the interval has no width",),
    )
    # The same in floating point.
    runs = {"x": {0: 32.2 - 31.2, 1: 1.0}}
    assert examine(Check("own", float, ("x",), at_least=0), runs, "").verdict == "undecided"


def test_intervals_end_where_the_numbers_do():
    """And one seed has none, whatever its numbers can be."""
    finding = fits(100.0, 92.4)
    assert (finding.high, finding.verdict) == (100, "undecided")
    assert finding.low < 92.4
    check = Check("MLP", measures.times_chance, (CELL,), at_most=1.2)
    networks = [{"train": 100.0, "test": test} for test in (1.0, 20.0)]
    finding = examine(check, runs_of(CELL, *networks), "cifar10")
    assert (finding.low, finding.high) == (0, 10)  # ten times chance is 100 %
    assert math.isnan(fits(99.5).low)


def test_seeds_that_agree_on_a_probability_are_known_to_float32():
    """A bound that is a ten-thousandth away is on one side of it."""
    network = {"train": 100.0, "test": 10.0, "measured": {"all_change": 0.5001}}
    check = Check("MLP", measures.largest_change, (CELL,), at_least=0.5)
    finding = examine(check, runs_of(CELL, *[network] * 3), "cifar10")
    # t(0.975, 2) = 4.302653; float32 has 24 bits.
    assert finding.high - finding.mean == pytest.approx(4.302653 * 2**-23 / 6, rel=1e-6)
    assert finding.verdict == "supported"


def test_bounds_lie_where_the_numbers_can():
    """Else an interval that ends there could be on the other side of one."""
    run = make_run(f"cifar10/{CELL}", train=100.0, test=10.0)
    for check in (check for claim in (*CLAIMS, *IMAGENET, *THEORY_CLAIMS) for check in claim.checks):
        _, *ends = getattr(check.measure, "possible_values", (0, -math.inf, math.inf))
        low, high = (end(run) if callable(end) else end for end in ends)
        bounds = (check.at_least, check.above, check.at_most)
        assert all(low <= bound <= high for bound in bounds if bound is not None), check.label


def test_every_condition_of_the_paper_on_networks_has_a_step_or_is_continuous():
    """So that one that is added is not forgotten: seeds that agree would leave it undecided."""
    declared = {check.measure for claim in (*CLAIMS, *IMAGENET) for check in claim.checks if not check.exact}
    continuous = {measures.fit_time_ratio, measures.start_delay, measures.wait_beyond_fall}
    assert {measure for measure in declared if not getattr(measure, "possible_values", [0])[0]} == continuous


def test_number_at_its_bound_is_within_in_floating_point_too():
    gain, share = 32.2 - 31.2, 0.8 / 1.2
    assert (gain > 1, share > 2 / 3) == (True, True)
    assert compare(Check("gain", float, ("x",), at_most=1), gain, gain) == "supported"
    assert compare(Check("share", float, ("x",), at_most=2 / 3), share, share) == "supported"
    assert compare(GAINS, gain - 1, gain - 1) == "contradicted"  # it must be above 0


def test_range_is_left_on_either_side():
    check = Check("MLP", measures.times_chance, ("random_labels/mlp_1x512/none",), at_least=0.9, at_most=1.1)

    def verdict(test):
        network = {"train": 100.0, "test": test}
        return examine(check, runs_of(CELL, network, network, network), "cifar10").verdict

    assert [verdict(test) for test in (8.5, 9.5, 10.5, 11.5)] == [
        "contradicted",
        "supported",
        "supported",
        "contradicted",
    ]
    # The bounds belong to the range.
    assert compare(check, 0.9, 1.1) == "supported"
    assert compare(check, 1.1, 1.2) == compare(check, 0.8, 0.9) == "undecided"


@pytest.mark.parametrize("bounds", [{}, {"at_least": math.nan}, {"at_most": 1, "above": math.nan}])
def test_check_that_could_not_fail_is_an_error(bounds):
    with pytest.raises(ValueError, match="the check 'MLP' needs a bound"):
        Check("MLP", measures.train_accuracy, (CELL,), **bounds)


@pytest.mark.parametrize("interval", [(math.nan, math.nan), (math.nan, 0.0), (0.0, math.nan)])
@pytest.mark.parametrize("bounds", [{"at_least": -1}, {"at_most": 1}, {"above": -1}])
def test_nan_is_never_supported(bounds, interval):
    assert compare(Check("MLP", measures.train_accuracy, (CELL,), **bounds), *interval) == "undecided"


def test_one_contradiction_is_enough_and_one_doubt_too_many():
    supported, contradicted, undecided = fits(100.0, 100.0), fits(10.0, 10.0), fits(100.0)
    assert combine([supported, supported]) == "supported"
    assert combine([supported, undecided]) == "undecided"
    assert combine([supported, undecided, contradicted]) == "contradicted"


def test_diverged_network_has_fitted_nothing():
    assert fits(None, None).verdict == "contradicted"
    check = Check("MLP", measures.remaining_loss, (CELL,), at_most=0.1)
    lost = {"train": None, "test": 10.0, "diverged": True}
    assert examine(check, runs_of(CELL, lost, lost), "cifar10").verdict == "contradicted"
    assert measures.online_train_accuracy(make_run(f"cifar10/{CELL}", train=None, test=10.0, diverged=True)) == 0
    finding = fits(100.0, 100.0, None)
    assert (finding.verdict, finding.mean) == ("undecided", pytest.approx(200 / 3))


def test_diverged_network_leaves_its_test_accuracy_open():
    check = Check("MLP", measures.times_chance, (CELL,), at_least=4)
    good, bad = {"train": 100.0, "test": 50.0}, {"train": 100.0, "test": 50.0, "diverged": True}
    finding = examine(check, runs_of(CELL, good, good, bad), "cifar10")
    assert (finding.verdict, finding.reasons) == ("undecided", (f"cifar10/{CELL}/seed2 diverged",))


def test_one_seed_meets_or_misses_the_condition():
    claim = Claim("a", "A.", "own", "accuracy ≥ 99", (FITS,))

    def outcome(*accuracies):
        return Judged(claim, [fits(*accuracies)]).outcome

    assert [outcome(100.0), outcome(40.0)] == [MEETS, MISSES]
    assert [outcome(100.0, 100.0), outcome(40.0, 40.0), outcome(98.0, 100.0)] == [
        "supported",
        "contradicted",
        "undecided",
    ]
    assert Judged(claim, [examine(FITS, {}, "cifar10")]).outcome == "not run"


def test_a_condition_that_one_number_decides_leaves_the_outcome_to_the_others():
    exact = replace(FITS, exact=True)
    claim = Claim("a", "A.", "own", "accuracy ≥ 99, twice", (FITS, exact))

    def outcome(accuracy):
        decided = examine(exact, runs_of(CELL, {"train": 100.0, "test": 10.0}), "cifar10")
        return Judged(claim, [fits(accuracy), decided]).outcome

    assert [outcome(100.0), outcome(40.0)] == [MEETS, MISSES]


def test_a_seed_without_the_number_leaves_seeds_that_agree_undecided():
    runs = {
        "x": {seed: make_run(f"cifar10/{CELL}", seed, train=100.0, test=10.0, diverged=seed == 2) for seed in range(3)}
    }
    finding = examine(Check("gap", measures.test_accuracy, ("x",), at_least=5), runs, "")
    assert (finding.verdict, len(finding.reasons)) == ("undecided", 1)
    # Seeds 0 and 1 differ by their jitter; here they agree.
    runs["x"][1] = make_run(f"cifar10/{CELL}", 0, train=100.0, test=10.0)
    finding = examine(Check("gap", measures.test_accuracy, ("x",), at_least=5), runs, "")
    assert finding.high > finding.low
    assert (finding.verdict, len(finding.reasons)) == ("undecided", 1)
