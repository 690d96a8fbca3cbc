"""Verdicts: on which side of its bounds the interval of a measure over seeds lies."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from rethinking.analysis.statistics import interval_ends, mean_interval
from rethinking.claims.measures import NotMeasured
from rethinking.claims.possible_values import UNKNOWN, possible_values

Verdict = Literal["supported", "contradicted", "undecided"]
DECIMALS = 12  # of a comparison, because in floating point 32.2 - 31.2 is a little more than 1
AGREE = 1e-12  # a half width that is less, as a share of the mean, is of floating point


@dataclass(frozen=True)
class Check:
    """A measure of some cells and the bounds within which it must lie.

    Raises:
        ValueError: there is no bound, or a bound is nan; such a check could not fail.
    """

    label: str
    measure: Callable[..., float]
    # Without data set and seed, in the order of the measure's arguments; none if it takes none.
    cells: tuple[str, ...]
    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    exact: bool = False  # it does not vary from seed to seed, so one seed is enough
    lower_bound: bool = False  # on what the claim is about, so that one below at_least decides nothing

    def __post_init__(self) -> None:
        bounds = [bound for bound in (self.at_least, self.at_most, self.above) if bound is not None]
        if not bounds or any(map(math.isnan, bounds)):
            raise ValueError(f"the check {self.label!r} needs a bound: at_least, at_most or above a number")


class Finding(NamedTuple):
    """The outcome of a check: mean over seeds, interval, verdict and, if undecided, why."""

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    verdict: Verdict = "undecided"
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()  # cells without any network


# Cell without seed, or part of the theory -> seed -> what is measured.
BySeed = Mapping[str, Mapping[int, Any]]
ONE_SEED = "one seed, an interval needs two"


def examine(check: Check, runs: BySeed, dataset: str) -> Finding:
    """Measure a check on all seeds that its cells share and compare the interval with its bounds.

    Seeds that agree on a number of which no step is known decide nothing, because their interval has no width. A seed
    whose network lacks the number (it diverged, or never reached a threshold) is left out of mean and interval, and
    the check stays undecided, because the remaining seeds would be a selection. A lower bound that is too small leaves it
    undecided too.
    """
    networks = [runs.get(full_name(dataset, cell), {}) for cell in check.cells]
    missing = tuple(cell for cell, seeds in zip(check.cells, networks, strict=True) if not seeds)
    if missing:
        return Finding(missing=missing)

    # The paper's own numbers, and those of a network that is not trained, have no seed and are measured once.
    shared = sorted(set.intersection(*map(set, networks))) if networks else [None]
    values, possible, reasons = [], [], []
    for seed in shared:
        of_seed = [seeds[seed] for seeds in networks]
        try:
            value = check.measure(*of_seed)
            if math.isnan(value):
                raise NotMeasured(f"seed{seed} has nothing to measure")
            possible.append(possible_values(check.measure, of_seed))
            values.append(value)
        except NotMeasured as error:
            reasons.append(str(error))
        # A zero to divide by, or a part that this seed lacks.
        except (ArithmeticError, LookupError) as error:
            reasons.append(f"seed{seed} has nothing to measure ({type(error).__name__}: {error})")
    # Seeds can differ in the number of images or epochs.
    steps, lowest, highest = zip(*(possible or [UNKNOWN]), strict=True)
    mean, half_width = mean_interval(values, max(steps))
    low, high = map(float, interval_ends(mean, half_width, min(lowest), max(highest)))
    if check.exact and values:
        low, high = min(values), max(values)
    elif half_width <= AGREE * abs(mean):
        reasons.append("all seeds agree, so the interval has no width")
    if check.lower_bound and compare(check, mean, mean) == "contradicted":
        reasons.append(f"a lower bound below {check.at_least:g} decides nothing")
    verdict = "undecided" if reasons else compare(check, low, high)
    if verdict == "undecided" and not reasons:
        if not values:
            reasons = ["its cells have no seed in common"]
        elif len(values) == 1:
            reasons = [ONE_SEED]
        elif math.isnan(low):
            reasons = ["a seed has an infinite number"]
        else:
            reasons = ["the interval straddles the bound"]
    return Finding(mean, low, high, verdict, tuple(reasons))


def full_name(dataset: str, cell: str) -> str:
    """A claim's cell on a data set; an empty one where the cell names its own."""
    return f"{dataset}/{cell}" if dataset else cell


def compare(check: Check, low: float, high: float) -> Verdict:
    """Whether the whole interval is within the bounds, the whole interval is outside, or neither; nan is neither."""
    if math.isnan(low) or math.isnan(high):
        return "undecided"
    bounds = (low, high, check.at_least, check.above, check.at_most)
    low, high, at_least, above, at_most = (each if each is None else round(each, DECIMALS) for each in bounds)
    # Of each bound: whether the whole interval is within it, and whether it is outside.
    sides = [(low >= at_least, high < at_least)] if at_least is not None else []
    sides += [(low > above, high <= above)] if above is not None else []
    sides += [(high <= at_most, low > at_most)] if at_most is not None else []
    within, outside = zip(*sides, strict=True)
    return "supported" if all(within) else "contradicted" if any(outside) else "undecided"


def combine(findings: Sequence[Finding]) -> Verdict:
    """Supported if all findings are, contradicted if one is, else undecided."""
    verdicts = {finding.verdict for finding in findings}
    if verdicts == {"supported"}:
        return "supported"
    return "contradicted" if "contradicted" in verdicts else "undecided"
