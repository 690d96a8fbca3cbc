"""The files of a finished cell: curve, summary, weights and predictions."""

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.corruption.loading import CorruptedData
from rethinking.models import parameter_count
from rethinking.run.code import combined
from rethinking.run.commit import git_commit
from rethinking.run.files import atomic_path, write_json, write_text
from rethinking.run.identity import Identity
from rethinking.training.curves import CLASSES_WITHOUT_TOP5
from rethinking.training.evaluation import percent_equal, percent_within
from rethinking.training.loop import TrainedCell

MEMORISATION_COLUMNS = ["epoch", "unchanged_accuracy", "changed_accuracy_given", "changed_accuracy_true"]
LIBRARIES = ("torch", "numpy", "pandas", "safetensors")


def write_cell(
    folder: Path,
    cell: Cell,
    settings: CellSettings,
    data: CorruptedData,
    data_manifest: dict[str, Any],
    trained: TrainedCell,
    identity: Identity,
) -> None:
    """Write a cell's five files into ``folder``; ``summary.json`` comes last.

    ``data_manifest`` is that of the prepared data set, ``identity`` is the cell's.
    """
    import pandas as pd  # imported here so that training starts sooner

    write_text(folder / "curve.csv", pd.DataFrame(trained.curve).to_csv(index=False))
    write_text(
        folder / "memorisation.csv",
        pd.DataFrame(trained.memorisation, columns=MEMORISATION_COLUMNS).to_csv(index=False),
    )
    with atomic_path(folder / "weights.safetensors") as path:
        save_file({name: value.contiguous().cpu() for name, value in trained.model.state_dict().items()}, path)
    classes = {
        "train_rank": trained.train.ranks,
        "test_rank": trained.test.ranks,
        "train_prediction": trained.train.predictions,
        "train_label": data.train_labels,
        "train_label_true": data.train_labels_true,
        "test_prediction": trained.test.predictions,
        "test_label": data.test_labels,
        "test_label_corrupted": data.test_labels_corrupted,
    }
    with atomic_path(folder / "predictions.npz") as path, open(path, "wb") as file:
        np.savez_compressed(
            file,
            train_confidence=trained.train.confidence,
            test_confidence=trained.test.confidence,
            **{name: values.astype(np.int32) for name, values in classes.items()},
        )
    write_json(
        folder / "summary.json",
        summarise(cell, settings, data, trained)
        | {"data": data_manifest, "provenance": provenance(settings, cell, trained.devices, identity)},
    )


def summarise(cell: Cell, settings: CellSettings, data: CorruptedData, trained: TrainedCell) -> dict[str, Any]:
    """The numbers of summary.json; accuracies in percent, null where the cell diverged."""
    _, *epochs = trained.curve  # without the untrained network
    diverged_epoch, diverged_step = trained.diverged_at or (None, None)
    at_end = {
        "train_accuracy": trained.train.accuracy,
        "train_accuracy_online": trained.curve[-1]["train_accuracy"],
        "train_loss": trained.train.loss,
        "test_accuracy": trained.test.accuracy,
        "test_accuracy_corrupted": percent_equal(trained.test.predictions, data.test_labels_corrupted),
        "test_loss": trained.test.loss,
    }
    top5 = {
        f"{split}_accuracy_top5": percent_within(evaluation.ranks, 5)
        for split, evaluation in (("train", trained.train), ("test", trained.test))
    }
    if trained.diverged_at:
        at_end, top5 = dict.fromkeys(at_end), dict.fromkeys(top5)
    best = max(epochs, key=lambda row: row["test_accuracy"], default={})
    summary = {
        "cell": str(cell),
        "status": "diverged" if trained.diverged_at else "finished",
        "diverged_epoch": diverged_epoch,
        "diverged_step": diverged_step,
        **at_end,
        "best_test_accuracy": best.get("test_accuracy"),
        "best_test_epoch": best.get("epoch"),
        "epochs_to_train_accuracy": {
            f"{threshold:g}": next((row["epoch"] for row in epochs if row["train_accuracy"] >= threshold), None)
            for threshold in settings.thresholds
        },
        "epochs": len(epochs),
        "steps": trained.curve[-1]["step"],
        "parameters": parameter_count(trained.model),
        "wall_seconds": trained.wall_seconds,
        "device_seconds": trained.device_seconds,
        "images_per_second": trained.images_per_second,
    }
    if data.num_classes > CLASSES_WITHOUT_TOP5:
        summary |= top5
        summary["best_test_accuracy_top5"] = max((row["test_accuracy_top5"] for row in epochs), default=None)
    return summary


def provenance(settings: CellSettings, cell: Cell, devices: list[str], identity: Identity) -> dict[str, Any]:
    """What produced a cell; enough to reproduce it."""
    return {
        "settings": settings.model_dump(),
        "seed": cell.seed,
        "git_commit": git_commit(),
        "identity": identity.digest,
        "code_fingerprint": combined(dict(identity.code)),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "device": " and ".join(devices),
        "threads": torch.get_num_threads(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
