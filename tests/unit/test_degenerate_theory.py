"""Every table, figure and verdict of the theory is made of any numbers: none, not a number, one record, one seed."""

import copy
import json
import math
from pathlib import Path

import pandas as pd
import pytest

from rethinking.analysis.theory_results import read_records, write_record
from rethinking.run.files import UserError

THEORY = Path(__file__).parents[2] / "results" / "reference" / "theory"
# What a job measured, beside what the configuration says.
MEASURED = {
    "misfit", "residual", "train_error", "test_error", "norm", "signed_norm", "number_norm", "class_norms",
    "largest_error", "fitted", "smallest_diagonal", "smallest_eigenvalue", "condition", "amplification", "bits_needed",
    "distance", "outside", "validation_error", "hessian_difference", "zero_distance", "random_distance",
    "random_outside", "zero_residual", "random_residual", "minimum_norm_test_error", "random_test_error",
    "zero_test_error",
}  # fmt: skip
PARTS = ("networks", "precision", "fits")


def measured(value):
    """Every measured number becomes this value."""

    def changed(each, known=False):
        if isinstance(each, dict):
            return {key: changed(part, known or key in MEASURED) for key, part in each.items()}
        if isinstance(each, list):
            return [changed(part, known) for part in each]
        return value if known and isinstance(each, int | float) else each

    return lambda records, tables: (
        [changed(record) for record in records],
        [table.assign(**{key: value for key in table if key in MEASURED}) for table in tables],
    )


def shortened(count):
    """Each record and each table has at most so many entries."""
    return lambda records, tables: (
        [record | {key: record[key][:count] for key in PARTS if key in record} for record in records],
        [table[:count] for table in tables],
    )


def apart(records, tables):
    """No two records have a seed in common."""
    return [record | {"seed": number} for number, record in enumerate(records)], tables


CASES = {
    "not a number": measured(math.nan),
    "infinite": measured(math.inf),
    "minus infinity": measured(-math.inf),
    "zero": measured(0.0),
    "one record": lambda records, tables: (records[:1], tables[:1]),
    "one entry": shortened(1),
    "no entry": shortened(0),
    "no seed in common": apart,
}
MODELS = "linear_models/*"
RESULTS = {
    "table3": [f"{MODELS}/seed*/summary.json"],
    "norms": [f"{MODELS}/seed*/summary.json", f"{MODELS}/counter*.json"],
    "expressivity": ["expressivity/*.json"],
    "expressivity_precision": ["expressivity/*.json"],
    "filters": ["linear_models/cifar10_convnet*/seed*/summary.json"],
    "kernel_sensitivity": [f"{MODELS}/validation.csv"],
    "descent": ["descent/*/summary.json", "descent/*/curve.csv"],
    "claims": ["expressivity/*.json", f"{MODELS}/seed*/summary.json", f"{MODELS}/counter*.json", "descent/*/summary.json"],
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("result", RESULTS)
def test_theory(script, render, tmp_path, result, case):
    files = [file for pattern in RESULTS[result] for file in sorted(THEORY.glob(pattern))]
    records = copy.deepcopy(read_records(file for file in files if file.suffix == ".json"))
    tables = [pd.read_csv(file) for file in files if file.suffix == ".csv"]
    records, tables = CASES[case](records, tables)
    made = [tmp_path / f"{number}.json" for number in range(len(records))]
    for path, record in zip(made, records, strict=True):
        write_record(path, record)
    csv, markdown, svg = (tmp_path / f"result.{ending}" for ending in ("csv", "md", "svg"))
    if result == "claims":
        networks = {"root": tmp_path, "cells": "cifar10/true_labels/inception/none", "seeds": 0}
        script("check_claims", "--theory", **networks, records=made, csv=csv, markdown=markdown)
    elif result in ("table3", "norms", "expressivity"):
        script("tabulate_theory", table=result, records=made, output=csv)
        render(result, csv)
    else:
        curves = [tmp_path / f"{number}.csv" for number in range(len(tables))]
        for path, table in zip(curves, tables, strict=True):
            table.to_csv(path, index=False)
        models = [
            {key: record[key] for key in ("dataset", "preprocessing", "kernel", "filters")} | {"name": record["model"]}
            for record in read_records(THEORY.glob(f"{MODELS}/seed0/summary.json"))
        ]
        shown = {"figure": result, "models": json.dumps(models), "records": made, "tables": curves}
        if tables and case == "no entry":  # no job writes such a table
            with pytest.raises(UserError, match="has no rows; delete it to have it made again"):
                script("plot_theory", **shown, images=svg, numbers=csv)
            return
        script("plot_theory", **shown, images=svg, numbers=csv)
        assert ("could not be drawn" in svg.read_text()) <= (case == "no entry")
        return
    text = markdown.read_text()
    assert "could not be made" not in text
    assert " nan " not in text
