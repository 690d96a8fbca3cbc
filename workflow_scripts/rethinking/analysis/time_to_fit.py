"""Figure 1b's numbers: how much longer a network takes to fit its training set when labels are corrupted.

The time to overfit is the number of whole epochs until the training set is fitted, divided by the same
network's time at p = 0: the published ratios are multiples of 1/10, 1/31 and 1/28. The paper does not
say when a training set counts as fitted, so several thresholds are measured, each on the mean over the
batches of an epoch and on the moving average at its end, which the paper's curves show.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from rethinking.analysis.finding import FITTED
from rethinking.analysis.runs import Run, Runs, cell_parts, published_at_p
from rethinking.analysis.statistics import mean_interval
from rethinking.cells import by_network

# When a training set counts as fitted: the column of a curve, accuracy (percent) or loss (nats) over the batches of
# training, and its bound. 100 % at the end of an epoch means that about the last 300 batches are right; earlier ones
# have no weight left.
THRESHOLDS = {
    f"{name}{ending}": (f"{column}{suffix}", bound)
    for ending, suffix in ((" at end", "_end"), ("", ""))
    for name, column, bound in (
        ("100 %", "train_accuracy", 100),
        ("99.9 %", "train_accuracy", 99.9),
        ("99 %", "train_accuracy", 99),
        ("loss 0.1", "train_loss", 0.1),
    )
}
TITLES = {
    name: f"{'end-of' if column.endswith('_end') else 'whole'}-epoch "
    + (f"loss ≤ {bound} nats" if "loss" in column else f"accuracy ≥ {bound} %")
    for name, (column, bound) in THRESHOLDS.items()
}

TRAINED_ON = 1.5  # epochs, as a multiple of those to fit, after which a network would have overfitted


def epochs_to_fit(run: Run, threshold: str) -> int | None:
    """The first epoch that reaches one of :data:`THRESHOLDS`; None if none does or the network diverged."""
    column, bound = THRESHOLDS[threshold]
    epochs, values = run.curve.epoch.to_numpy(), run.curve[column].to_numpy()
    reached = epochs[(epochs > 0) & (values <= bound if "loss" in column else values >= bound)]
    return None if run.diverged or not len(reached) else int(reached[0])


def first_reached(run: Run, beyond: pd.Series) -> float | None:
    """Epochs until a curve first reaches a bound, interpolated linearly within the epoch in which it does.

    In whole epochs seeds often agree exactly, and an interval without width would decide on what is only rounded.

    Args:
        run: one network.
        beyond: how far its curve is beyond the bound at each epoch, negative before it.

    Returns:
        None where it does not reach it; the untrained network does not count.
    """
    reached = beyond.index[(beyond >= 0) & (run.curve.epoch > 0)]
    if reached.empty:
        return None
    after, before = beyond[reached[0]], beyond.shift()[reached[0]]
    # The untrained network can be beyond the bound too, or have an infinite loss.
    missing = after / (after - before) if -math.inf < before < 0 else 0.0
    return float(run.curve.epoch[reached[0]] - missing)


def schedule(run: Run) -> int:
    """Epochs that it was to be trained for."""
    return run.summary["provenance"]["settings"]["epochs"]


def time_to_fit(run: Run) -> float | None:
    """Epochs, interpolated, until a network fits; None where it never does.

    It fits when its moving average of training accuracy is :data:`rethinking.analysis.finding.FITTED` at the end of an
    epoch.
    """
    return first_reached(run, run.curve.train_accuracy_end - FITTED)


def trained_on(run: Run) -> bool:
    """Whether a network was trained on after it fitted, so that it could overfit; until then the last epoch is the best."""
    epochs = time_to_fit(run)
    return epochs is not None and TRAINED_ON * epochs <= schedule(run)


def times_to_overfit(runs: Runs, paper: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Epochs to fit the training set relative to p = 0, paired by seed.

    Args:
        runs: curves with ``epoch``, ``train_accuracy``, ``train_loss`` and both at the end of an epoch; of each
            network one cell is p = 0.
        paper: network without regularisers -> (n, 2) p and ratio.

    Returns:
        One row per cell and threshold. ``paired``: seeds that are also trained at p = 0;
        ``unpaired``: the others; ``reached``: how many of the paired ones reach the threshold, and
        ``epochs_to_fit`` their mean time if all do; ``ratio`` and ``ratio_ci``: mean over all
        paired seeds and half width of its interval (at least what rounding to whole epochs leaves open; none at p = 0),
        missing unless every seed reaches the threshold at this p and at p = 0, because a mean over the fast ones would
        be too small; ``paper_ratio``.

    Raises:
        UserError: the pixels of a cell are corrupted.
    """
    rows = []
    for levels in by_network(runs).values():
        at_start = runs[levels[0.0]] if 0.0 in levels else []
        for p, name in levels.items():
            for threshold in THRESHOLDS:
                pairs = paired_times(runs[name], at_start, threshold)
                ratios = [here / start if here and start else math.nan for here, start in pairs]
                # Both numbers of a ratio are rounded to whole epochs.
                steps = [math.hypot(1, here / start) / start for here, start in pairs if here and start]
                ratio, ratio_ci = mean_interval(ratios, max(steps, default=0.0))
                rows.append(
                    {
                        **cell_parts(name),
                        "p": p,
                        "threshold": threshold,
                        "paired": len(pairs),
                        "unpaired": len(runs[name]) - len(pairs),
                        "reached": sum(here is not None for here, _ in pairs),
                        "epochs_to_fit": mean_interval([here or math.nan for here, _ in pairs])[0],
                        "ratio": ratio,
                        "ratio_ci": ratio_ci if p else math.nan,  # at 0 it is 1 by definition
                        "paper_ratio": published_at_p(paper, name),
                    }
                )
    return pd.DataFrame(rows)


def paired_times(runs: Sequence[Run], at_start: Sequence[Run], threshold: str) -> list[tuple[int | None, int | None]]:
    """Epochs to fit of each seed, here and at p = 0, for the seeds that both have."""
    start = {run.cell.seed: epochs_to_fit(run, threshold) for run in at_start}
    return [(epochs_to_fit(run, threshold), start[run.cell.seed]) for run in runs if run.cell.seed in start]
