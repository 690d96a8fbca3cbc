"""The status of a configuration's cells, measures and fits in words: hundreds of cells on one screen."""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from itertools import product
from textwrap import TextWrapper
from typing import TypeVar

from rethinking.config.patterns import expand_braces
from rethinking.run.status import CellStatus, Estimate, ResultStatus
from rethinking.run.time_left import duration

STATES = ("done", "part-trained", "stale", "to run")
LONGEST_LIST = 30  # lines
WIDTH = 100  # characters of a line
Status = TypeVar("Status", CellStatus, ResultStatus)


def report(statuses: Sequence[CellStatus], left: Estimate | None) -> str:
    """The counts, a list for each kind of cell that needs attention, and the time left.

    Args:
        statuses: of all cells.
        left: how long the rest takes; None if this configuration trains nothing.
    """
    by_state, counts = in_states(statuses, STATES, to_run := "to run" if left else "missing")
    failed = [s for s in statuses if s.running and s.running.failed]
    running = [s for s in statuses if s.is_training]
    stopped = [s for s in by_state["part-trained"] if not s.is_training]
    forced = [s for s in by_state["done"] if s.epochs_done and not s.is_training]
    diverged = [s for s in by_state["done"] if s.diverged]
    damaged = [s for s in by_state["done"] if s.damaged]
    blocks = [
        f"{plural(len(statuses), 'cell')}: {counts}",
        section("running now", [f"{name(s)}  seed {s.cell.seed}: {s.running}" for s in running]),
        section(
            "failed at the last attempt",
            [failure(s) for s in failed if s.state != "done"],
        ),
        section("part-trained", by_epoch(stopped)),
        section("stale", by_reason(by_state["stale"], "reason:", condense)),
        section(to_run, by_reason(by_state["to run"], "with a checkpoint that does not fit:", condense)),
        section(
            "done, but diverged",
            [f"{name(s)}/seed{s.cell.seed}  epoch {s.diverged[0]}, step {s.diverged[1]}" for s in diverged],
        ),
        section("done, but failed when trained again", [failure(s) for s in failed if s.state == "done"]),
        section(
            "done, but stopped when trained again: resumes where it is forced once more",
            by_epoch(forced),
        ),
        section(
            "done, but summary.json cannot be read: delete it to have the network trained again", condense(damaged)
        ),
        time_left(left) if left else "",
    ]
    return paragraphs(blocks)


def report_results(statuses: Sequence[ResultStatus], to_run: str) -> str:
    """The same of measures and fits, which are counted by the rule that makes them.

    Args:
        statuses: of all measures and fits.
        to_run: what those that are not there are called.
    """
    by_state, counts = in_states(statuses, ("done", "stale", "to run"), to_run)
    stale, missing = (by_reason(by_state[state], "reason:", by_rule) for state in ("stale", "to run"))
    return paragraphs([f"Measures and fits: {counts}", section("stale", stale), section(to_run, missing)])


def in_states(statuses: Iterable[Status], states: Iterable[str], to_run: str) -> tuple[dict[str, list[Status]], str]:
    """The statuses by their state, and how many each has in words."""
    by_state = {state: [each for each in statuses if each.state == state] for state in states}
    counts = (f"{len(found)} {to_run if state == 'to run' else state}" for state, found in by_state.items())
    return by_state, ", ".join(counts)


def paragraphs(blocks: Iterable[str]) -> str:
    """Those that are not empty, with an empty line between them and no line longer than a screen is wide."""
    return "\n".join(map(wrap, "\n\n".join(filter(None, blocks)).splitlines()))


def wrap(line: str) -> str:
    """A line in as many as it takes, broken between words or behind a comma of a pattern; all but the first are indented."""
    first = re.match(" *", line)[0]
    indents = {"initial_indent": first, "subsequent_indent": first + " " * 4}
    wrapper = TextWrapper(WIDTH, **indents, break_long_words=False, break_on_hyphens=False)
    # Where it breaks: "seeds 0-2" stays together.
    wrapper.wordsep_simple_re = re.compile(r"((?<!seed)(?<!seeds)\s+|(?<=,)(?=\S))")
    return wrapper.fill(line.strip())


def failure(status: CellStatus) -> str:
    """Why the last attempt to train a cell failed."""
    return f"{name(status)}  seed {status.cell.seed}: {status.running.failed}"


def by_epoch(cells: Iterable[CellStatus]) -> list[str]:
    """A line for each cell with a checkpoint: which seeds are how far."""
    seeds = defaultdict(lambda: defaultdict(list))
    for status in cells:
        epoch = min(int(status.epochs_done) + 1, status.epochs)
        seeds[name(status)][f"in epoch {epoch} of {status.epochs}"].append(status.cell.seed)
    return [
        f"{cell}  {'; '.join(f'{in_words(some)} {place}' for place, some in places.items())}"
        for cell, places in seeds.items()
    ]


