"""The verdicts on all claims: as rows for programs (claims.csv) and as a table for readers (claims.md)."""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import pandas as pd

from rethinking.analysis.aggregation import aggregate_accuracy, columns, frame
from rethinking.analysis.descriptions import describe_scale
from rethinking.analysis.runs import Runs, summaries
from rethinking.analysis.statistics import LEVEL
from rethinking.claims import CLAIMS, Claim
from rethinking.claims.verdicts import (
    DECIMALS,
    ONE_SEED,
    Check,
    Finding,
    Verdict,
    combine,
    compare,
    examine,
    full_name,
)
from rethinking.paper.titles import DATASET_TITLES
from rethinking.tables.rendering import MISSING, in_cell, in_markdown

STRICT = "> "  # before a lowest value that must be exceeded
WHOLE = 1e15  # below, floats hold all whole numbers
SHOWN = 5  # numbers of one claim, and reasons, in the table for readers
ORDER: tuple[Verdict, ...] = ("contradicted", "undecided", "supported")
# What readers are told: the verdict, and in place of 'undecided' what is known.
MEETS, MISSES = "one seed: meets the condition", "one seed: misses the condition"
OUTCOMES = ("supported", "contradicted", MEETS, MISSES, "undecided", "not run")
COLUMNS = columns(
    ("str", "claim source predicate measured interval verdict outcome cells reason statement"),
    ("str", "data checks lowest highest"),
)
# Below all tables for readers.
EXPLANATION = (
    f"Numbers are means over seeds and, in parentheses, their {LEVEL} Student-t interval; "
    "differences and ratios are paired by seed. A condition holds, or fails, if the whole interval lies "
    "on one side of its bound. A claim is supported if all its conditions hold, contradicted if one does "
    "not, and undecided otherwise. One seed has no interval, so it decides nothing; then the table says "
    "whether its numbers meet the conditions. A network that diverged has fitted nothing."
)


class Judged(NamedTuple):
    """A claim with the finding of each of its checks."""

    claim: Claim
    findings: list[Finding]

    @property
    def verdict(self) -> Verdict:
        """The verdict on the whole claim."""
        return combine(self.findings)

    @property
    def outcome(self) -> str:
        """One of :data:`OUTCOMES`."""
        if self.verdict != "undecided":
            return self.verdict
        if any(finding.missing for finding in self.findings):
            return "not run"
        if any(finding.reasons not in ((), (ONE_SEED,)) for finding in self.findings):
            return "undecided"
        # Without an interval, the one number is compared.
        pairs = zip(self.claim.checks, self.findings, strict=True)
        verdicts = {compare(check, finding.mean, finding.mean) for check, finding in pairs}
        return MEETS if verdicts == {"supported"} else MISSES


def claimed_cells(dataset: str, claims: Iterable[Claim] = CLAIMS) -> list[str]:
    """The cells, without seeds, that claims use, each once."""
    cells = [cell for claim in claims for check in claim.checks for cell in check.cells]
    return [full_name(dataset, cell) for cell in dict.fromkeys(cells)]


def judge(runs: Runs, dataset: str, claims: Iterable[Claim] = CLAIMS) -> list[Judged]:
    """Examine all claims on a data set."""
    by_seed = {name: {run.cell.seed: run for run in some} for name, some in runs.items()}
    return [Judged(claim, [examine(check, by_seed, dataset) for check in claim.checks]) for claim in claims]


def summarise(judged: Sequence[Judged]) -> str:
    """For example ``20 supported, 3 contradicted, 5 not run``."""
    outcomes = [each.outcome for each in judged]
    return ", ".join(f"{outcomes.count(outcome)} {outcome}" for outcome in OUTCOMES if outcome in outcomes)


def not_judged(datasets: Iterable[str]) -> str:
    """A sentence on the data sets that have networks but none of the paper's claims; empty if there are none."""
    titles = " and ".join(DATASET_TITLES[name] for name in datasets)
    return f" The paper's claims are not judged on the networks trained on {titles}." if titles else ""


# ---- for programs


def to_frame(judged: Sequence[Judged], runs: Runs, dataset: str) -> pd.DataFrame:
    """One row per claim (:data:`COLUMNS`).

    ``checks``, ``measured``, ``interval``, ``lowest``, ``highest`` and ``cells`` list the checks in one order, separated
    by semicolons: what is measured, mean over seeds, ends of the interval, the bounds, and the cells without seeds,
    separated by commas. ``verdict`` is the comparison with the bounds, ``outcome`` (:data:`OUTCOMES`) also says what is
    known where it is undecided. ``data`` is the scale at which it was measured.
    """
    table = aggregate_accuracy(claimed_cells(dataset, [each.claim for each in judged]), summaries(runs), {})
    table.index = table.dataset + "/" + table.corruption + "/" + table.model + "/" + table.regularisers
    scales = [describe_scale(table.loc[claimed_cells(dataset, [each.claim])]) for each in judged]
    return claim_rows(judged, dataset, scales)


