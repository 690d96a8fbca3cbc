"""Tables of accuracies: from the summaries of cells to one row per cell name, with the paper's values."""

import io
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rethinking import registry
from rethinking.analysis.descriptions import describe_data, describe_divergence, setting_text
from rethinking.analysis.statistics import mean_interval
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.models.options import default_options
from rethinking.run.files import UserError, read_json, read_text, reading


def columns(*groups: tuple[str, str]) -> dict[str, str]:
    """Name -> type of a table's columns in order; each group is a type and the neighbouring columns that have it.

    Integers are nullable (``Int64``) where a row without results has neither parameters nor epochs.
    """
    return {name: dtype for dtype, names in groups for name in names.split()}


_FIRST = columns(
    ("str", "model corruption regularisers"), ("Int64", "parameters seeds diverged"), ("str", "diverged_at")
)
_LAST = columns(("Int64", "epochs"), ("str", "dataset data"))
# Table 1:
COLUMNS = (
    _FIRST
    | columns(
        ("float64", "train_accuracy train_accuracy_ci paper_train_accuracy"),
        ("float64", "test_accuracy test_accuracy_ci paper_test_accuracy"),
        ("float64", "train_accuracy_online best_test_accuracy"),
    )
    | _LAST
)
TABLE4_COLUMNS = (
    _FIRST
    | columns(
        ("float64", "train_accuracy train_accuracy_ci train_accuracy_online train_accuracy_online_ci"),
        ("float64", "paper_train_accuracy"),
        ("str", "paper_note"),
    )
    | _LAST
)
# Table 2: top-1 and top-5, and the best over the epochs.
TOPS = [f"{split}_accuracy{ending}" for ending in ("", "_top5") for split in ("train", "test", "best_test")]
TABLE2_COLUMNS = _FIRST | columns(*(("float64", f"{name} {name}_ci paper_{name}") for name in TOPS)) | _LAST
# What is read of the manifest of the data, in a summary and in a record of the theory.
DATA_KEYS = (
    *("data.dataset", "data.provenance", "data.num_classes", "data.source.kind"),
    *(f"data.{split}.{key}" for split in ("train", "test") for key in ("count", "full_count")),
)
SUMMARY_KEYS = (
    "cell",
    "status",
    "diverged_epoch",
    "diverged_step",
    "train_accuracy",
    "test_accuracy",
    "test_accuracy_corrupted",
    "train_accuracy_online",
    "best_test_accuracy",
    "epochs",
    "parameters",
    "wall_seconds",
    "images_per_second",
    *DATA_KEYS,
    *("provenance.settings", "provenance.device", "provenance.git_commit", "provenance.code_fingerprint"),
    *("provenance.python", "provenance.libraries", "provenance.threads", "provenance.finished"),
)
# Of those that are not numbers; a number that a diverged network lacks is null.
SUMMARY_TYPES = {"cell": str, "status": str, "data": dict, "provenance": dict, "epochs_to_train_accuracy": dict}


# Of the settings that have one.
DEFAULTS = {name: field.default for name, field in CellSettings.model_fields.items() if not field.is_required()}


# ---- reading


def read_summary(path: str | Path) -> dict[str, Any]:
    """Read a cell's ``summary.json``.

    Raises:
        UserError: it is missing, or not a cell's summary; the message names it.
    """
    summary = read_json(path, SUMMARY_KEYS)
    wrong = [key for key, value in summary.items() if not isinstance(value, SUMMARY_TYPES.get(key, float | int | None))]
    if summary["status"] not in ("finished", "diverged"):
        wrong.append("status")
    if wrong:
        raise UserError(f"{path} has wrong values ({', '.join(dict.fromkeys(wrong))}); delete it to have it made again")
    return summary


def read_columns(path: str | Path, columns: Mapping[str, str], empty: bool = False) -> pd.DataFrame:
    """Read a CSV that must have these columns and, unless it can be ``empty``, at least one row.

    Args:
        path: the file; an empty field is a missing value.
        columns: name -> dtype.
        empty: whether it may have no rows.

    Raises:
        UserError: it is missing, not such a CSV, or cut short; the message names it.
    """
    text = read_text(path)
    with reading(path):
        table = pd.read_csv(io.StringIO(text), dtype=columns, keep_default_na=False, na_values=[""])
    missing = [column for column in columns if column not in table]
    if missing or (table.empty and not empty):
        what = f"has no column {', '.join(missing)}" if missing else "has no rows"
        raise UserError(f"{path} {what}; delete it to have it made again")
    return table


# ---- aggregation


def aggregate_accuracy(
    cells: Sequence[str],
    summaries: Iterable[Mapping[str, Any]],
    paper: Mapping[tuple[str, str, str], Mapping[str, Any]],
    columns: Mapping[str, str] = COLUMNS,
) -> pd.DataFrame:
    """Mean accuracies of each cell over its seeds, with the paper's values.

    Args:
        cells: names without seeds, in the order of the rows.
        summaries: contents of ``summary.json`` of any of their seeds; other cells are left out.
        paper: (corruption, model, regularisers) -> accuracies, as :func:`rethinking.paper.table1` and
            :func:`rethinking.paper.table4` have them.
        columns: those of the table, :data:`COLUMNS`, :data:`TABLE2_COLUMNS` or :data:`TABLE4_COLUMNS`.

    Returns:
        One row per name with these columns, even if none of its seeds is trained. Accuracies are
        percentages, averaged over the seeds that did not diverge; ``*_ci`` is the half width of their
        interval (see :func:`rethinking.analysis.statistics.mean_interval`). ``train_accuracy`` is measured on
        the final network over its whole training set, ``train_accuracy_online`` over the batches of
        the last epoch. ``epochs`` is the length of the schedule.

    Raises:
        UserError: a name is not a cell's, or seeds of one cell differ in settings, network or data.
    """
    seeds = by_name(summaries)
    rows = [aggregate_cell(name, seeds.get(name, []), paper) for name in cells]
    return frame(rows, columns)