def by_reason(statuses: Iterable[Status], lead: str, lines_of: Callable[[list[Status]], list[str]]) -> list[str]:
    """The lines of statuses, those with reasons behind a line that says these."""
    groups = defaultdict(list)
    for status in statuses:
        groups[status.reasons].append(status)
    lines = []
    for reasons, some in sorted(groups.items()):
        if reasons:
            lines.append(f"{lead} {', '.join(reasons)}")
        lines += [f"{'  ' if reasons else ''}{line}" for line in lines_of(some)]
    return lines


def by_rule(statuses: Iterable[ResultStatus]) -> list[str]:
    """How many each rule makes: ``measure_complexity  12``, as in a dry run."""
    return [f"{rule}  {count}" for rule, count in Counter(status.rule for status in statuses).items()]


def time_left(left: Estimate) -> str:
    """How long the rest takes, and of which networks that is not known."""
    lines = []
    if left.cells:
        device = f" on a {left.device.upper()}" if left.device else ""
        lines.append(
            f"About {duration(left.seconds)} of training{device}, one cell at a time; "
            "divide by the number that run in parallel."
        )
    if left.unknown:
        models = ", ".join(f"{model} ({plural(count, 'cell')})" for model, count in left.unknown.items())
        lines.append(f"No estimate for {models}: no similar cell has been trained yet.")
    return "\n".join(lines)


def name(status: CellStatus) -> str:
    """A cell without its seed, or a variant of it as ``ablations/<its name>/<cell>``."""
    return f"ablations/{status.variant}/{status.cell.name}" if status.variant else status.cell.name


def plural(count: int, noun: str) -> str:
    """``1 cell``, ``2 cells``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def section(title: str, lines: Sequence[str]) -> str:
    """A titled list, cut where it is too long for a screen; empty if it has no lines."""
    if len(lines) > LONGEST_LIST:
        lines = [*lines[: LONGEST_LIST - 1], f"... and {plural(len(lines) - LONGEST_LIST + 1, 'more line')}"]
    return "\n  ".join([title, *lines]) if lines else ""


def condense(cells: Iterable[CellStatus]) -> list[str]:
    """Cells in few lines, written as in a configuration: ``cifar10/true_labels/mlp_1x512/{wd,none}  seeds 0-2``."""
    groups = []
    for status in cells:
        *variant, dataset, corruption, model, regularisers = name(status).rsplit("/", 4)
        parts = ("".join(variant), dataset, corruption, model, regularisers, status.cell.seed)
        groups.append(tuple((part,) for part in parts))
    for axis in (5, 4, 2, 3):  # seeds, regularisers, corruptions, models
        merged = defaultdict(list)
        for group in groups:
            merged[group[:axis], group[axis + 1 :]] += group[axis]
        groups = [(*before, tuple(values), *after) for (before, after), values in merged.items()]
    return [
        f"{'/'.join(parts).removeprefix('/')}  {in_words(seeds)}"
        for *names, seeds in groups
        for parts in product(*map(braces, names))
    ]


def braces(names: Sequence[str]) -> list[str]:
    """Patterns for names: one for all, ``a`` or ``{a,b}``, and one for each range of at least three, ``p{0.1..0.9..0.1}``."""
    families: dict[str, dict[Decimal, str]] = defaultdict(dict)
    for each in names:
        start, number = re.fullmatch(r"(.*?)(\d+(?:\.\d+)?)?", each).groups()
        if number:
            families[start][Decimal(number)] = each
    ranges, others = [], list(names)
    for start, family in families.items():
        numbers = sorted(family)
        if len(numbers) < 3:
            continue
        (first, second, *_), last = numbers, numbers[-1]
        pattern = f"{start}{{{first}..{last}..{second - first}}}"
        even = last - first == (second - first) * (len(numbers) - 1)
        if even and expand_braces(pattern) == [family[number] for number in numbers]:
            ranges.append(pattern)
            others = [each for each in others if each not in family.values()]
    lists = [others[0] if len(others) == 1 else "{" + ",".join(others) + "}"] if others else []
    return lists + ranges


def in_words(seeds: Sequence[int]) -> str:
    """``seed 3`` or ``seeds 0-2``."""
    return f"seed{'s' if len(seeds) > 1 else ''} {ranges(seeds)}"


def ranges(seeds: Sequence[int]) -> str:
    """``3``, ``0-2`` or ``0, 2, 5-9``."""
    runs: list[list[int]] = []
    for seed in sorted(seeds):
        if runs and seed == runs[-1][1] + 1:
            runs[-1][1] = seed
        else:
            runs.append([seed, seed])
    return ", ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs)
