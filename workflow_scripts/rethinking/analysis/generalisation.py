"""Figure 1c's numbers: test error over the label corruption, on corrupted and on true test labels.

The published errors are on test labels corrupted at the same p as the training labels: they are larger
than any of the networks has on true labels, and 1 - ((1 - p) a + p / 10), with a the accuracy on true
labels, is within 0.03 of the Inception's.
"""

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from rethinking.analysis.runs import Runs, cell_parts, published_at_p
from rethinking.analysis.statistics import mean_interval
from rethinking.cells import by_network

# Test labels -> column of curve.csv with the accuracy on them.
TEST_LABELS = {"corrupted": "test_accuracy_corrupted", "true": "test_accuracy"}


def measure_errors(runs: Runs, paper: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Test error after the last epoch.

    Args:
        runs: curves with the columns of :data:`TEST_LABELS`, in percent.
        paper: network without regularisers -> (n, 2) p and test error as a fraction.

    Returns:
        One row per cell and kind of ``test_labels``. ``test_error`` and ``test_error_ci``, fractions:
        mean over the seeds that did not diverge and half width of its interval;
        ``paper_test_error``: the paper's, only for the corrupted test labels, on which it was measured.

    Raises:
        UserError: the pixels of a cell are corrupted.
    """
    rows = []
    for levels in by_network(runs).values():
        for p, name in levels.items():
            published = published_at_p(paper, name)
            for labels, column in TEST_LABELS.items():
                errors = [1 - run.curve[column].iloc[-1] / 100 for run in runs[name] if not run.diverged]
                mean, half_width = mean_interval(errors)
                rows.append(
                    {
                        **cell_parts(name),
                        "p": p,
                        "test_labels": labels,
                        "test_error": mean,
                        "test_error_ci": half_width,
                        "paper_test_error": published if labels == "corrupted" else math.nan,
                    }
                )
    return pd.DataFrame(rows)
