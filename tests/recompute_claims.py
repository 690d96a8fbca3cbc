"""Recompute the numbers of claims.csv from summary.json and the CSVs of the cells alone, and compare.

    python tests/recompute_claims.py results

It shares no code with the workflow: cells and formulas are written out here from the predicates in words.
"""

import json
import math
import sys
from functools import cache, partial
from itertools import chain, combinations
from pathlib import Path

import pandas as pd

FIVE = ["inception", "inception_no_bn", "alexnet", "mlp_3x512", "mlp_1x512"]
THREE = ["inception", "alexnet", "mlp_1x512"]
CROPPED, UNCROPPED = ["inception", "alexnet"], ["inception_no_bn", "mlp_3x512", "mlp_1x512"]
MEASURES = [
    *("parameters", "distance", "frobenius_product", "spectral_product", "kernel_spectral_product"),
    *("path_norm", "inverse_margin", "spectral_bound", "fisher_rao", "sharpness", "relative_sharpness"),
]
TRUE, RANDOM = "true_labels/{}/none", "random_labels/{}/none"
LEVELS = [TRUE, *(f"labels_p0.{tenth}/{{}}/none" for tenth in range(1, 10)), RANDOM]


# Settings with these values are not recorded.
LEFT_OUT = dict.fromkeys(["rmsprop", "average_decay", "micro_batch", "reduction"])
LEFT_OUT |= {"decay_every": 1, "label_smoothing": 0, "auxiliary_loss": 0}


class Unknown(Exception):
    """A network does not have the number."""


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
            self.whole_curve = pd.read_csv(folder / "curve.csv").set_index("epoch")
            self.curve = self.whole_curve.query("epoch > 0")
            self.memorisation = pd.read_csv(path).set_index("epoch") if path.exists() else None

    @property
    def chance(self):
        return 100 / self.data["num_classes"]

    @property
    def schedule(self):
        return self.provenance["settings"]["epochs"]

    @property
    def guessing_loss(self):
        return math.log(self.data["num_classes"])

    @property
    def gap(self):
        return self.train_accuracy - self.test_accuracy

    def epochs_until(self, column, bound, sign):
        """Where the line through the values at the ends of epochs first crosses a bound, upwards if the sign is 1."""
        values = self.whole_curve[column]
        epoch = self.curve.index[sign * self.curve[column] >= sign * bound][0]
        before, after = values[epoch - 1], values[epoch]
        return epoch - 1 + (bound - before) / (after - before)

    def below(self, share):
        """Epochs until the training loss is below this share of the loss of guessing."""
        return self.epochs_until("train_loss_end", share * self.guessing_loss, -1)

    @property
    def remaining_loss(self):
        """A network that diverged has fitted nothing."""
        if self.curve is None:
            return 1.0
        return self.curve.train_loss_end.iloc[-1] / self.guessing_loss

    @property
    def fitted(self):
        return self.epochs_until("train_accuracy_end", 99, 1)

    def falls(self, epochs):
        steps = self.curve.test_accuracy.loc[:epochs].diff().dropna()
        return -steps[steps < 0].sum() / len(steps)

    @property
    def learning(self):
        """Whole epochs until it fits, or all."""
        online = self.curve.train_accuracy_end
        return next((epoch for epoch, value in online.items() if value >= 99), online.index[-1])

    def lead(self, epoch):
        row = self.memorisation.loc[epoch]
        return row.changed_accuracy_true - row.changed_accuracy_given


@cache
def load(folder):
    return Net(folder)


def settings_changed(a, b):
    ours, theirs = (LEFT_OUT | net.provenance["settings"] for net in (a, b))
    aside = {"thresholds", "epochs"}
    return len([key for key in set(ours) & set(theirs) - aside if ours[key] != theirs[key]])


def spearman(values):
    ranks = pd.Series(values, dtype=float).rank()
    return math.nan if ranks.isna().any() else ranks.corr(pd.Series(range(len(values)), dtype=float))


def each(networks, *cells):
    """The cells of a check on each network, whose name takes the place of {}."""
    return [[cell.format(network) for cell in cells] for network in networks]


def fitted_share(net):
    """A network that diverged has fitted nothing."""
    return 0.0 if net.status == "diverged" else net.train_accuracy


def online_share(net):
    """The same over the augmented batches of the last epoch."""
    return 0.0 if net.status == "diverged" else net.train_accuracy_online


def early_stopping(net):
    """Only of a network that was trained on for half of the time that it took to fit."""
    if net.schedule < 1.5 * net.fitted:
        raise Unknown
    return net.best_test_accuracy - net.test_accuracy


