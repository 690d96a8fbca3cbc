"""The claims for readers: by section, the decided ones first, with what was measured drawn against its bounds."""

import math
from typing import Any, NamedTuple

import pandas as pd
from markupsafe import Markup, escape

from rethinking import registry
from rethinking.claims.report import OUTCOMES, STRICT, readable
from rethinking.report.layout import section_of_claim, sections

NOT_RUN = "not run"
PAPER, OWN = "of the paper", "of this study"
OTHERS = {"finding": "on its own numbers", "beyond": "beyond it"}  # first word of a source -> what such a claim is
# Of the drawing, in pixels: its width, that of the labels before and the values behind the points, height of a row and of
# the bounds below, size of a point.
WIDTH, LABELS, VALUES, ROW, AXIS, RADIUS = 352, 168, 58, 15, 14, 3.6
CHARACTER = 6  # pixels of its text
MOST = 8  # points of one claim that are drawn


class Point(NamedTuple):
    """One check: what is measured and its bounds, nan where there is none."""

    label: str
    mean: float
    low: float
    high: float
    lowest: float
    highest: float
    strict: bool = False  # whether the mean must be above the lowest bound, not equal to it

    @property
    def within(self) -> bool:
        """Whether the mean meets the bounds."""
        below = self.mean <= self.lowest if self.strict else self.mean < self.lowest
        return not (below or self.mean > self.highest)

    @property
    def bounds(self) -> tuple[float, float]:
        """Both bounds."""
        return self.lowest, self.highest

    @property
    def text(self) -> str:
        """For example ``AlexNet: 99.2 (98.9 to 99.5), at least 99``."""
        mean, low, high = (readable(value, self.bounds) for value in (self.mean, self.low, self.high))
        interval = "" if math.isnan(self.low) else f" ({low} to {high})"
        bounds = [("above" if self.strict else "at least", self.lowest), ("at most", self.highest)]
        return f"{self.label}: {mean}{interval}" + "".join(
            f", {words} {readable(value)}" for words, value in bounds if not math.isnan(value)
        )


def by_section(claims: pd.DataFrame) -> dict[str, list[dict[str, Any]]]:
    """The claims that something was measured for, and all of plug-ins, heading -> claims, decided ones first."""
    found: dict[str, list[dict[str, Any]]] = {section.heading: [] for section in sections()}
    shown = claims[(claims.outcome != NOT_RUN) | is_own(claims)]
    order = shown.outcome.map(OUTCOMES.index)
    for row in shown.assign(order=order).sort_values("order", kind="stable").itertuples():
        found.setdefault(section_of_claim(row.source), []).append(show(row))
    return {heading: some for heading, some in found.items() if some}


def not_run(claims: pd.DataFrame) -> list[str]:
    """The statements that nothing was measured for, but for those of plug-ins, which no other experiment has."""
    return list(claims.statement[(claims.outcome == NOT_RUN) & ~is_own(claims)])


def is_own(claims: pd.DataFrame) -> pd.Series:
    """Of each claim, whether a plug-in registers it."""
    return claims.claim.isin([each.name for each in registry.entries("claim") if each.own])


def count(claims: pd.DataFrame) -> dict[str, int]:
    """How many claims have each outcome, for those that occur."""
    counts = claims.outcome.value_counts()
    return {outcome: int(counts[outcome]) for outcome in OUTCOMES if outcome in counts}


def origins(claims: pd.DataFrame) -> dict[str, int]:
    """How many claims are the paper's, and how many are others, for those that occur; those of plug-ins come last."""
    pairs = zip(is_own(claims), claims.source, strict=True)
    found = [OWN if own else OTHERS.get(source.split(" ")[0], PAPER) for own, source in pairs]
    return {each: found.count(each) for each in (PAPER, *OTHERS.values(), OWN) if each in found}


def show(row: Any) -> dict[str, Any]:
    """One row of claims.csv."""
    reason = "" if pd.isna(row.reason) or row.outcome.startswith("one seed") else row.reason
    reason = reason[:1].upper() + reason[1:]
    return row._asdict() | {"reason": reason, "drawing": draw(points(row))}


def points(row: Any) -> list[Point]:
    """The checks of a claim that were measured."""
    lists = [split(getattr(row, name)) for name in ("checks", "measured", "interval", "lowest", "highest")]
    found = []
    for label, measured, interval, lowest, highest in zip(*lists, strict=True):
        low, _, high = interval.partition(" to ")
        if measured:
            ends = (measured, low, high, lowest.removeprefix(STRICT), highest)
            numbers = (float(text or "nan") for text in ends)
            found.append(Point(label, *numbers, lowest.startswith(STRICT)))
    return found


def split(text: str | float) -> list[str]:
    """A list of a cell of the CSV; pandas reads one empty item as missing."""
    return [""] if pd.isna(text) else text.split("; ")


