"""Records of the theory's fits, and the tables that are made from them."""

import math
import platform
import resource
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rethinking import paper
from rethinking.analysis.aggregation import DATA_KEYS, columns, frame, shared
from rethinking.analysis.descriptions import describe_data
from rethinking.analysis.statistics import mean_interval
from rethinking.run.code import combined
from rethinking.run.commit import git_commit
from rethinking.run.files import check_keys, read_json, reading, write_json
from rethinking.run.scripts import running_code

Record = Mapping[str, Any]


def keys(names: str, **inner: str) -> list[str]:
    """Keys of a record, and those of the entries of its lists, as :func:`read_json` takes them."""
    return names.split() + [f"{part}.{key}" for part, some in inner.items() for key in some.split()]


# Kind of a record -> its keys. Earlier versions did not record some that are read where they are there.
KEYS = {
    "linear model": keys(
        "model dataset preprocessing kernel filters images random",
        fits="penalty gamma features train_error test_error norm signed_norm number_norm class_norms misfit residual solver",
    ),
    "counterexamples": keys(
        "model dataset preprocessing gamma images test_images", fits="fit norm test_error train_error residual"
    ),
    "expressivity": keys(
        "dataset",
        networks="labels depth n d width parameters connections largest_error fitted smallest_diagonal "
        "smallest_eigenvalue condition amplification offset",
        precision="precision offset n largest_error fitted bits_needed",
    ),
    "descent": keys(
        "dataset images zero_distance random_distance random_outside minimum_norm_test_error random_test_error "
        "hessian_difference hessian_rank dimension"
    ),
}
# Figure -> the columns of the tables that it shows: of validate_linear_model and of run_descent.
FIGURE_TABLES = {
    "kernel_sensitivity": columns(
        ("str", "model"),
        ("float64", "gamma penalty train_error validation_error norm"),
        ("int64", "images validation_images"),
        ("str", "data"),
    ),
    "descent": columns(("str", "start"), ("int64", "step"), ("float64", "distance outside residual")),
}
TABLE3_MEANS = ("train_error", "test_error", "norm")
TABLE3_COLUMNS = columns(
    ("str", "model dataset preprocessing kernel"),
    ("float64", "gamma"),
    ("Int64", "filters"),
    ("float64", "penalty"),
    ("str", "chosen"),
    ("Int64", "images features rank seeds"),
    ("bool", "random"),
    ("float64", "train_error train_error_ci test_error test_error_ci paper_test_error"),
    ("Int64", "paper_filters"),
    ("float64", "norm norm_ci paper_norm misfit residual"),
    ("str", "solver precision data"),
)
NORMS_COLUMNS = columns(
    ("str", "model dataset preprocessing"),
    ("float64", "gamma"),
    ("str", "fit"),
    ("Int64", "images test_images seeds"),
    (
        "float64",
        "norm norm_ci norm_lowest norm_highest signed_norm number_norm mean_class_norm sum_of_class_norms paper_norm",
    ),
    ("float64", "train_error test_error test_error_ci paper_test_error residual"),
    ("str", "solver data"),
)
EXPRESSIVITY_COLUMNS = columns(
    ("str", "dataset labels"),
    ("Int64", "depth n d width parameters connections seeds"),
    ("float64", "largest_error fitted smallest_diagonal smallest_eigenvalue condition amplification offset"),
    ("str", "data"),
)


# ---- records


def write_fit(
    path: str | Path, kind: str, seed: int, settings: Record, data: Record, *, device: str = "cpu", **facts: Any
) -> None:
    """Write the record of a fit: its kind (of :data:`KEYS`), facts, the manifest of its data, and what produced it.

    That is settings, code, versions, device, and the peak memory of the process.
    """
    origin = {
        "settings": settings,
        "seed": seed,
        "git_commit": git_commit(),
        "code_fingerprint": combined(running_code()),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in ("torch", "numpy", "pandas", "scipy")},
        "device": device,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    about = {"kind": kind, "dataset": data["dataset"], "seed": seed}
    write_record(path, about | facts | {"data": data, "provenance": origin})


