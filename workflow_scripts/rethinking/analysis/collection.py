"""All that was measured of each network, in tables for further analysis."""

import csv
from pathlib import Path
from typing import Any

from rethinking.analysis.aggregation import flat_settings, read_columns, read_summary
from rethinking.analysis.descriptions import describe_data, setting_text
from rethinking.analysis.runs import CELL_PARTS, TABLES, cell_parts
from rethinking.cells import Cell
from rethinking.run.files import reading

NAMES = ["ablation", *CELL_PARTS, "seed"]  # columns of both tables
ORIGIN = ("device", "threads", "git_commit", "code_fingerprint", "python", "finished")


def network_row(folder: Path, variant: str | None) -> dict[str, Any]:
    """One network: its name, the numbers of its summary, settings (``setting_...``), data and provenance."""
    summary = read_summary(folder / "summary.json")
    data, origin = summary["data"], summary["provenance"]
    settings = flat_settings(summary)
    cell = Cell.parse(summary["cell"])
    # Empty unless it is a variant.
    row = {"ablation": variant or ""} | cell_parts(cell.name) | {"seed": cell.seed}
    row |= {key: value for key, value in summary.items() if key != "cell" and not isinstance(value, dict)}
    row |= {f"epochs_to_{percent}": epoch for percent, epoch in (summary.get("epochs_to_train_accuracy") or {}).items()}
    row |= {
        "data": describe_data(summary),
        "train_images": data["train"]["count"],
        "test_images": data["test"]["count"],
    }
    settings.pop("thresholds", None)  # epochs_to_... are their columns
    row |= {
        f"setting_{key}": setting_text(value) if value is None or isinstance(value, list) else value
        for key, value in settings.items()
    }
    row |= {key: origin.get(key) for key in ORIGIN}
    return row | {f"version_{name}": version for name, version in origin.get("libraries", {}).items()}


def curve_columns(folder: Path) -> list[str]:
    """The columns of :func:`curve_rows`."""
    found = {}
    for path in (folder / f"{name}.csv" for name in TABLES):
        with reading(path), open(path, encoding="utf-8", newline="") as file:
            found |= dict.fromkeys(next(csv.reader(file)))
    return list(found)


def curve_rows(folder: Path, diverged: bool) -> list[dict[str, str]]:
    """One network over its epochs: ``curve.csv`` and ``memorisation.csv``, with numbers as they were written.

    Of one that diverged in its first epoch ``memorisation.csv`` has no rows.

    Raises:
        UserError: a file is missing or damaged; the message names it.
    """
    curve, memorisation = (read_epochs(folder / f"{name}.csv", diverged) for name in TABLES)
    return [row | memorisation.get(epoch, {}) for epoch, row in curve.items()]


def read_epochs(path: Path, empty: bool) -> dict[str, dict[str, str]]:
    """The rows of one of :data:`rethinking.analysis.runs.TABLES` by their epoch, with all of its columns."""
    read_columns(path, TABLES[path.stem], empty)  # refuses a damaged one
    with reading(path), open(path, encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
        found = (dict(zip(header, row, strict=True)) for row in rows)
        return {row["epoch"]: row for row in found}
