"""All that was measured of each network, in tables for further analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from rethinking.analysis.aggregation import describe_data, flat_settings, read_summary
from rethinking.analysis.runs import cell_parts
from rethinking.cells import Cell
from rethinking.run.files import reading

ORIGIN = ("device", "threads", "git_commit", "code_fingerprint", "python", "finished")


def head(summary: dict[str, Any], variant: str | None) -> dict[str, Any]:
    """The parts of a network's name; ``ablation`` is empty unless it is a variant."""
    cell = Cell.parse(summary["cell"])
    return {"ablation": variant or ""} | cell_parts(cell.name) | {"seed": cell.seed}


def network_row(folder: Path, variant: str | None) -> dict[str, Any]:
    """One network: its name, the numbers of its summary, settings (``setting_...``), data and provenance."""
    summary = read_summary(folder / "summary.json")
    data, origin = summary["data"], summary["provenance"]
    settings = flat_settings(summary)
    numbers = {key: value for key, value in summary.items() if not isinstance(value, dict)}
    numbers.pop("cell")
    row = head(summary, variant) | numbers
    row |= {
        f"epochs_to_{percent}": epoch
        for percent, epoch in (summary.get("epochs_to_train_accuracy") or {}).items()
    }
    row |= {
        "data": describe_data(summary),
        "train_images": data["train"]["count"],
        "test_images": data["test"]["count"],
    }
    row |= {f"setting_{key}": value for key, value in settings.items() if not isinstance(value, list)}
    row |= {key: origin.get(key) for key in ORIGIN}
    return row | {f"version_{name}": version for name, version in origin.get("libraries", {}).items()}


def curve_rows(folder: Path, variant: str | None) -> pd.DataFrame:
    """One network over its epochs: its name and the columns of ``curve.csv`` and ``memorisation.csv``."""
    with reading(path := folder / "curve.csv"):
        curve = pd.read_csv(path)
    if (path := folder / "memorisation.csv").exists():
        with reading(path):
            if path.read_text().strip():
                curve = curve.merge(pd.read_csv(path), on="epoch", how="left")
    names = head(read_summary(folder / "summary.json"), variant)
    return pd.concat([pd.DataFrame([names] * len(curve), index=curve.index), curve], axis=1)
