"""Claims: verdicts from constructed networks, from the paper's own numbers and from files."""

import contextlib
import io
import math
import re
import sys

import pandas as pd
import pytest

import check_claims
from rethinking import registry
from rethinking.analysis.runs import TABLES, read_runs
from rethinking.cells import Cell
from rethinking.claims import CLAIMS, measures
from rethinking.claims.forms import Claim
from rethinking.claims.measures import NotMeasured
from rethinking.claims.report import (
    MEETS,
    MISSES,
    OUTCOMES,
    Judged,
    claimed_cells,
    judge,
    reason,
    summarise,
    to_frame,
    to_markdown,
)
from rethinking.claims.verdicts import EXACT, Check, combine, compare, examine
from rethinking.run.files import UserError

from ..default_config import default_config
from ..recompute_claims import differences
from .paper_cells import EPOCHS, cell_values, make_run, make_runs, write_runs

NAMES = [claim.name for claim in CLAIMS]
CELL = "random_labels/mlp_1x512/none"
FITS = Check("MLP", measures.train_accuracy, (CELL,), at_least=99)
GAINS = Check("MLP", measures.test_gain, ("true_labels/mlp_1x512/wd", "true_labels/mlp_1x512/none"), above=0)
# Claim -> a cell, and what must change there for the claim to be wrong.
COUNTEREXAMPLES = {
    **{
        f"fits_random_labels_{model}": (f"random_labels/{model}/none", {"train": 98.0})
        for model in ("inception", "inception_no_bn", "alexnet", "mlp_3x512", "mlp_1x512")
    },
    "fits_random_labels": ("random_labels/inception_no_bn/none", {"train": 33.7}),
    "unchanged_hyperparameters": ("random_labels/alexnet/none", {"settings": {"learning_rate": 0.05}}),
    "random_labels_at_chance": ("random_labels/mlp_3x512/none", {"test": 12.0}),
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
    "rademacher_bound_misses_the_gap": ("true_signs_n50000/mlp_1x512/none", {"test": 40.0}),
    "uniform_stability_is_trivial": (
        "random_labels_replaced0/alexnet/none",
        {"measured": {"all_change": 0.01}},
    ),
    "no_measure_explains_the_gap": (
        "true_labels/inception/none",
        {"measured": dict.fromkeys(registry.names("measure"), 0.0)},
    ),
    "truth_first": ("labels_p0.8/alexnet/none", {"memorisation": [(15.0, 12.0), (99.0, 0.5)]}),
    "memory_last": ("labels_p0.2/mlp_1x512/none", {"memorisation": [(9.0, 25.0), (20.0, 60.0)]}),
}


def verdict_on(name, runs):
    (judged,) = judge(runs, "cifar10", [claim for claim in CLAIMS if claim.name == name])
    return judged.verdict


