"""Uniform stability (section 2.2): how far the replacement of one training example moves the loss of any point.

An algorithm is uniformly stable with b if the loss at every point changes by at most b whatever example is replaced
(Hardt, Recht and Singer 2016). Bousquet and Elisseeff (2002) remove the example, which is the same up to a factor of two;
their bounds on the generalisation gap are informative for b well below 1 / root n. Measuring some replacements gives a
lower bound on b. The loss is one minus the probability that the network assigns to the label, between 0 and 1.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rethinking.analysis.aggregation import aggregate_cell, columns, corrupted_gap, frame
from rethinking.analysis.runs import cell_parts
from rethinking.analysis.statistics import mean_interval
from rethinking.cells import Cell
from rethinking.run.files import UserError

MEASURED = ("test_change", "all_change", "mean_change", "changed_predictions")
PREDICTIONS = ("train_confidence", "test_confidence", "test_prediction")  # what is read of predictions.npz
COLUMNS = columns(
    ("str", "dataset model corruption regularisers"),
    ("Int64", "seeds pairs"),
    ("float64", " ".join(f"{name} {name}_ci" for name in (*MEASURED, "gap"))),
    ("Int64", "gap_seeds gap_diverged"),
    ("float64", "needed"),
    ("Int64", "epochs diverged pairs_diverged"),
    ("str", "data"),
)
Predictions = Mapping[str, np.ndarray]


def loss_changes(
    before: Predictions, after: Predictions, places: tuple[int, int], exchanged: Sequence[float]
) -> dict[str, float]:
    """How far the losses of a network moved when one of its training examples was replaced.

    Args:
        before: ``predictions.npz`` of the network without the replacement.
        after: that of the network with it.
        places: of the replaced training example and of the test example that replaced it.
        exchanged: change of the loss at these two.

    Raises:
        UserError: there is no other test example.

    Returns:
        ``test_change``: largest change over the other test points; ``all_change``: over these, the training points
        that both saw, and the two exchanged; ``mean_change``: mean over the other test points;
        ``changed_predictions``: percentage of them whose predicted class changes.
    """

    def change(split: str, place: int) -> np.ndarray:
        old, new = (some[f"{split}_confidence"].astype(float) for some in (before, after))
        return np.delete(np.abs(new - old), place)

    on_train, on_test = change("train", places[0]), change("test", places[1])
    if not len(on_test):
        raise UserError("stability needs test images beside the one that is exchanged; give at least two")
    differ = np.delete(before["test_prediction"] != after["test_prediction"], places[1])
    return {
        "test_change": float(on_test.max()),
        "all_change": float(np.concatenate([on_test, on_train, np.abs(exchanged)]).max()),
        "mean_change": float(on_test.mean()),
        "changed_predictions": 100 * float(differ.mean()),
    }


def stability_table(
    cells: Sequence[str], summaries: Sequence[Mapping[str, Any]], changes: Mapping[Cell, Mapping[str, float]]
) -> pd.DataFrame:
    """Stability and generalisation gap of each cell in which examples were replaced.

    Args:
        cells: names without seeds; only those in which an example is replaced are used.
        summaries: contents of ``summary.json`` of any of their seeds and of those without a replacement.
        changes: by cell with a replacement, as :func:`loss_changes` has them.

    Returns:
        :data:`COLUMNS`, one row per cell without a replacement: of each measure the largest over the replacements of a seed,
        averaged over seeds, and half width of its interval; ``diverged``: seeds that have none for this reason, and
        ``pairs_diverged``: replacements; ``gap``: test minus training error, as a fraction, on test labels
        corrupted like the training labels, over the ``gap_seeds`` that finished without a replacement, without the
        ``gap_diverged`` that did not; ``needed``: 1 / root n.
    """
    trained = {Cell.parse(summary["cell"]): summary for summary in summaries}
    ended = {cell for cell, summary in trained.items() if summary["status"] == "diverged"}
    parsed = [Cell.from_name(name, seed=0) for name in cells]
    rows = []
    for base in dict.fromkeys(cell.base.name for cell in parsed if cell.base != cell):
        seeds = defaultdict(list)
        for cell, change in changes.items():
            if cell.base.name == base:
                seeds[cell.seed].append(change)
        some = [trained[cell] for cell in sorted(trained) if cell.name == base]
        finished = [summary for summary in some if summary["status"] == "finished"]
        # What has no change because it diverged, or the network without the replacement did.
        lost = [cell for cell in trained if cell.base.name == base and ended & {cell, cell.base}]
        whole = aggregate_cell(base, some, {})
        row: dict[str, Any] = {
            **cell_parts(base),
            "seeds": len(seeds),
            "pairs": sum(map(len, seeds.values())),
            "diverged": len({cell.seed for cell in lost} - seeds.keys()),
            "pairs_diverged": sum(cell.base != cell for cell in lost),
            "gap_seeds": whole["seeds"],
            "gap_diverged": whole["diverged"],
            **{key: whole[key] for key in ("epochs", "data")},
        }
        for name in MEASURED:
            values = [max(change[name] for change in replaced) for replaced in seeds.values()]
            row[name], row[f"{name}_ci"] = mean_interval(values)
        row["gap"], row["gap_ci"] = mean_interval([corrupted_gap(each) / 100 for each in finished])
        if some:
            row["needed"] = some[0]["data"]["train"]["count"] ** -0.5
        rows.append(row)
    return frame(rows, COLUMNS)