def write_record(path: str | Path, record: Record) -> None:
    """Write a record as JSON, in which infinity and nan, which JSON lacks, become null.

    ``not_finite`` lists their places and values, and :func:`read_records` restores them. So a condition number beyond
    float64 does not cost the whole record.
    """
    not_finite: list[list[Any]] = []

    def finite(value: Any, *place: str | int) -> Any:
        if isinstance(value, Mapping):
            return {key: finite(each, *place, key) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [finite(each, *place, number) for number, each in enumerate(value)]
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, float) and not math.isfinite(value):
            not_finite.append([list(place), str(value)])
            return None
        return value

    write_json(path, finite(record) | ({"not_finite": not_finite} if not_finite else {}))


def read_records(paths: Iterable[str | Path]) -> list[dict[str, Any]]:
    """Read what :func:`write_record` wrote.

    Raises:
        UserError: one is missing or damaged; the message names it.
    """
    records = []
    for path in paths:
        record = read_json(path, ["kind", "seed", *DATA_KEYS])
        with reading(path):
            if record["kind"] not in list(KEYS):
                raise ValueError(f"its kind is '{record['kind']}', none of {', '.join(KEYS)}")
            for (*parents, last), value in record.pop("not_finite", ()):
                place = record
                for key in parents:
                    place = place[key]
                place[last] = float(value)
        check_keys(path, record, KEYS[record["kind"]])
        records.append(record)
    return records


def grouped(records: Sequence[Record], *keys: str) -> list[list[Record]]:
    """Records grouped by some keys, in order of appearance."""
    groups: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        groups.setdefault(tuple(record[key] for key in keys), []).append(record)
    return list(groups.values())


# ---- tables


def common(name: str, seeds: Sequence[Record], keys: Iterable[str]) -> dict[str, Any]:
    """What the seeds of ``name`` have in common, of those keys that any of them has.

    Raises:
        UserError: they differ in one of these; see :func:`rethinking.analysis.aggregation.shared`.
    """
    known = [key for key in keys if any(key in each for each in seeds)]
    return {key: shared(name, key, [each.get(key) for each in seeds]) for key in known}


def table3(records: Sequence[Record]) -> pd.DataFrame:
    """Linear models with the paper's values: a row per model and penalty (:data:`TABLE3_COLUMNS`)."""
    groups = grouped(fits(records), "model", "number")
    return frame([linear_row(group, *TABLE3_MEANS) for group in groups], TABLE3_COLUMNS)


def linear_row(seeds: Sequence[Record], *means: str) -> dict[str, Any]:
    """The row of one model and penalty from its seeds: means over them, with intervals, and the paper's values.

    ``residual`` and ``misfit`` are the largest of the seeds, ``rank`` is the smallest, ``chosen`` says what was chosen on
    the validation part, which is one for all seeds.

    Raises:
        UserError: the seeds differ in a setting or in their data.
    """
    first = seeds[0]
    # The paper's kernel is Gaussian, but for the random convolutional network.
    known = (first["kernel"] == "linear") == (first["preprocessing"] == "random_convnet")
    key = first["dataset"], first["preprocessing"], first["penalty"] > 0
    theirs = paper.table3().get(key, {}) if known else {}
    # With finished_only some fits can be of earlier settings.
    measured = {*means, "misfit", "residual", "rank", "solver", "precision"}
    row = common(f"linear_models/{first['model']}", seeds, [key for key in TABLE3_COLUMNS if key not in measured])
    for key in means:
        row[key], row[f"{key}_ci"] = mean_interval([each[key] for each in seeds])
    return row | {
        "seeds": len(seeds),
        **{
            key: "; ".join(dict.fromkeys(each[key] for each in seeds if key in each)) for key in ("solver", "precision")
        },
        "rank": min((each["rank"] for each in seeds if each.get("rank") is not None), default=None),
        # Here and below NumPy's extremes, which are nan if one seed has nan; Python's can hide it.
        **{key: np.max([each[key] for each in seeds]) for key in ("misfit", "residual")},
        "paper_test_error": theirs.get("test_error"),
        "paper_filters": theirs.get("filters"),
        "paper_norm": theirs.get("norm"),
    }


