"""Ablations: how far results move when a setting that the paper leaves open is changed.

A variant is trained with the cell's own name and seeds, so it has the same data, initial weights
(if the scheme is the same) and order of batches. Differences are taken seed by seed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from rethinking.analysis.aggregation import aggregate_cell, by_name, columns, flat_settings, frame, shared
from rethinking.analysis.descriptions import setting_text
from rethinking.analysis.statistics import mean_interval

# 'default' is the cell itself, the rest its variant.
COLUMNS = columns(
    ("str", "variant question model corruption regularisers changes"),
    ("Int64", "seeds diverged"),
    ("str", "diverged_at"),
    ("Int64", "default_seeds default_diverged pairs"),
    ("float64", "default_train_accuracy default_train_accuracy_ci train_accuracy train_accuracy_ci"),
    ("float64", "train_difference train_difference_ci paper_train_accuracy"),
    ("float64", "default_test_accuracy default_test_accuracy_ci test_accuracy test_accuracy_ci"),
    ("float64", "test_difference test_difference_ci paper_test_accuracy"),
    ("str", "paper_note"),
    ("Int64", "epochs"),
    ("str", "dataset data"),
)


def compare_variants(
    ablations: Iterable[Mapping[str, Any]],
    defaults: Iterable[Mapping[str, Any]],
    variants: Mapping[str, Iterable[Mapping[str, Any]]],
    paper: Mapping[tuple[str, str, str], Mapping[str, Any]],
) -> pd.DataFrame:
    """Accuracies of each variant of each cell, with the cell's own for comparison.

    Args:
        ablations: ``name``, ``question`` and ``cells`` (names without seeds) of each variant.
        defaults: contents of ``summary.json`` of any of the cells.
        variants: variant -> contents of ``summary.json`` of any of its cells.
        paper: as :func:`rethinking.paper.accuracies` has it.

    Returns:
        One row per variant and cell, also where nothing is trained, with :data:`COLUMNS`. Accuracies
        are percentages of the final network on images without augmentation, averaged over the seeds that
        did not diverge. A difference is variant minus default, over the ``pairs`` seeds that both have
        finished; its ``ci`` is the half width of the paired interval (see
        :func:`rethinking.analysis.statistics.mean_interval`). ``changes`` has each setting that differs, as
        ``setting default → variant``; it is empty if no seed of both is trained.

    Raises:
        UserError: seeds of one cell differ in settings, network or data.
    """
    ordinary = by_name(defaults)
    rows = []
    for ablation in ablations:
        changed = by_name(variants.get(ablation["name"], []))
        for name in ablation["cells"]:
            row = compare_cell(name, ordinary.get(name, []), changed.get(name, []), paper)
            rows.append({"variant": ablation["name"], "question": ablation["question"], **row})
    return frame(rows, COLUMNS)


def compare_cell(
    name: str,
    defaults: list[Mapping[str, Any]],
    variants: list[Mapping[str, Any]],
    paper: Mapping[tuple[str, str, str], Mapping[str, Any]],
) -> dict[str, Any]:
    """One row of :func:`compare_variants`, from the summaries of a cell and of its variant."""
    theirs, ours = aggregate_cell(name, defaults, paper), aggregate_cell(name, variants, paper)
    by_seed = {summary["cell"]: summary for summary in defaults}
    pairs = [(by_seed[summary["cell"]], summary) for summary in variants if summary["cell"] in by_seed]
    shared(name, "data", [theirs["data"], ours["data"]] if pairs else [])
    changes = describe_changes(*pairs[0]) if pairs else None  # its seeds have the same settings, and so have the cell's
    finished = [pair for pair in pairs if all(summary["status"] == "finished" for summary in pair)]
    row = {**ours, "changes": changes, "pairs": len(finished)}
    row |= {key: theirs[key] for key in ("epochs", "data") if not variants}
    row |= {f"default_{key}": theirs[key] for key in ("seeds", "diverged")}
    for split in ("train", "test"):
        accuracy = f"{split}_accuracy"
        row |= {f"default_{key}": theirs[key] for key in (accuracy, f"{accuracy}_ci")}
        row[f"{split}_difference"], row[f"{split}_difference_ci"] = mean_interval(
            [variant[accuracy] - default[accuracy] for default, variant in finished]
        )
    return row


def describe_changes(default: Mapping[str, Any], variant: Mapping[str, Any]) -> str:
    """The settings in which two summaries differ, for example ``learning_rate 0.1 → 0.01``; ``nothing`` if in none."""
    old, new = flat_settings(default), flat_settings(variant)
    changed = [key for key in {**old, **new} if (key in old, old.get(key)) != (key in new, new.get(key))]
    return ", ".join(f"{key} {show(old, key)} → {show(new, key)}" for key in changed) or "nothing"


def show(settings: Mapping[str, Any], key: str) -> str:
    """A setting as the configuration writes it; ``default`` where it does not."""
    return setting_text(settings.get(key, "default"))