def claim_rows(judged: Sequence[Judged], dataset: str, scales: Sequence[str]) -> pd.DataFrame:
    """The rows of :func:`to_frame`; ``scales`` are what each was measured on."""
    rows = [
        {
            "claim": each.claim.name,
            "source": each.claim.source,
            "predicate": each.claim.predicate,
            "measured": "; ".join(number(finding.mean) for finding in each.findings),
            "interval": "; ".join(interval(finding) for finding in each.findings),
            "verdict": each.verdict,
            "outcome": each.outcome,
            "cells": "; ".join(
                ", ".join(full_name(dataset, cell) for cell in check.cells) for check in each.claim.checks
            ),
            "reason": reason(each),
            "statement": each.claim.statement,
            "data": scale,
            "checks": "; ".join(check.label for check in each.claim.checks),
            "lowest": "; ".join(bound(check.at_least) or bound(check.above, STRICT) for check in each.claim.checks),
            "highest": "; ".join(bound(check.at_most) for check in each.claim.checks),
        }
        for each, scale in zip(judged, scales, strict=True)
    ]
    return frame(rows, COLUMNS)


def bound(value: float | None, sign: str = "") -> str:
    """A bound after its sign; empty if there is none."""
    return "" if value is None else f"{sign}{value:.9g}"


def number(value: float, digits: int = 6) -> str:
    """A number with this many significant digits, whole if it counts something; empty for nan."""
    if math.isnan(value):
        return ""
    counts = value == round(value, 0) and abs(value) < WHOLE
    return f"{value + 0.0:.0f}" if counts else f"{value:.{digits}g}"


def readable(value: float, bounds: Sequence[float] = ()) -> str:
    """A number for readers: four digits, all of what counts something; ``−0.8333``, ``23,885,392``.

    It has more digits where four do not show on which side of a bound it lies: 98.996 is not 99.
    """
    if math.isnan(value):
        return ""
    texts = (number(value, digits) for digits in range(4, 18))
    text = next(text for text in texts if sides(float(text), bounds) == sides(value, bounds))
    size = text.removeprefix("-")
    return ("−" if text.startswith("-") else "") + (f"{int(size):,}" if size.isdecimal() else size)


def sides(value: float, bounds: Sequence[float]) -> list[int]:
    """On which side of each bound a number lies when they are compared: 1 if above, -1 if below, else 0."""
    value = round(value, DECIMALS)
    return [(value > bound) - (value < bound) for bound in (round(bound, DECIMALS) for bound in bounds)]


def interval(finding: Finding, form: Callable[[float], str] = number) -> str:
    """For example ``9.5 to 10.5``; empty if there is no interval."""
    return "" if math.isnan(finding.low) else f"{form(finding.low)} to {form(finding.high)}"


def reason(judged: Judged, shown: int | None = None) -> str:
    """Why a claim is undecided, or which of its checks contradict it; at most ``shown`` items are named."""
    if judged.verdict == "supported":
        return ""
    if judged.verdict == "contradicted":
        labels = [check.label for check, _ in sort_findings(judged, "contradicted")]
        return f"not so: {listing(labels, shown)}"
    findings = [finding for _, finding in sort_findings(judged, "undecided")]
    missing = list(dict.fromkeys(cell for finding in findings for cell in finding.missing))
    reasons = list(dict.fromkeys(text for finding in findings for text in finding.reasons))
    return "; ".join(
        ([f"missing: {listing(missing, shown)}"] if missing else [])
        + ([listing(reasons, shown, "; ")] if reasons else [])
    )


def listing(items: Sequence[str], shown: int | None, separator: str = ", ") -> str:
    """The first items, and how many more there are."""
    if shown is None or len(items) <= shown:
        return separator.join(items)
    return separator.join(items[:shown]) + f"{separator}{len(items) - shown} more"


def sort_findings(judged: Judged, *verdicts: Verdict) -> list[tuple[Check, Finding]]:
    """Checks and findings with these verdicts, verdict by verdict."""
    pairs = list(zip(judged.claim.checks, judged.findings, strict=True))
    return [pair for verdict in verdicts for pair in pairs if pair[1].verdict == verdict]


# ---- for readers


def scale_of(runs: Runs) -> str:
    """Data, epochs and seeds of all runs."""
    if not any(runs.values()):
        return "none of the networks that these claims need is trained"
    return describe_scale(aggregate_accuracy(list(runs), summaries(runs), {}))


def to_markdown(title: str, judged: Sequence[Judged], about: str, in_full: bool) -> str:
    """How many claims have each outcome, and a table of all claims, or, if not ``in_full``, of the decided ones.

    ``about`` are sentences on the data and the scale.
    """
    heading = f"**{in_markdown(title)}: {summarise(judged)}**: {in_markdown(about)}\n"
    shown = [each for each in judged if in_full or each.verdict != "undecided"]
    return f"{heading}\n{claims_table(shown)}\n" if shown else heading


def claims_table(judged: Sequence[Judged]) -> str:
    """A table of statement, source, condition, numbers and verdict."""
    rows = [("claim", "source", "holds if", "measured", "verdict", "why"), ("---",) * 6]
    for each in judged:
        claim = each.claim
        said = [claim.statement, claim.source, claim.predicate, describe_findings(each)]
        rows.append((*map(in_cell, said), f"**{each.outcome}**", in_cell(reason(each, SHOWN))))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def describe_findings(judged: Judged) -> str:
    """The measured numbers of a claim, those that contradict it first."""
    measured = [pair for pair in sort_findings(judged, *ORDER) if not math.isnan(pair[1].mean)]
    texts = []
    for check, finding in measured:
        bounds = [bound for bound in (check.at_least, check.above, check.at_most) if bound is not None]
        form = partial(readable, bounds=bounds)
        ends = "" if check.exact and finding.low == finding.high else interval(finding, form)
        texts.append(f"{check.label}: {form(finding.mean)}" + (f" ({ends})" if ends else ""))
    return listing(texts, SHOWN, "; ") or MISSING