def runs_of(cell, *networks):
    """Networks of one cell, seed 0, 1, ..., each from its values."""
    return {
        f"cifar10/{cell}": {
            seed: make_run(f"cifar10/{cell}", seed, **values) for seed, values in enumerate(networks)
        }
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


@pytest.fixture(scope="module")
def paper_runs():
    """Three seeds of every cell with the paper's numbers; not to be changed."""
    return make_runs(cell_values())


# --- the claims ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_papers_own_numbers_support_it(name, paper_runs):
    assert verdict_on(name, paper_runs) == "supported"


@pytest.mark.parametrize("name", NAMES)
def test_counterexample_contradicts_it(name, paper_runs):
    cell, change = COUNTEREXAMPLES[name]
    assert verdict_on(name, paper_runs | make_runs({cell: cell_values()[cell] | change})) == "contradicted"


@pytest.mark.parametrize("name", NAMES)
def test_it_is_undecided_without_any_one_of_its_cells(name, paper_runs):
    (claim,) = [claim for claim in CLAIMS if claim.name == name]
    for cell in claimed_cells("cifar10", [claim]):
        without = {key: value for key, value in paper_runs.items() if key != cell}
        (judged,) = judge(without, "cifar10", [claim])
        assert judged.verdict == "undecided"
        assert reason(judged) == f"not trained: {cell.removeprefix('cifar10/')}"


@pytest.mark.parametrize("claim", CLAIMS, ids=NAMES)
def test_one_seed_decides_only_what_does_not_depend_on_seeds(claim, paper_runs):
    exact = all(check.measure in EXACT for check in claim.checks)
    (judged,) = judge({cell: seeds[:1] for cell, seeds in paper_runs.items()}, "cifar10", [claim])
    assert (judged.verdict, reason(judged)) == (
        ("supported", "") if exact else ("undecided", "one seed, an interval needs two")
    )


@pytest.mark.parametrize("claim", CLAIMS, ids=NAMES)
def test_predicate_says_each_bound_with_its_sign(claim):
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
    assert len(set(NAMES)) == len(NAMES) >= 20


def test_default_configuration_trains_every_claimed_cell():
    config = default_config()
    planned = {cell.name for cell in config.cells(*config.results)}
    claimed = claimed_cells("cifar10")
    assert [name for name in claimed if name not in planned] == []
    assert [Cell.from_name(name, 0).name for name in claimed] == claimed


# --- verdicts -----------------------------------------------------------------------------------------


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
        ((99.0, 99.0, 99.0), "supported"),  # at least 99, as a whole
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
    assert gains({0: 50.0, 1: 50.0}, {0: 50.0, 1: 50.0}).verdict == "contradicted"


def test_range_is_left_on_either_side():
    check = Check("MLP", measures.above_chance, ("random_labels/mlp_1x512/none",), at_least=-1, at_most=1)

    def verdict(test):
        network = {"train": 100.0, "test": test}
        return examine(check, runs_of(CELL, network, network, network), "cifar10").verdict

    assert [verdict(test) for test in (8.5, 9.5, 10.5, 11.5)] == [
        "contradicted",
        "supported",
        "supported",
        "contradicted",
    ]


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
    finding = fits(100.0, 100.0, None)
    assert (finding.verdict, finding.mean) == ("undecided", pytest.approx(200 / 3))


def test_diverged_network_leaves_its_test_accuracy_open():
    check = Check("MLP", measures.times_chance, (CELL,), at_least=4)
    good, bad = {"train": 100.0, "test": 50.0}, {"train": 100.0, "test": 50.0, "diverged": True}
    finding = examine(check, runs_of(CELL, good, good, bad), "cifar10")
    assert (finding.verdict, finding.reasons) == ("undecided", (f"cifar10/{CELL}/seed2 diverged",))


# --- measures -----------------------------------------------------------------------------------------


def test_time_to_fit_that_never_comes_is_undecided_and_says_so(paper_runs):
    slow = make_runs({CELL: cell_values()[CELL] | {"fitted": None}})
    (claim,) = [claim for claim in CLAIMS if claim.name == "small_constant_factor"]
    (judged,) = judge(paper_runs | slow, "cifar10", [claim])
    assert judged.verdict == "undecided"
    assert f"cifar10/{CELL}/seed1 never reaches 99 %" in reason(judged)


def test_memorisation_of_unchanged_labels_is_undecided_and_says_so():
    run = make_run(f"cifar10/{CELL}", train=100.0, test=10.0)
    check = Check("lead", measures.truth_lead, (CELL,), above=0)
    assert examine(check, {f"cifar10/{CELL}": {0: run}}, "cifar10").reasons == (
        "seed0 has nothing to measure",
    )


def test_what_was_not_measured_is_undecided_and_says_so():
    run = make_run(f"cifar10/{CELL}", train=100.0, test=10.0)
    with pytest.raises(NotMeasured, match=r"seed0 has no complexity.json"):
        measures.weakest_tau("path_norm", run)
    with pytest.raises(NotMeasured, match=r"seed0 has no stability.json"):
        measures.largest_change(run)


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
        return measures.weakest_tau("path_norm", *runs)

    assert weakest(1, 4, 2, 3) == 1
    assert weakest(1, 3, 2, 4) == 0  # the two networks on random labels the other way round
    assert weakest(2, 4, 1, 3) == 0
    assert weakest(5, 5, 5, 5) == 0
    assert math.isnan(weakest(1, 4, 2, None))


def test_untrained_network_is_no_epoch():
    run = make_run(f"cifar10/{CELL}", train=100.0, test=10.0, losses=[2.2, 2.0, 0.2])
    run.curve.loc[0, ["train_loss_end", "train_accuracy_end"]] = [0.1, 100.0]
    assert (measures.loss_epoch(run, 0.9), measures.loss_epoch(run, 0.1)) == (2, 3)
    assert measures.fit_time(run) == 20


def test_epochs_are_read_off_where_the_predicates_say():
    run = make_run(f"cifar10/{CELL}", train=100.0, test=10.0, losses=[2.08, 2.07, 0.24, 0.23, 0.22])
    run.curve.loc[5:6, "train_accuracy_end"] = [98.99, 99.0]
    run.curve.loc[3, "train_accuracy"] = 100.0  # over the batches of an epoch
    assert measures.fit_time(run) == 6
    # The loss of guessing among ten classes is 2.3026.
    assert (measures.wait_beyond_fall(run), measures.start_delay(run, run)) == (2 - (4 - 2), 0)


def test_falls_are_averaged_over_all_epochs():
    run = make_run(f"cifar10/{CELL}", 1, train=100.0, test=60.0, tests=[50.0, 70.0, 66.0, 67.0, 60.0])
    assert measures.mean_fall(run) == pytest.approx((4 + 7) / (EPOCHS - 1))


def test_recorded_thresholds_and_more_epochs_are_no_hyperparameters():
    runs = [
        make_run(f"cifar10/{CELL}", train=100.0, test=10.0, settings=settings)
        for settings in ({}, {"thresholds": [50.0]}, {"epochs": 7, "learning_rate": 0.5})
    ]
    assert [measures.changed_settings(run, runs[0]) for run in runs] == [0, 0, 1]


# --- files --------------------------------------------------------------------------------------------


def run_script(root, cells, *seeds):
    """Run check_claims.py on ``root/cells`` in this process and return what it printed."""
    arguments = ["--root", root / "cells", "--cells", *cells, "--seeds", *seeds]
    arguments += ["--csv", root / "claims.csv", "--markdown", root / "claims.md"]
    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(sys, "argv", ["check_claims.py", *map(str, arguments)])
        check_claims.main()
    return printed.getvalue()


@pytest.fixture(scope="module")
def small_results(tmp_path_factory):
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
    printed = run_script(root, runs, 0, 1, 2)
    return root, printed, pd.read_csv(root / "claims.csv", keep_default_na=False).set_index("claim")


def test_numbers_agree_with_an_independent_computation(small_results):
    root, _, table = small_results
    assert table.index.tolist() == NAMES
    assert differences(root) == []


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


def test_independent_computation_notices_a_changed_number(small_results, tmp_path):
    root, _, table = small_results
    (tmp_path / "cells").symlink_to(root / "cells")
    table.loc["batch_norm_gain", "measured"] = "3.75; 3.13"
    table.to_csv(tmp_path / "claims.csv")
    (line,) = differences(tmp_path)
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
    assert small_results[2].loc["fits_gaussian"].data == "no network is trained yet"


def test_markdown_says_scale_count_and_reasons(small_results):
    root, printed, table = small_results
    text = (root / "claims.md").read_text()
    counts = table.outcome.value_counts()
    summary = ", ".join(f"{counts[each]} {each}" for each in OUTCOMES if each in counts)
    assert text.startswith(f"**{summary}**: CIFAR-10 (exact), 1,000 of 50,000 training images; 70 epochs;")
    assert printed.strip().endswith(summary)
    lines = {line.split(" | ")[0].strip("| "): line for line in text.splitlines() if line.startswith("|")}
    assert len(lines) == len(CLAIMS) + 2
    assert {line.count(" | ") for line in lines.values()} == {5}
    assert (
        "| — | **not run** | not trained: gaussian/inception/none |"
        in lines["Gaussian noise in place of images is fitted too."]
    )
    assert (
        "AlexNet: 41.22 (41.22 to 41.22); Inception: 3.3 (3.3 to 3.3)"
        in lines["Random cropping and weight decay improve generalisation by a few points."]
    )


def test_cells_that_are_not_named_are_left_out(small_results, tmp_path):
    (tmp_path / "cells").symlink_to(small_results[0] / "cells")
    printed = run_script(tmp_path, [f"cifar10/{CELL}"], 0, 1)
    assert printed == "2 networks: 1 supported, 41 not run\n"


def test_files_give_what_was_written(small_results):
    runs = read_runs(small_results[0] / "cells", ["cifar10/labels_p0.5/alexnet/none"], [0, 7], *TABLES)
    (run,) = runs["cifar10/labels_p0.5/alexnet/none"]
    assert (len(run.curve), len(run.memorisation)) == (EPOCHS + 1, EPOCHS)


def test_another_data_set_can_be_asked():
    runs = make_runs(cell_values(), dataset="digits")
    judged = judge(runs, "digits")
    assert summarise(judged) == f"{len(CLAIMS)} supported"
    table = to_frame(judged, runs, "digits")
    assert table.cells.str.startswith("digits/").all()
    assert table.data.str.startswith("digits (exact)").all()
    assert "digits" in to_markdown(judged, table.data[0]).splitlines()[0]


def test_cells_of_two_data_sets_are_refused(tmp_path):
    with pytest.raises(UserError, match="--cells are of cifar10 and digits; give those of one"):
        run_script(tmp_path, [f"cifar10/{CELL}", f"digits/{CELL}"], 0)
