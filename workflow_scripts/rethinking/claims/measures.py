"""Measures: one number from one or more networks with the same seed, so that comparisons are paired.

A measure takes one :class:`Run` per cell. If a network does not have the number, because it diverged or
never reached a threshold, the measure raises :class:`NotMeasured`. By :func:`.measured` it declares its possible values.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rethinking.analysis.aggregation import corrupted_gap
from rethinking.analysis.descriptions import span
from rethinking.analysis.finding import FITTED, changed_hyperparameters
from rethinking.analysis.rank_correlations import weakest_correlation
from rethinking.analysis.runs import MEASURES, Run
from rethinking.analysis.statistics import rank_correlation
from rethinking.analysis.time_to_fit import first_reached, schedule, time_to_fit, trained_on
from rethinking.cells import probability
from rethinking.claims.possible_values import FLOAT32, gap_step, measured, order_step, tau_step, test_step, train_step

STARTED, ALMOST_DONE = 0.9, 0.1  # training loss as a share of that of guessing


class NotMeasured(Exception):
    """A network does not have the number; the message says why."""


@measured(train_step, 0, 100)
def train_accuracy(run: Run) -> float:
    """Final accuracy on the training set in evaluation mode, percent; a diverged network has fitted nothing."""
    return 0.0 if run.diverged else run.summary["train_accuracy"]


@measured(train_step, 0, 100)
def failed_train_accuracy(run: Run, control: Run) -> float:
    """:func:`train_accuracy` after enough epochs. A network that has fitted nothing must be below the bound on it, 50 %."""
    needs_epochs(run, control)
    if not run.diverged:
        needs_classes(run, 3, "guessing fits half of its labels")
    return train_accuracy(run)


@measured(train_step, 0, 100)
def online_train_accuracy(run: Run) -> float:
    """Accuracy over the (augmented) batches of the last epoch, percent; a diverged network has fitted nothing."""
    return 0.0 if run.diverged else run.summary["train_accuracy_online"]


def finished(run: Run) -> Mapping[str, Any]:
    """The summary of a network that has not diverged."""
    if run.diverged:
        raise NotMeasured(f"{run.summary['cell']} diverged")
    return run.summary


def chance(run: Run) -> float:
    """Test accuracy of guessing, percent."""
    return 100 / classes(run)


@measured(test_step, 0, 100)
def test_accuracy(run: Run) -> float:
    """Final accuracy on true test labels, percent."""
    return finished(run)["test_accuracy"]


def top5(key: str) -> Callable[[Run], float]:
    """The measure of a top-5 accuracy on true test labels, the final or the best over the epochs, percent."""

    @measured(test_step, 0, 100)
    def accuracy(run: Run) -> float:
        if key not in finished(run):
            raise NotMeasured(f"{run.summary['cell']} has too few classes for a top-5 accuracy")
        return run.summary[key]

    return accuracy


@measured(lambda run: test_step(run) / chance(run), 0, lambda run: classes(run))
def times_chance(run: Run) -> float:
    """Test accuracy as a multiple of that of guessing."""
    needs_classes(run, 6, f"at most {classes(run)} times chance")  # 5 is the largest bound on this measure
    return test_accuracy(run) / chance(run)


@measured(test_step, -100, 100)
def test_gain(run: Run, other: Run) -> float:
    """Test accuracy of the first network minus that of the second, percentage points."""
    return test_accuracy(run) - test_accuracy(other)


def share_step(run: Run, other: Run) -> float:
    """The step of :func:`test_share`."""
    return math.hypot(test_step(run), test_share(run, other) * test_step(other)) / test_accuracy(other)


@measured(share_step, 0)
def test_share(run: Run, other: Run) -> float:
    """Test accuracy of the first network divided by that of the second."""
    return test_accuracy(run) / test_accuracy(other)


# Of the first network it has twice the accuracy, with four times the variance.
@measured(lambda run, other, base: test_step(run, run, run, run, other, base), -200, 200)
def difference_of_gains(run: Run, other: Run, base: Run) -> float:
    """Gain of the first network over the third, minus gain of the second over the first, percentage points."""
    return test_gain(run, base) - test_gain(other, run)


@measured(gap_step, -100, 100)
def generalisation_gap(run: Run) -> float:
    """Training accuracy minus test accuracy, percentage points."""
    return finished(run)["train_accuracy"] - test_accuracy(run)


@measured(lambda run, control: gap_step(run), -100, 100)
def gap_at_chance(run: Run, control: Run) -> float:
    """:func:`generalisation_gap` on random labels after enough epochs.

    That of a perfect fit must be above the bound on it, 80 points.
    """
    finished(run)
    needs_epochs(run, control)
    needs_classes(run, 6, f"at most a gap of {100 - chance(run):g} points")
    return generalisation_gap(run)


@measured(gap_step, -200, 200)
def gap_growth(run: Run, other: Run) -> float:
    """Generalisation gap of the first network minus that of the second, percentage points."""
    return generalisation_gap(run) - generalisation_gap(other)


@measured(lambda run: test_step(run, run), 0, 100)
def early_stopping_gain(run: Run) -> float:
    """Best test accuracy over the epochs minus the final one, percentage points."""
    return finished(run)["best_test_accuracy"] - test_accuracy(run)


@measured(lambda run: test_step(run, run), 0, 100)
def overfitting(run: Run) -> float:
    """:func:`early_stopping_gain` of a network that was trained on after it fitted; until then the last is the best."""
    fitted = fit_time(run)
    if not trained_on(run):
        raise NotMeasured(
            f"{run.summary['cell']} fits after {fitted:.1f} of {span([schedule(run)], 'epoch')}, too late to overfit"
        )
    return early_stopping_gain(run)


@measured(order_step, -1, 1)
def test_error_trend(*runs: Run) -> float:
    """Rank correlation of the test error with the order of the networks."""
    return trend([100 - test_accuracy(run) for run in runs])


@measured(order_step, -1, 1)
def corrupted_test_error_trend(*runs: Run) -> float:
    """Rank correlation of the error on equally corrupted test labels with the order of the networks."""
    return trend([100 - finished(run)["test_accuracy_corrupted"] for run in runs])


def fit_time(run: Run) -> float:
    """:func:`rethinking.analysis.time_to_fit.time_to_fit` of a network that fits."""
    return reached(run, time_to_fit(run), f"never reaches {FITTED:g} %")


@measured(lowest=0)
def fit_time_ratio(run: Run, other: Run) -> float:
    """Epochs that the first network takes to fit, divided by those of the second."""
    return fit_time(run) / fit_time(other)


@measured(order_step, -1, 1)
def fit_time_trend(*runs: Run) -> float:
    """Rank correlation of the time to fit with the order of the networks."""
    return trend([fit_time(run) for run in runs])


def loss_epoch(run: Run, share: float) -> float:
    """Epochs until the training loss at the end of an epoch falls to this share of that of guessing."""
    bound = share * guessing_loss(run)
    return reached(run, first_reached(run, bound - run.curve.train_loss_end), f"keeps a loss above {bound:.2f}")


@measured(FLOAT32, 0)
def remaining_loss(run: Run) -> float:
    """Training loss at the end of the last epoch, divided by that of guessing; a diverged network has fitted nothing."""
    if run.diverged:
        return 1.0
    return float(run.curve.train_loss_end.iloc[-1]) / guessing_loss(run)


def start_delay(run: Run, other: Run) -> float:
    """Epochs by which the first network's loss starts to fall later than the second's."""
    return loss_epoch(run, STARTED) - loss_epoch(other, STARTED)


def wait_beyond_fall(run: Run) -> float:
    """Epochs before the loss starts to fall, minus the epochs that its fall then takes."""
    start = loss_epoch(run, STARTED)
    return start - (loss_epoch(run, ALMOST_DONE) - start)


def mean_fall(run: Run, last: int) -> float:
    """Mean fall of test accuracy from one epoch to the next, percentage points; 0 where it rises."""
    return float(-run.curve.test_accuracy[run.curve.epoch.between(1, last)].diff().clip(upper=0).mean())


def falls_step(run: Run, other: Run) -> float:
    """The step of :func:`excess_falls`: the first and the last accuracy of each network, over the epochs between."""
    return test_step(run, run, other, other) / (min(learning_epochs(run), learning_epochs(other)) - 1)


@measured(falls_step, -100, 100)
def excess_falls(run: Run, other: Run) -> float:
    """Mean fall of the first network minus that of the second, while both still learn: later all curves are flat."""
    last = min(learning_epochs(run), learning_epochs(other))
    return mean_fall(run, last) - mean_fall(other, last)


def learning_epochs(run: Run) -> int:
    """The epoch in which it fits (see :func:`fit_time`), or its last one."""
    finished(run)
    epochs = run.curve.epoch[run.curve.epoch > 0]
    fitted = epochs[run.curve.train_accuracy_end >= FITTED]
    return epochs.max() if fitted.empty else fitted.min()


def changed_settings(run: Run, other: Run) -> float:
    """Number of hyperparameters in which two networks differ."""
    return len(changed_hyperparameters(run.summary, other.summary))


def parameters_per_image(run: Run) -> float:
    """Number of parameters divided by the number of training images."""
    return run.summary["parameters"] / run.summary["data"]["train"]["count"]


def lead_step(run: Run) -> float:
    """One image with a changed label, percent. Of those drawn at p, one in so many classes gets its own label again."""
    changed = probability(run.cell.corruption) * (1 - 1 / classes(run))
    return train_step(run) / changed


@measured(lead_step, -100, 100)
def truth_lead(run: Run) -> float:
    """First epoch, images with a wrong label: predictions of the true label minus those of the given one, points."""
    return -memory_lead(run, 0)


@measured(lead_step, -100, 100)
def memory_lead(run: Run, row: int = -1) -> float:
    """Last epoch, images with a wrong label: predictions of the given label minus those of the true one, points."""
    finished(run)
    epoch = run.memorisation.iloc[row]
    return float(epoch.changed_accuracy_given - epoch.changed_accuracy_true)


def signs_step(run: Run) -> float:
    """The step of :func:`rademacher`."""
    return train_step(run) / 50


@measured(signs_step, -1, 1)
def rademacher(run: Run) -> float:
    """Correlation of a network with the random signs that it was trained on."""
    return 2 * finished(run)["train_accuracy"] / 100 - 1


def signs_per_gap_step(run: Run, other: Run) -> float:
    """The step of :func:`rademacher_per_gap`."""
    ratio = rademacher_per_gap(run, other)
    return math.hypot(signs_step(run), ratio * gap_step(other) / 100) / (generalisation_gap(other) / 100)


@measured(signs_per_gap_step)
def rademacher_per_gap(run: Run, other: Run) -> float:
    """The first network's correlation with random signs, divided by the second's generalisation gap as a fraction.

    The correlation is a lower bound on the complexity, so it must be near its largest value.
    """
    if finished(run)["train_accuracy"] < FITTED:
        raise NotMeasured(f"{run.summary['cell']} does not fit its signs, so its complexity can be larger")
    gap = generalisation_gap(other) / 100
    if gap <= 0:
        raise NotMeasured(f"{other.summary['cell']} has no gap to compare with")
    return rademacher(run) / gap


@measured(FLOAT32, 0, 1)
def largest_change(run: Run) -> float:
    """Largest change of the loss at any point when one training example is replaced."""
    finished(run)
    change = number_in("stability.json", run, "all_change")
    if change is None:
        raise NotMeasured(f"{run.cell.base} diverged")
    return change


def weakest_tau(name: str) -> Callable[..., float]:
    """The smallest rank correlation of a measure of complexity with the gap, over the three kinds of pairs."""

    @measured(tau_step, -1, 1)
    def tau(*runs: Run) -> float:
        rows = []
        for run in runs:
            if run.diverged:
                continue
            rows.append((run.summary["cell"], corrupted_gap(run.summary), number_in("complexity.json", run, name)))
        return weakest_correlation(*zip(*rows, strict=True)) if rows else math.nan

    return tau


# ---- parts


def number_in(file: str, run: Run, name: str) -> float | None:
    """A number in a file of :data:`rethinking.analysis.runs.MEASURES`.

    Raises:
        NotMeasured: the network has no such file, one without this number or one that is not of it, of which the message
            says how to make it again.
    """
    if name in run.measured:
        return run.measured[name]
    has = f"no {file} with {name}"  # a file of an earlier version, or without a plug-in, has fewer measures
    if file in run.unread:
        has = f"{run.unread[file]} ('snakemake {MEASURES[file]}' without finished_only makes it again)"
    raise NotMeasured(f"{run.summary['cell']} has {has}")


def classes(run: Run) -> int:
    """Number of classes of its data."""
    return run.summary["data"]["num_classes"]


def guessing_loss(run: Run) -> float:
    """Cross-entropy of equal probabilities, nats."""
    return math.log(classes(run))


def needs_classes(run: Run, fewest: int, otherwise: str) -> None:
    """Refuse a network whose data have too few classes to be on both sides of a bound; ``otherwise`` says why."""
    if classes(run) < fewest:
        raise NotMeasured(f"{run.summary['cell']} has {classes(run)} classes, so {otherwise}")


def needs_epochs(run: Run, control: Run) -> None:
    """Refuse a network that does not fit, unless the control, without its regulariser, fits in as many epochs.

    Otherwise its schedule may be too short.
    """
    if train_accuracy(run) < FITTED and fit_time(control) > schedule(run):
        raise NotMeasured(f"{control.summary['cell']} does not fit in {span([schedule(run)], 'epoch')} either")


def reached(run: Run, epochs: float | None, otherwise: str) -> float:
    """The epochs until a curve of a network reached a bound.

    Raises:
        NotMeasured: the network diverged, or there are none, of which ``otherwise`` is said.
    """
    finished(run)
    if epochs is None:
        raise NotMeasured(f"{run.summary['cell']} {otherwise}")
    return epochs


def trend(values: Sequence[float]) -> float:
    """Rank correlation with the order, where there is one."""
    correlation = rank_correlation(values)
    if math.isnan(correlation):
        raise NotMeasured("all values are equal")
    return correlation