# ---- drawing


def draw(checks: list[Point]) -> Markup:
    """Points with their intervals over the allowed range, one row each, as SVG with the numbers as tooltips.

    Checks of the same bounds share an axis; others may measure something else.
    """
    if not checks:
        return Markup("")
    shown = sorted(checks, key=lambda check: check.within)[:MOST]
    panels: dict[str, list[Point]] = {}
    for check in shown:
        panels.setdefault(str(check.bounds), []).append(check)  # as text, since nan differs from itself
    height, parts = 0, []
    for some in panels.values():
        parts += panel(some, height)
        height += ROW * len(some) + AXIS
    everything = "; ".join(check.text for check in checks)
    start = (
        f'<svg class="dots" role="img" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'aria-label="{escape(everything)}">'
    )
    more = f"<p>and {len(checks) - len(shown)} more, in claims.csv</p>" if len(checks) > len(shown) else ""
    return Markup("".join([start, *parts, "</svg>", more]))


def panel(checks: list[Point], above: float) -> list[str]:
    """Checks of the same bounds, from this height on, and below them the bounds."""
    left, right = domain(checks)

    def x(value: float) -> float:
        return LABELS + (WIDTH - LABELS - VALUES) * (min(max(value, left), right) - left) / (right - left)

    parts = []
    bounds = [value for value in checks[0].bounds if not math.isnan(value)]
    for place, check in enumerate(checks):
        top, middle = above + ROW * place, above + ROW * (place + 0.5)
        start = left if math.isnan(check.lowest) else check.lowest
        end = right if math.isnan(check.highest) else check.highest
        parts.append(f"<g><title>{escape(check.text)}</title>")
        parts.append(f'<rect class="row" x="0" y="{top}" width="{WIDTH}" height="{ROW}"/>')
        if end >= start:
            wide = max(x(end) - x(start), 1.5)
            parts.append(f'<rect class="allowed" x="{x(start):.1f}" y="{top}" width="{wide:.1f}" height="{ROW}"/>')
        parts += [
            f'<line class="bound" x1="{x(bound):.1f}" x2="{x(bound):.1f}" y1="{top}" y2="{top + ROW}"/>'
            for bound in bounds
        ]
        kind = "within" if check.within else "outside"
        if not math.isnan(check.low):
            parts.append(
                f'<line class="{kind}" x1="{x(check.low):.1f}" x2="{x(check.high):.1f}" y1="{middle}" y2="{middle}"/>'
            )
        parts.append(mark(kind, x(check.mean), middle))
        parts.append(f'<text x="0" y="{middle + 3.5}">{escape(shorten(check.label))}</text>')
        parts.append(
            f'<text x="{WIDTH}" y="{middle + 3.5}" text-anchor="end">{readable(check.mean, check.bounds)}</text></g>'
        )
    ends = sorted(set(bounds))
    wide = CHARACTER * sum(len(readable(bound)) for bound in ends) / 2
    # Labels that would lie on each other stand at either side of their bounds.
    aside = len(ends) > 1 and x(ends[1]) - x(ends[0]) < wide + CHARACTER
    for bound, anchor, shift in zip(ends, ("end", "start"), (-2, 2), strict=False):
        anchor, shift = (anchor, shift) if aside else ("middle", 0)
        parts.append(
            f'<text x="{x(bound) + shift:.1f}" y="{above + ROW * len(checks) + AXIS - 3}" text-anchor="{anchor}">'
            f"{readable(bound)}</text>"
        )
    return parts


def mark(kind: str, x: float, y: float) -> str:
    """A filled circle within the bounds, a cross outside: not told apart by colour alone."""
    if kind == "within":
        return f'<circle class="within" cx="{x:.1f}" cy="{y}" r="{RADIUS}"/>'
    r = RADIUS
    return (
        f'<path class="outside" d="M{x - r:.1f} {y - r}L{x + r:.1f} {y + r}M{x - r:.1f} {y + r}L{x + r:.1f} {y - r}"/>'
    )


def domain(checks: list[Point]) -> tuple[float, float]:
    """The range of the axis: all means and bounds, with a margin; wide intervals are cut."""
    values = [value for check in checks for value in (check.mean, check.lowest, check.highest)]
    finite = [value for value in values if math.isfinite(value)]
    low, high = min(finite), max(finite)
    margin = 0.25 * (high - low) or max(abs(high) * 0.02, 1e-12)
    return low - margin, high + margin


def shorten(label: str) -> str:
    """A label that fits beside its point; rows of a claim often differ in their ends alone, so that its middle is left out."""
    room = LABELS // CHARACTER
    return label if len(label) <= room else f"{label[: room // 2]}…{label[1 - room // 2 :]}"