def failed_share(net, control):
    """A low share counts only where the control fits in as many epochs."""
    if fitted_share(net) < 99 and control.fitted > net.schedule:
        raise Unknown
    return fitted_share(net)


def failed_gap(net, control):
    """So does a small gap."""
    failed_share(net, control)
    return net.gap


def unsteadiness(net, other):
    epochs = min(net.learning, other.learning)
    return net.falls(epochs) - other.falls(epochs)


def gain(a, b):
    return a.test_accuracy - b.test_accuracy


def delay(a, b):
    return a.below(0.9) - b.below(0.9)


def times_chance(net):
    return net.test_accuracy / net.chance


def signs_fitted(net):
    """Rademacher complexity: the correlation of a network with the random signs that it was trained on."""
    return net.train_accuracy / 50 - 1


def complexity_per_gap(net, other):
    """Of signs that are not fitted the complexity is not known."""
    if net.train_accuracy < 99:
        raise Unknown
    return signs_fitted(net) / (other.gap / 100)


def compared():
    """Cells on which measures of complexity are compared."""
    cells = [*each(FIVE, TRUE, "true_labels/{}/wd", RANDOM), *each(THREE, *LEVELS)]
    return list(dict.fromkeys(chain(*cells)))


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
            gap = round(net.train_accuracy - net.test_accuracy_corrupted, 9)
            points.append((corruption, (model, regularisers), (net.complexity[name], gap)))
    pairs = list(combinations(points, 2))
    kinds = (
        pairs,
        [(a, b) for a, b in pairs if a[1] == b[1] and a[0] != b[0]],
        [(a, b) for a, b in pairs if a[0] == b[0] and a[1] != b[1]],
    )
    if any(len({point[:2] for pair in kind for point in pair}) < 4 for kind in kinds):
        return math.nan
    return min(tau([(a[2], b[2]) for a, b in kind]) for kind in kinds)


