"""What numbers were measured on, in words: data, epochs, seeds, what diverged, settings."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from rethinking import registry
from rethinking.cells import Cell
from rethinking.data.imagenet_classes import IMAGES
from rethinking.paper.titles import DATASET_TITLES, SPLIT_TITLES
from rethinking.run.environment import copies


def setting_text(value: Any) -> str:
    """A setting as the configuration writes it."""
    return value if isinstance(value, str) else json.dumps(value)


def unbroken(text: str) -> str:
    """Text in which no line ends between a number and its sign: ``95 %`` and ``0.23 ± 0.03`` have no-break spaces."""
    return re.sub(r" (?=[=<>≤≥±%])|(?<=[=<>≤≥±]) ", "\N{NO-BREAK SPACE}", text)


def describe_divergence(summary: Mapping[str, Any]) -> str:
    """Where a cell diverged, for example ``seed2: epoch 3, step 812``."""
    seed = Cell.parse(summary["cell"]).seed
    return f"seed{seed}: epoch {summary['diverged_epoch']}, step {summary['diverged_step']}"


def describe_data(summary: Mapping[str, Any]) -> str:
    """Which copy of which data set a cell, or a fit of the theory, saw and how much of it.

    For example ``CIFAR-10 (JPEG copy), 2,000 of 50,000 training images``; test images and classes are mentioned where
    not all of those that are published were used. The configuration decides what a copy that is not exact is called now.
    """
    data = summary["data"]
    entry = registry.entry("dataset", data["dataset"])
    published = entry.options
    # Such data have nothing to be compared with, wherever they come from.
    unpublished = entry.own and not entry.published
    kind, called = data["source"]["kind"], data["provenance"]
    if called or unpublished:
        called = copies().get(data["dataset"], called)
    copy = called or ("" if unpublished else {"embedded": "scikit-learn"}.get(kind, "exact"))
    # The notes of tables have this in their first line.
    title = DATASET_TITLES[data["dataset"]].replace("\n", " ")
    parts = [title + (f" ({copy})" if copy else "")]
    if every := published.get("classes"):
        # A sample has two classes by design.
        sampled = data.get("drawn_from")
        classes = len(sampled["train"]["class_counts"]) if sampled else data["num_classes"]
        if classes != every:
            parts.append(f"{classes:,} of {every:,} classes")
        else:
            published = IMAGES.get(data["dataset"], {}) | published
    for split, title in SPLIT_TITLES.items():
        # A copy can have lost some.
        count, full = data[split]["count"], max(data[split]["full_count"], published.get(split, 0))
        if count < full:
            parts.append(f"{count:,} of {full:,} {title} images")
        elif split == "train":
            parts.append(f"{count:,} training images")
    return ", ".join(parts)


def describe_copies(descriptions: Iterable[str]) -> str:
    """Several of :func:`describe_data`, each once; samples of one set together, as ``100 to 500 of 50,000``."""
    samples: dict[tuple[str, str], list[str]] = defaultdict(list)
    for text in dict.fromkeys(descriptions):
        before, count, after = re.fullmatch(
            r"(.*?)([\d,]*)((?: of [\d,]+ training images.*)?)", text, re.DOTALL
        ).groups()
        samples[before, after].append(count)
    several = []
    for (before, after), counts in samples.items():
        counts.sort(key=lambda count: (len(count), count))
        several.append(before + " to ".join(dict.fromkeys((counts[0], counts[-1]))) + after)
    return " and ".join(several)


def describe_scale(table: pd.DataFrame) -> str:
    """Data, epochs and seeds behind a table's rows, for example ``MNIST (exact), ...; 30 epochs; 1 to 3 seeds``."""
    trained = table[table.data.notna()]
    if trained.empty:
        return "none of these networks is trained yet"
    return f"{describe_copies(trained.data)}; {span(trained.epochs, 'epoch')}; {span(trained.seeds + trained.diverged, 'seed')}"


def with_gaps(table: pd.DataFrame) -> pd.DataFrame:
    """The trained networks of a table's rows and below them those behind its gaps, for the functions that describe them.

    Args:
        table: with ``gap_seeds``, ``gap_diverged`` and, where they differ from those of the row, ``gap_epochs``.

    Returns:
        The same columns; ``seeds``, ``diverged`` and ``epochs`` are of the networks of the row.
    """
    counts = {key: table[f"gap_{key}"] for key in ("seeds", "diverged", "epochs") if f"gap_{key}" in table}
    both = pd.concat([table, table.assign(**counts)], ignore_index=True)
    return both[both.seeds + both.diverged > 0]


def describe_lost(diverged: pd.Series, finished: pd.Series, noun: str = "network") -> str:
    """What is not in the numbers of a table's rows, ``; without 2 of 30 networks, which diverged``; empty if nothing."""
    lost = diverged.sum()
    return f"; without {lost:,} of {lost + finished.sum():,} {noun}s, which diverged" if lost else ""


def span(counts: Sequence[int] | pd.Series, noun: str) -> str:
    """Smallest to largest count with its noun: ``1 seed``, ``1 to 3 seeds``, ``5,000 images``."""
    low, high = min(counts), max(counts)
    numbers = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{numbers} {noun}{'' if high == 1 else 's'}"
