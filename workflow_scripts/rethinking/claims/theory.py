"""The verdicts on the claims of sections 4 and 5, from the records of the theory."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from rethinking.analysis.aggregation import paper_has
from rethinking.analysis.descriptions import describe_copies, describe_data
from rethinking.analysis.theory_results import fits
from rethinking.claims.expressivity import EXPRESSIVITY
from rethinking.claims.forms import Claim
from rethinking.claims.linear_models import LINEAR_MODELS
from rethinking.claims.records import Record
from rethinking.claims.report import Judged, claim_rows
from rethinking.claims.verdicts import examine

ROOT = "theory"  # takes the place of the data set in other claims
THEORY_CLAIMS: tuple[Claim, ...] = EXPRESSIVITY + LINEAR_MODELS
# Below the table for readers.
THEORY_EXPLANATION = (
    "Where nothing is random, the one number decides. For the networks of theorem 1, the fit of random "
    "labels and the Hessian the lowest and the highest number over the seeds decide, in parentheses; there one "
    "seed is enough."
)


def theory_runs(records: Sequence[Record]) -> dict[str, dict[int, Record]]:
    """Records by their name in claims: name -> seed -> record.

    Of several models or penalties with one name in claims, those listed first are taken, so that one more beside the
    paper's does not stand for it. What the paper proves holds for any data, but its comparison of other exact fits is
    measured, so such fits of a plug-in's data are left out.
    """
    runs: dict[str, dict[int, Record]] = {}
    first: dict[str, tuple[Any, ...]] = {}

    def add(name: str, found: Record, *source: Any) -> None:
        if first.setdefault(name, source) == source:
            runs.setdefault(f"{ROOT}/{name}", {})[found["seed"]] = found

    for fit in fits(records):
        filters = f"_{fit['filters']}" if fit["filters"] else ""
        kind = "penalised" if fit["penalty"] else "exact"
        name = f"{fit['dataset']}/{fit['preprocessing']}{filters}/{fit['kernel']}/{kind}"
        add(name, fit, fit["model"], fit["number"])
    for record in records:
        found = {**record, "data": describe_data(record)}  # in words, as fits have it
        if record["kind"] == "counterexamples":
            if not paper_has(record["data"]["dataset"]):
                continue
            title = "pixels" if record["preprocessing"] == "none" else record["preprocessing"]
            found |= {fit["fit"]: fit for fit in record["fits"]}
            add(f"{title}/counterexamples", found, record["model"])
        elif record["kind"] != "linear model":
            add(record["kind"], found)
    return runs


def judge_theory(records: Sequence[Record]) -> list[Judged]:
    """The verdicts on all claims of the theory."""
    runs = theory_runs(records)
    return [Judged(claim, [examine(check, runs, ROOT) for check in claim.checks]) for claim in THEORY_CLAIMS]


def theory_frame(judged: Sequence[Judged], records: Sequence[Record]) -> pd.DataFrame:
    """Rows as of :func:`rethinking.claims.report.to_frame`."""
    runs = theory_runs(records)
    scales = []
    for each in judged:
        # In order, so that equal records give an equal file.
        cells = dict.fromkeys(f"{ROOT}/{cell}" for check in each.claim.checks for cell in check.cells)
        data = [record["data"] for cell in cells for record in runs.get(cell, {}).values()]
        scales.append(describe_copies(data) or "not run")
    return claim_rows(judged, ROOT, scales)
