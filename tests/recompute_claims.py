"""Recompute the numbers of claims.csv from summary.json and the CSVs of the cells alone, and compare.

    python tests/recompute_claims.py results

It shares no code with the workflow: cells and formulas are written out here from the predicates in words.
"""

import json
import math
import sys
from functools import cache, partial
from itertools import combinations
from pathlib import Path

import pandas as pd

FIVE = ["inception", "inception_no_bn", "alexnet", "mlp_3x512", "mlp_1x512"]
THREE = ["inception", "alexnet", "mlp_1x512"]
MEASURES = [
    "parameters",
    "distance",
    "frobenius_product",
    "spectral_product",
    "kernel_spectral_product",
    "path_norm",
]
MEASURES += ["inverse_margin", "spectral_bound", "fisher_rao", "sharpness", "relative_sharpness"]
LEVELS = ["true_labels"] + [f"labels_p0.{tenth}" for tenth in range(1, 10)] + ["random_labels"]


class Net:
    """The files of one network."""

    def __init__(self, folder):
        self.summary = json.loads((folder / "summary.json").read_text())
        vars(self).update(self.summary)
        self.curve = self.memorisation = None
        self.complexity, self.stability = (
            json.loads(path.read_text()) if path.exists() else None
            for path in (folder / "complexity.json", folder / "stability.json")
        )
        path = folder / "memorisation.csv"
        if self.status != "diverged":  # a curve that ends early has no numbers
            self.curve = pd.read_csv(folder / "curve.csv").query("epoch > 0").set_index("epoch")
            self.memorisation = pd.read_csv(path).set_index("epoch") if path.exists() else None

    @property
    def chance(self):
        return 100 / self.summary["data"]["num_classes"]

    @property
    def gap(self):
        return self.train_accuracy - self.test_accuracy

    def below(self, share):
        """First epoch at whose end the training loss is below this share of the loss of guessing."""
        bound = share * math.log(self.summary["data"]["num_classes"])
        return (self.curve.train_loss_end < bound).pipe(lambda below: below[below].index[0])

    @property
    def remaining_loss(self):
        """A network that diverged has fitted nothing."""
        if self.curve is None:
            return 1.0
        return self.curve.train_loss_end.iloc[-1] / math.log(self.summary["data"]["num_classes"])

    @property
    def fitted(self):
        return self.curve.query("train_accuracy_end >= 99").index[0]

    @property
    def falls(self):
        steps = self.curve.test_accuracy.diff().dropna()
        return -steps[steps < 0].sum() / len(steps)

    def lead(self, epoch):
        row = self.memorisation.loc[epoch]
        return row.changed_accuracy_true - row.changed_accuracy_given


@cache
def load(folder):
    return Net(folder)


def settings_changed(a, b):
    ours, theirs = a.provenance["settings"], b.provenance["settings"]
    aside = {"thresholds", "epochs"}
    return len([key for key in set(ours) & set(theirs) - aside if ours[key] != theirs[key]])


def spearman(values):
    ranks = pd.Series(values, dtype=float).rank()
    return math.nan if ranks.isna().any() else ranks.corr(pd.Series(range(len(values)), dtype=float))


def bare(corruption, networks):
    return [[f"{corruption}/{network}/none"] for network in networks]


def both(networks, here="random_labels", there="true_labels"):
    return [[f"{here}/{network}/none", f"{there}/{network}/none"] for network in networks]


def levels(networks):
    return [[f"{level}/{network}/none" for level in LEVELS] for network in networks]


def fitted_share(net, key="train_accuracy"):
    """A network that diverged has fitted nothing."""
    return 0.0 if net.status == "diverged" else net.summary[key]


def gain(a, b):
    return a.test_accuracy - b.test_accuracy


def delay(a, b):
    return a.below(0.9) - b.below(0.9)


def compared():
    """Cells on which measures of complexity are compared."""
    cells = [
        f"{labels}/{net}/{name}"
        for net in FIVE
        for labels, name in (("true_labels", "none"), ("true_labels", "wd"), ("random_labels", "none"))
    ]
    return list(dict.fromkeys(cells + [f"{level}/{net}/none" for net in THREE for level in LEVELS]))


def tau(pairs):
    """Kendall's tau-b of pairs of (measure, gap) pairs."""
    signs = [((a > c) - (a < c), (b > d) - (b < d)) for (a, b), (c, d) in pairs]
    possible = math.sqrt(sum(x * x for x, _ in signs) * sum(y * y for _, y in signs))
    return sum(x * y for x, y in signs) / possible if possible else 0.0


