"""The paper's finding in one sentence: the same networks fit random labels and generalise on true ones."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from rethinking.analysis.aggregation import aggregate_accuracy, by_name, differing
from rethinking.analysis.descriptions import describe_scale
from rethinking.analysis.runs import NETWORK
from rethinking.paper.titles import DATASET_TITLES, MODEL_TITLES

LABELS = ("true_labels", "random_labels")
FITTED = 99.0  # percent of the training labels; the paper's lowest on random labels is 99.34


def measure(cells: Sequence[str], summaries: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Accuracies of each network on true and on random labels.

    Args:
        cells: names without seeds, without regularisers, of networks on true and on random labels.
        summaries: contents of ``summary.json`` of any of their seeds.

    Returns:
        The columns of :func:`rethinking.analysis.aggregation.aggregate_accuracy`; ``chance``, the test accuracy of
        guessing in percent; and ``same_settings``, whether the network has the same settings on both kinds of labels.
    """
    table = aggregate_accuracy(cells, summaries, {})
    found = by_name(summaries)
    classes = {name: some[0]["data"]["num_classes"] for name, some in found.items()}
    names = table.dataset + "/{}/" + table.model + "/none"

    def same_settings(name: str) -> bool:
        pair = [found[each][0] for labels in LABELS if (each := name.format(labels)) in found]
        return len(pair) < len(LABELS) or not changed_hyperparameters(*pair)

    return table.assign(
        chance=[100 / classes[name] if name in classes else float("nan") for name in cells],
        same_settings=list(map(same_settings, names)),
    )


def changed_hyperparameters(summary: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The hyperparameters in which two networks differ, from their summaries.

    The number of epochs is none: the learning rate of an epoch does not depend on it, and random labels take longer.
    """
    return [key for key in differing(summary, other) if key != "epochs"]


def sentence(table: pd.DataFrame) -> str:
    """The finding in words, from a frame of :func:`measure`. Its accuracies are those of networks of which no seed diverged.

    For example ``All 5 networks fit random labels: 100 % training accuracy, with 8 to 12 % test accuracy (chance is
    10 %). With the same settings they reach 97 to 98 % test accuracy on true labels.``
    """
    trained = table[table.seeds + table.diverged > 0]
    true, random = (trained[trained.corruption == labels].set_index(NETWORK) for labels in LABELS)
    both = true.index.intersection(random.index)
    if both.empty:
        return "No network is trained on both true and random labels yet."
    true, random = (some.loc[both].assign(title=titles(both)) for some in (true, random))
    # The seeds that finished would be a selection, and claims count a network that diverged as one that fits nothing.
    steady = random[random.diverged == 0]
    fits = steady[steady.train_accuracy >= FITTED]
    count, fitted = len(both), len(fits)
    so_far = " trained so far" if count < len(table[NETWORK].drop_duplicates()) else ""
    if count == 1:
        who, verb = f"The {'one ' if so_far else ''}network{so_far}", "fits" if fitted else "does not fit"
    else:
        some = f"{fitted or 'None'} of" if fitted < count else "All"
        some = "Both" if count == fitted == 2 else f"{some} {count}"
        who, verb = f"{some} networks{so_far}", "fits" if fitted == 1 else "fit"
    shown = fits if fitted else steady
    others = steady.drop(shown.index)
    on_random = []
    if len(shown):
        on_random.append(
            f"{span(shown.train_accuracy)} % training accuracy, with {span(shown.test_accuracy)} % test accuracy "
            f"(chance is {span(random.chance, chance_text)} %)"
        )
    on_random += divergence(random)
    if len(others):
        rest = "the other reaches" if len(others) == 1 else "the others reach"
        on_random.append(f"{rest} {span(others.train_accuracy)} %")
    changed = true.title[~true.same_settings]
    same = "With other settings" if len(changed) == count else "With the same settings"
    if 0 < len(changed) < count:
        same += f" ({', '.join(changed)} with others)"
    steady = true[true.diverged == 0]
    on_true = divergence(true)
    if len(steady):
        if len(steady) < count:
            they = f"{len(steady)} of {count}"
        elif fitted == count:
            they = "they" if count > 1 else "it"
        else:  # not those alone that fit random labels
            they = {1: "it", 2: "both"}.get(count, f"all {count}")
        reach = "reaches" if len(steady) == 1 else "reach"
        on_true.insert(0, f"{they} {reach} {span(steady.test_accuracy)} % test accuracy on true labels")
    else:
        on_true[-1] += " on true labels"
    return f"{who} {verb} random labels: {'; '.join(on_random)}. {same} {'; '.join(on_true)}."


def titles(networks: pd.MultiIndex) -> list[str]:
    """Networks (``NETWORK``) in words; those of several data sets with theirs."""
    several = networks.get_level_values("dataset").nunique() > 1
    return [
        MODEL_TITLES[model] + (f" on {DATASET_TITLES[dataset]}" if several else "") for dataset, model, _ in networks
    ]


def divergence(networks: pd.DataFrame) -> list[str]:
    """Which of the networks diverged, with all seeds or with how many, in words."""
    alone = len(networks) == 1
    lost = networks[networks.diverged > 0]
    with_all = lost[lost.seeds == 0]
    texts = [f"{'it' if alone else ', '.join(with_all.title)} diverged"] if len(with_all) else []
    return texts + [
        f"{row.diverged} of {row.diverged + row.seeds} seeds{'' if alone else f' of {row.title}'} diverged"
        for row in lost[lost.seeds > 0].itertuples()
    ]


def scale(table: pd.DataFrame) -> str:
    """Data, schedules and seeds, and why the test accuracy of few images on random labels is not quite at chance."""
    text = f"{describe_scale(table)}."
    if lost := int(table.diverged.sum()):
        text += f" Not in the numbers: {lost} of {lost + int(table.seeds.sum())} networks, which diverged."
    # A network that has not fitted them can be off chance for that reason.
    random = table[(table.corruption == LABELS[1]) & (table.train_accuracy >= FITTED)]
    if len(random) and (random.test_accuracy - random.chance).abs().max() > 1:
        count = random.seeds.max()
        draws = "One draw" if count == 1 else f"The mean of {count} draws"
        text += (
            f" {draws} of so few random labels is off chance by some points, for all networks alike, because neighbouring "
            "test images get the same answer; the mean over many draws is at chance."
        )
    return text


def rounded(value: float) -> str:
    """A percentage to whole numbers; to one decimal place where it would round to FITTED or 100, two digits below 1."""
    if value < 1:
        return f"{value:.2g}"
    if 98.5 <= value < FITTED:
        return f"{math.floor(10 * value) / 10:.1f}"  # 98.96 does not fit either
    return f"{value:.1f}" if 99.5 <= value < 99.95 else f"{value:.0f}"


def chance_text(value: float) -> str:
    """The percentage that guessing gives, which follows from the number of classes: 0.33, 1, 12.5."""
    return f"{value:.3g}" if value >= 1 else rounded(value)


def span(values: pd.Series, text: Callable[[float], str] = rounded) -> str:
    """Smallest to largest value, each as ``text`` writes it, ``97 to 98``."""
    texts = [text(value) for value in (values.min(), values.max())]
    return texts[0] if texts[0] == texts[1] else f"{texts[0]} to {texts[1]}"