# claim -> (cells of each check, formula) pairs, in the order of claims.csv
RECIPES = {f"fits_random_labels_{network}": [(each([network], RANDOM), fitted_share)] for network in FIVE} | {
    "fits_random_labels": [(each(FIVE, RANDOM), fitted_share)],
    "zero_training_loss": [(each(["alexnet", "mlp_3x512", "mlp_1x512"], RANDOM), lambda net: net.remaining_loss)],
    "unchanged_hyperparameters": [
        (each(FIVE, RANDOM, TRUE), settings_changed),
        (each(FIVE, RANDOM), fitted_share),
    ],
    "random_labels_at_chance": [(each(FIVE, RANDOM), times_chance)],
    "true_labels_generalise": [(each(FIVE, TRUE), times_chance)],
    "labels_alone_open_the_gap": [
        (each(FIVE, RANDOM, TRUE), lambda a, b: a.gap - b.gap),
        (each(FIVE, RANDOM, TRUE), settings_changed),
    ],
    "more_parameters_than_images": [(each(FIVE, TRUE), lambda net: net.parameters / net.data["train"]["count"])],
    "fits_shuffled_pixels": [([["shuffled_pixels/inception/none"]], fitted_share)],
    "fits_random_pixels": [([["random_pixels/inception/none"]], fitted_share)],
    "fits_gaussian": [([["gaussian/inception/none"]], fitted_share)],
    "random_labels_start_late": [(each(["inception"], RANDOM, TRUE), delay)],
    "random_pixels_start_sooner": [(each(["inception"], RANDOM, "random_pixels/{}/none"), delay)],
    "gaussian_starts_sooner": [(each(["inception"], RANDOM, "gaussian/{}/none"), delay)],
    "fast_once_started": [
        (each(["inception"], RANDOM), lambda net: net.below(0.9) - (net.below(0.1) - net.below(0.9)))
    ],
    "fits_every_corruption": [(each(THREE, level), fitted_share) for level in LEVELS],
    "small_constant_factor": [(each(THREE, RANDOM, TRUE), lambda a, b: a.fitted / b.fitted)],
    "slower_with_corruption": [(each(THREE, *LEVELS), lambda *nets: spearman([net.fitted for net in nets]))],
    "steady_deterioration": [
        (each(THREE, *LEVELS), lambda *nets: -spearman([net.test_accuracy for net in nets])),
        (each(THREE, *LEVELS), lambda *nets: -spearman([net.test_accuracy_corrupted for net in nets])),
    ],
    "signal_beside_noise": [
        (each(THREE, "labels_p0.5/{}/none"), fitted_share),
        (each(THREE, "labels_p0.5/{}/none"), times_chance),
    ],
    "order_of_networks": [
        ([[level.format(better), level.format(worse)]], gain)
        for level in LEVELS[:8]
        for better, worse in (("inception", "alexnet"), ("alexnet", "mlp_1x512"))
    ],
    "regularisers_help": [(each(CROPPED, "true_labels/{}/crop+wd", TRUE), gain)],
    "each_regulariser_helps": [(each(CROPPED, f"true_labels/{{}}/{name}", TRUE), gain) for name in ("crop", "wd")],
    "cropping_beats_weight_decay": [(each(CROPPED, "true_labels/{}/crop", "true_labels/{}/wd"), gain)],
    "regularisers_not_necessary": [
        (each(networks, TRUE, f"true_labels/{{}}/{best}"), lambda a, b: a.test_accuracy / b.test_accuracy)
        for networks, best in ((CROPPED, "crop+wd"), (UNCROPPED, "wd"))
    ],
    "regularisers_not_sufficient": [
        (
            [[f"random_labels/inception/{name}", "random_labels/inception/none"] for name in ("wd", "crop", "augment")],
            failed_gap,
        )
    ],
    "architecture_matters_more": [
        (
            [["true_labels/inception/none", "true_labels/inception/crop+wd", "true_labels/mlp_3x512/wd"]],
            lambda plain, regularised, mlp: gain(plain, mlp) - gain(regularised, plain),
        )
    ],
    "early_stopping_gains_nothing": [(each(["inception", "inception_no_bn"], TRUE), early_stopping)],
    "batch_norm_gain": [
        (
            [[f"true_labels/{net}/{name}" for net in ("inception", "inception_no_bn")] for name in ("none", "wd")],
            gain,
        )
    ],
    "batch_norm_steadies": [([[TRUE.format("inception_no_bn"), TRUE.format("inception")]], unsteadiness)],
    "weight_decay_still_fits": [(each(["inception", "mlp_3x512", "mlp_1x512"], "random_labels/{}/wd"), fitted_share)],
    "weight_decay_stops_alexnet": [(each(["alexnet"], "random_labels/{}/wd", RANDOM), failed_share)],
    "cropping_still_fits": [([["random_labels/inception/crop"]], online_share)],
    "augmentation_still_fits": [([["random_labels/inception/augment"]], online_share)],
    "rademacher_complexity_is_one": [
        (each(FIVE, f"random_signs_n{n}/{{}}/none"), signs_fitted) for n in (500, 5000, 50000)
    ],
    "rademacher_bound_misses_the_gap": [
        (
            each(FIVE, "random_signs_n50000/{}/none", "true_signs_n50000/{}/none"),
            complexity_per_gap,
        )
    ],
    "uniform_stability_is_trivial": [
        (each(FIVE, "random_labels_replaced0/{}/none"), lambda net: net.stability["all_change"])
    ],
    "uniform_stability_ignores_labels": [
        (each(FIVE, "true_labels_replaced0/{}/none"), lambda net: net.stability["all_change"])
    ],
    "no_measure_explains_the_gap": [([compared()], partial(weakest, name)) for name in MEASURES],
    "truth_first": [(each(THREE, f"labels_p{p}/{{}}/none"), lambda net: net.lead(1)) for p in (0.2, 0.5, 0.8)],
    "memory_last": [
        (each(THREE, f"labels_p{p}/{{}}/none"), lambda net: -net.lead(net.memorisation.index[-1]))
        for p in (0.2, 0.5, 0.8)
    ],
}


def measure(folder, dataset, cells, formula):
    """Mean over the seeds that all cells have and of which the number is known; nan if there are none."""
    folders = [
        {path.parent.name: path.parent for path in folder.glob(f"cells/{dataset}/{cell}/seed*/summary.json")}
        for cell in cells
    ]
    values = []
    for seed in sorted(set.intersection(*map(set, folders))):
        try:
            values.append(formula(*(load(found[seed]) for found in folders)))
        except (
            Unknown,
            TypeError,
            IndexError,
            AttributeError,
        ):  # null where it diverged, no such epoch, no file
            continue
    return float(pd.Series(values, dtype=float).mean())


def differences(folder):
    """Claims whose recorded numbers differ from those computed here, as lines of text."""
    table = pd.read_csv(folder / "claims.csv", keep_default_na=False).set_index("claim")
    table = table[table.index.isin(RECIPES)]  # not those on the theory and on ImageNet, and a plug-in's
    if table.empty:
        return ["claims.csv has none of the claims that are recomputed here"]
    lines = [f"{name}: not in claims.csv" for name in RECIPES if name not in table.index]
    for name, row in table.iterrows():
        recorded = [float(text) if text else math.nan for text in row.measured.split("; ")]
        dataset = row.cells.split("/")[0]
        computed = [measure(folder, dataset, cells, formula) for checks, formula in RECIPES[name] for cells in checks]
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