def weakest(name, *nets):
    """The least tau over all pairs, pairs of one network, and pairs on the same data."""
    points = []
    for net in nets:
        if net.status != "diverged" and net.complexity[name] is not None:
            _, corruption, model, regularisers, _ = net.cell.split("/")
            gap = net.train_accuracy - net.test_accuracy_corrupted
            points.append((corruption, (model, regularisers), (net.complexity[name], gap)))
    if len(points) < 4:
        return math.nan
    pairs = list(combinations(points, 2))
    kinds = (
        pairs,
        [(a, b) for a, b in pairs if a[1] == b[1] and a[0] != b[0]],
        [(a, b) for a, b in pairs if a[0] == b[0] and a[1] != b[1]],
    )
    return min(tau([(a[2], b[2]) for a, b in kind]) for kind in kinds)


# claim -> (cells of each check, formula) pairs, in the order of claims.csv
RECIPES = {
    f"fits_random_labels_{network}": [(bare("random_labels", [network]), fitted_share)] for network in FIVE
} | {
    "fits_random_labels": [(bare("random_labels", FIVE), fitted_share)],
    "zero_training_loss": [
        (bare("random_labels", ["alexnet", "mlp_3x512", "mlp_1x512"]), lambda a: a.remaining_loss)
    ],
    "unchanged_hyperparameters": [
        (both(FIVE), settings_changed),
        (bare("random_labels", FIVE), fitted_share),
    ],
    "random_labels_at_chance": [(bare("random_labels", FIVE), lambda a: a.test_accuracy - a.chance)],
    "true_labels_generalise": [(bare("true_labels", FIVE), lambda a: a.test_accuracy / a.chance)],
    "labels_alone_open_the_gap": [(both(FIVE), lambda a, b: a.gap - b.gap)],
    "more_parameters_than_images": [
        (bare("true_labels", FIVE), lambda a: a.parameters / a.data["train"]["count"])
    ],
    "fits_shuffled_pixels": [(bare("shuffled_pixels", ["inception"]), fitted_share)],
    "fits_random_pixels": [(bare("random_pixels", ["inception"]), fitted_share)],
    "fits_gaussian": [(bare("gaussian", ["inception"]), fitted_share)],
    "random_labels_start_late": [(both(["inception"]), delay)],
    "random_pixels_start_sooner": [(both(["inception"], there="random_pixels"), delay)],
    "gaussian_starts_sooner": [(both(["inception"], there="gaussian"), delay)],
    "fast_once_started": [
        (bare("random_labels", ["inception"]), lambda a: a.below(0.9) - (a.below(0.1) - a.below(0.9)))
    ],
    "fits_every_corruption": [
        ([cell for level in LEVELS for cell in bare(level, THREE)], fitted_share),
    ],
    "small_constant_factor": [(both(THREE), lambda a, b: a.fitted / b.fitted)],
    "slower_with_corruption": [(levels(THREE), lambda *nets: spearman([net.fitted for net in nets]))],
    "steady_deterioration": [
        (levels(THREE), lambda *nets: -spearman([net.test_accuracy for net in nets])),
        (levels(THREE), lambda *nets: -spearman([net.test_accuracy_corrupted for net in nets])),
    ],
    "signal_beside_noise": [
        (bare("labels_p0.5", THREE), fitted_share),
        (bare("labels_p0.5", THREE), lambda a: a.test_accuracy / a.chance),
    ],
    "order_of_networks": [
        (
            [
                [f"{level}/{better}/none", f"{level}/{worse}/none"]
                for level in LEVELS[:9]
                for better, worse in (("inception", "alexnet"), ("alexnet", "mlp_1x512"))
            ],
            gain,
        )
    ],
    "regularisers_help": [
        (
            [[f"true_labels/{net}/crop+wd", f"true_labels/{net}/none"] for net in ("inception", "alexnet")],
            gain,
        )
    ],
    "each_regulariser_helps": [
        (
            [
                [f"true_labels/{net}/{name}", f"true_labels/{net}/none"]
                for name in ("crop", "wd")
                for net in ("inception", "alexnet")
            ],
            gain,
        )
    ],
    "cropping_beats_weight_decay": [
        ([[f"true_labels/{net}/crop", f"true_labels/{net}/wd"] for net in ("inception", "alexnet")], gain)
    ],
    "regularisers_not_necessary": [
        (
            [
                [f"true_labels/{net}/none", f"true_labels/{net}/{best}"]
                for best, nets in (
                    ("crop+wd", ["inception", "alexnet"]),
                    ("wd", ["inception_no_bn", "mlp_3x512", "mlp_1x512"]),
                )
                for net in nets
            ],
            lambda a, b: a.test_accuracy / b.test_accuracy,
        )
    ],
    "regularisers_not_sufficient": [
        ([[f"random_labels/inception/{name}"] for name in ("wd", "crop", "augment")], lambda a: a.gap)
    ],
    "architecture_matters_more": [
        (
            [["true_labels/inception/none", "true_labels/inception/crop+wd", "true_labels/mlp_3x512/wd"]],
            lambda plain, regularised, mlp: gain(plain, mlp) - gain(regularised, plain),
        )
    ],
    "early_stopping_gains_nothing": [
        (
            bare("true_labels", ["inception", "inception_no_bn"]),
            lambda a: a.best_test_accuracy - a.test_accuracy,
        )
    ],
    "batch_norm_gain": [
        ([[f"true_labels/{net}/{name}" for net in FIVE[:2]] for name in ("none", "wd")], gain)
    ],
    "batch_norm_steadies": [
        ([["true_labels/inception_no_bn/none", "true_labels/inception/none"]], lambda a, b: a.falls - b.falls)
    ],
    "weight_decay_still_fits": [
        ([[f"random_labels/{net}/wd"] for net in ("inception", "mlp_3x512", "mlp_1x512")], fitted_share)
    ],
    "weight_decay_stops_alexnet": [([["random_labels/alexnet/wd"]], fitted_share)],
    "cropping_still_fits": [
        ([["random_labels/inception/crop"]], lambda a: fitted_share(a, "train_accuracy_online"))
    ],
    "augmentation_still_fits": [
        ([["random_labels/inception/augment"]], lambda a: fitted_share(a, "train_accuracy_online"))
    ],
    "rademacher_complexity_is_one": [
        (
            [cell for n in (500, 5000, 50000) for cell in bare(f"random_signs_n{n}", FIVE)],
            lambda a: a.train_accuracy / 50 - 1,
        )
    ],
    "rademacher_bound_misses_the_gap": [
        (
            both(FIVE, "random_signs_n50000", "true_signs_n50000"),
            lambda a, b: (a.train_accuracy / 50 - 1) / ((b.train_accuracy - b.test_accuracy) / 100),
        )
    ],
    "uniform_stability_is_trivial": [
        (bare("random_labels_replaced0", FIVE), lambda a: a.stability["all_change"])
    ],
    "uniform_stability_ignores_labels": [
        (bare("true_labels_replaced0", FIVE), lambda a: a.stability["all_change"])
    ],
    "no_measure_explains_the_gap": [([compared()], partial(weakest, name)) for name in MEASURES],
    "truth_first": [
        ([cell for p in (2, 5, 8) for cell in bare(f"labels_p0.{p}", THREE)], lambda a: a.lead(1))
    ],
    "memory_last": [
        (
            [cell for p in (2, 5, 8) for cell in bare(f"labels_p0.{p}", THREE)],
            lambda a: -a.lead(a.memorisation.index[-1]),
        )
    ],
}