def frame(rows: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    """Rows as a table with these columns and types."""
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def by_name(summaries: Iterable[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """The summaries of each cell by its name without the seed, in the order of the seeds."""
    found = defaultdict(list)
    for summary in sorted(summaries, key=lambda summary: Cell.parse(summary["cell"])):
        found[Cell.parse(summary["cell"]).name].append(summary)
    return dict(found)


def aggregate_cell(
    name: str,
    summaries: Sequence[Mapping[str, Any]],
    paper: Mapping[tuple[str, str, str], Mapping[str, Any]],
) -> dict[str, Any]:
    """One row of :func:`aggregate_accuracy`, with the columns of all tables."""
    Cell.from_name(name, seed=0)
    check_settings(name, summaries)
    dataset, corruption, model, regularisers = name.split("/")
    published = paper.get((corruption, model, regularisers), {}) if paper_has(dataset) else {}
    finished = [summary for summary in summaries if summary["status"] == "finished"]
    diverged = [summary for summary in summaries if summary["status"] == "diverged"]
    accuracies = {}
    for key in (*TOPS, "train_accuracy_online"):
        values = [summary[key] for summary in finished if summary.get(key) is not None]
        accuracies[key], accuracies[f"{key}_ci"] = mean_interval(values)
        accuracies[f"paper_{key}"] = published.get(key)
    return {
        "model": model,
        "corruption": corruption,
        "regularisers": regularisers,
        "parameters": shared(name, "parameters", [summary["parameters"] for summary in summaries]),
        "seeds": len(finished),
        "diverged": len(diverged),
        "diverged_at": "; ".join(describe_divergence(summary) for summary in diverged) or None,
        **accuracies,
        "paper_note": published.get("note"),
        "epochs": shared(name, "epochs", [summary["provenance"]["settings"]["epochs"] for summary in summaries]),
        "dataset": dataset,
        "data": shared(name, "data", [describe_data(summary) for summary in summaries]),
    }


def paper_has(dataset: str) -> bool:
    """Whether the paper's numbers are shown beside a data set's: at any scale, but not beside a plug-in's data."""
    return not registry.entry("dataset", dataset).own


MAKE_OUTDATED = "run the same command again, without finished_only: it makes the outdated ones again"


def shared(name: str, what: str, values: Sequence[Hashable]) -> Any:
    """The value that all seeds share, None if there is no seed. A mean over different settings would be meaningless."""
    distinct = list(dict.fromkeys(values))
    if len(distinct) > 1:
        raise UserError(f"'{name}': its seeds differ in {what} ({'; '.join(map(str, distinct))}); {MAKE_OUTDATED}")
    return distinct[0] if distinct else None


def flat_settings(summary: Mapping[str, Any], every: bool = False) -> dict[str, Any]:
    """The settings of a network, with the options of its architecture among them, also those that no one has set.

    ``every``: also those that a summary leaves out where they have their default, or because it is older than they are.
    """
    settings = (DEFAULTS if every else {}) | summary["provenance"]["settings"]
    options = default_options(Cell.parse(summary["cell"]).model) | settings.pop("architecture", {})
    # An own network can have an option momentum, of its normalisation.
    return settings | {f"architecture_{key}" if key in settings else key: value for key, value in options.items()}


def differing(*summaries: Mapping[str, Any]) -> list[str]:
    """The settings in which networks differ, from their summaries.

    The recorded thresholds change nothing, and what only some of them have and has no default, a later version records.
    """
    settings = [flat_settings(summary, every=True) for summary in summaries]
    known = set.intersection(*map(set, settings)) - {"thresholds"} if settings else ()
    return sorted(key for key in known if any(each[key] != settings[0][key] for each in settings))


def check_settings(cell: str, summaries: Sequence[Mapping[str, Any]]) -> None:
    """Raise a UserError if seeds of a cell were trained with different settings."""
    if keys := differing(*summaries):
        texts = []
        for summary in summaries:
            settings = flat_settings(summary, every=True)
            values = ", ".join(f"{key} {setting_text(settings[key])}" for key in keys)
            texts.append(f"seed{Cell.parse(summary['cell']).seed}: {values}")
        raise UserError(
            f"'{cell}': its seeds differ in settings ({'; '.join(texts)}); {MAKE_OUTDATED}; or leave these out, by an "
            "override of this cell with the other 'seeds'"
        )


def corrupted_gap(summary: Mapping[str, Any]) -> float:
    """Training accuracy minus accuracy on test labels corrupted like the training labels, points, of a finished cell."""
    return summary["train_accuracy"] - summary["test_accuracy_corrupted"]