def fits(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The fits of all linear models, one per penalty."""
    return [
        {
            **{
                key: record[key]
                for key in ("model", "dataset", "preprocessing", "kernel", "filters", "images", "random")
            },
            **fit,
            "number": number,
            "seed": record["seed"],
            "test_images": record["data"]["test"]["count"],
            "data": describe_data(record),
        }
        for record in records
        if record["kind"] == "linear model"
        for number, fit in enumerate(record["fits"])
    ]


def norms(records: Sequence[Record]) -> pd.DataFrame:
    """Norms of exact fits with a Gaussian kernel at full size, then of the counterexamples (:data:`NORMS_COLUMNS`)."""
    rows = []
    for seeds in grouped(fits(records), "model", "number"):
        if seeds[0]["kernel"] == "gaussian" and seeds[0]["penalty"] == 0:
            row = linear_row(seeds, *TABLE3_MEANS, "signed_norm", "number_norm")
            total = mean_interval([sum(fit["class_norms"]) for fit in seeds])[0]
            means = {"sum_of_class_norms": total, "mean_class_norm": total / len(seeds[0]["class_norms"])}
            row |= common(f"linear_models/{row['model']}", seeds, ["test_images"])
            rows.append(row | means | {"fit": "table3"})
    for group in grouped([each for each in records if each["kind"] == "counterexamples"], "model"):
        first = group[0]
        name = f"linear_models/{first['model']}/counterexamples"
        described = [record | {"data": describe_data(record)} for record in group]
        about = common(name, described, ("model", "dataset", "preprocessing", "gamma", "data"))
        # Images that equal another one are left out, so seeds can have fewer than these.
        common(name, [record.get("provenance", {}).get("settings", {}) for record in group], ("train", "test"))
        about |= {key: first[key] for key in ("images", "test_images")}
        for number, fit in enumerate(first["fits"]):
            some = [record["fits"][number] for record in group]
            row = about | {"fit": fit["fit"], "seeds": len(some)}
            lengths = [each["norm"] for each in some]
            row |= {"norm": np.mean(lengths), "norm_lowest": np.min(lengths), "norm_highest": np.max(lengths)}
            row["test_error"], row["test_error_ci"] = mean_interval([each["test_error"] for each in some])
            for key in ("train_error", "residual"):
                row[key] = np.max([each[key] for each in some])
            rows.append(row)
    return frame(rows, NORMS_COLUMNS)


def expressivity(records: Sequence[Record]) -> pd.DataFrame:
    """Theorem 1 and corollary 1: a row per labels and depth (:data:`EXPRESSIVITY_COLUMNS`).

    The worst of the seeds is taken: largest error, condition and amplification, smallest eigenvalue and diagonal.

    Raises:
        UserError: the seeds differ in a setting or in their data.
    """
    worst = dict.fromkeys(("largest_error", "condition", "amplification"), np.max)
    worst |= dict.fromkeys(("fitted", "smallest_diagonal", "smallest_eigenvalue"), np.min)
    networks = [
        {**network, "dataset": record["dataset"], "data": describe_data(record)}
        for record in records
        if record["kind"] == "expressivity"
        for network in record["networks"]
    ]
    rows = []
    for group in grouped(networks, "labels", "depth"):
        settings = [key for key in EXPRESSIVITY_COLUMNS if key not in worst]
        row = common("expressivity", group, settings) | {"seeds": len(group)}
        for key, choose in worst.items():
            row[key] = choose([network[key] for network in group])
        rows.append(row)
    return frame(rows, EXPRESSIVITY_COLUMNS)


TABLES = {"table3": table3, "norms": norms, "expressivity": expressivity}