def measure(folder, dataset, cells, formula):
    """Mean over the seeds that all cells have; None if a cell has no seed or a number is missing."""
    folders = [
        {path.parent.name: path.parent for path in folder.glob(f"cells/{dataset}/{cell}/seed*/summary.json")}
        for cell in cells
    ]
    values = []
    for seed in sorted(set.intersection(*map(set, folders))):
        try:
            values.append(formula(*(load(found[seed]) for found in folders)))
        except (TypeError, IndexError, AttributeError):  # null where it diverged, no such epoch, no file
            continue
    return float(pd.Series(values, dtype=float).mean())


def differences(folder):
    """Claims whose recorded numbers differ from those computed here, as lines of text."""
    table = pd.read_csv(folder / "claims.csv", keep_default_na=False).set_index("claim")
    table = table[~table.cells.str.startswith("theory/")]  # these do not depend on networks
    table = table[~table.index.str.startswith("imagenet_") & (table.source != "own")]  # these have no recipe
    lines = [f"{name}: not in claims.csv" for name in RECIPES if name not in table.index]
    for name, row in table.iterrows():
        recorded = [float(text) if text else math.nan for text in row.measured.split("; ")]
        dataset = row.cells.split("/")[0]
        computed = [
            measure(folder, dataset, cells, formula)
            for checks, formula in RECIPES.get(name, [])
            for cells in checks
        ]
        same = len(computed) == len(recorded) and all(
            (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-5, abs_tol=1e-8)
            for a, b in zip(computed, recorded, strict=True)
        )
        if not same:
            lines.append(f"{name}: {recorded} in claims.csv, {computed} recomputed")
    return lines


if __name__ == "__main__":
    found = differences(Path(sys.argv[1]))
    print("\n".join(found) or "all numbers agree")
    sys.exit(bool(found))
