"""Claims of sections 4 and 5: 2n + d weights fit any labels, and linear models that fit exactly."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from rethinking import paper
from rethinking.analysis.descriptions import describe_copies, describe_data
from rethinking.analysis.theory_results import fits
from rethinking.claims.forms import Claim
from rethinking.claims.measures import NotMeasured
from rethinking.claims.possible_values import measured
from rethinking.claims.report import Judged, claim_rows
from rethinking.claims.verdicts import Check, examine
from rethinking.theory import EXACT

Record = Mapping[str, Any]
ROOT = "theory"  # takes the place of the data set in other claims
PUBLISHED = paper.table3()
PIXELS, GABOR = "mnist/none/gaussian/exact", "mnist/gabor/gaussian/exact"
CIFAR10 = "cifar10/none/gaussian/exact"
OTHERS = "pixels/counterexamples"
CONVNET = "random_convnet_32000"  # the only features of the paper that are random
LINEAR = "mnist/none/linear/exact"
FILTERS = tuple(f"cifar10/random_convnet_{count}/linear/penalised" for count in (1000, 4000))


# ---- measures: one number of the records of one seed


def value(key: str) -> Callable[[Record], float]:
    """An entry of a record."""
    return lambda record: float(record[key])


def difference(key: str) -> Callable[[Record, Record], float]:
    """An entry of the first record minus that of the second."""
    return lambda record, other: float(record[key] - other[key])


def ratio(key: str) -> Callable[[Record, Record], float]:
    """An entry of the first record divided by that of the second."""
    return lambda record, other: float(record[key] / other[key])


def error_step(*records: Record) -> float:
    """One test image in each of several test errors, percent."""
    return math.hypot(*(100 / record["test_images"] for record in records))


def more_weights(network: Record) -> float:
    """Weights beyond 2n + d."""
    return network["parameters"] - 2 * network["n"] - network["d"]


def relative_width(network: Record) -> float:
    """Width divided by n / depth."""
    return network["width"] * network["depth"] / network["n"]


def relative_connections(network: Record) -> float:
    """Connections divided by n + d."""
    return network["connections"] / (network["n"] + network["d"])


def eigenvalue_error(network: Record) -> float:
    """How far the smallest eigenvalue divided by the smallest x - b is from 1."""
    return abs(network["smallest_eigenvalue"] / network["smallest_diagonal"] - 1)


def null_dimensions(record: Record) -> float:
    """Dimension minus rank of the Hessian."""
    return float(record["dimension"] - record["hessian_rank"])


def least_ratio(key: str) -> Callable[[Record], float]:
    """The smallest value of the other exact fits, divided by that of the fit of minimum norm; all must be fits."""
    others = ("random_centres", "poisoned")

    def of_fits(record: Record) -> float:
        for name in ("minimum_norm", *others):
            if not record[name]["residual"] <= EXACT:
                raise NotMeasured(f"seed{record['seed']} has no exact fit {name}: its residual is above {EXACT:g}")
        return float(np.min([record[name][key] for name in others])) / float(record["minimum_norm"][key])

    return of_fits


TEST_ERROR = measured(error_step, 0, 100)(value("test_error"))
ERROR_DIFFERENCE = measured(error_step, -100, 100)(difference("test_error"))


def distance(start: str) -> Callable[[Record], float]:
    """How far from the fit of minimum norm SGD ends from a start, relative to its length."""
    return measured(lowest=0)(value(f"{start}_distance"))


def ratio_step(record: Record) -> float:
    """The step of :func:`least_ratio` of test errors."""
    ratio = least_ratio("test_error")(record)
    return error_step(record) * math.hypot(1, ratio) / record["minimum_norm"]["test_error"]


# ---- checks


def exact(label: str, measure: Callable[..., float], *cells: str, **bounds: float) -> Check:
    """A check that every seed must meet, so that one is enough: the lowest and the highest of the seeds are compared."""
    return Check(label, measure, cells, exact=True, **bounds)


def of_networks(
    label: str,
    measure: Callable[[Record], float],
    deep: bool = False,
    worst: Callable = np.max,
    **bounds: float,
) -> Check:
    """A check of the worst of the networks of theorem 1, which have depth 2, or of the deep ones of corollary 1."""

    def worst_of_them(record: Record) -> float:
        measured = [measure(each) for each in record["networks"] if (each["depth"] > 2) == deep]
        return float(worst(measured)) if measured else math.nan  # NumPy's extremes keep nan

    return exact(label, worst_of_them, "expressivity", **bounds)


# ---- claims


def published_error(name: str, statement: str, cell: str, tolerance: float) -> Claim:
    """A test error is the paper's."""
    dataset, preprocessing, _, kind = cell.split("/")
    random = preprocessing == CONVNET
    key = dataset, "random_convnet" if random else preprocessing, kind == "penalised"
    theirs = PUBLISHED[key]["test_error"]
    low, high = theirs - tolerance, theirs + tolerance
    return Claim(
        name,
        statement,
        "section 5, table 3",
        f"test error {theirs:g} ± {tolerance:g} % (the paper's is {theirs:g})",
        (Check("test error", TEST_ERROR, (cell,), at_least=low, at_most=high, exact=not random),),
    )


def published_norm(name: str, statement: str, cell: str) -> Claim:
    """A norm is within a tenth of the paper's."""
    dataset, preprocessing, *_ = cell.split("/")
    theirs = PUBLISHED[dataset, preprocessing, False]["norm"]
    low, high = 0.9 * theirs, 1.1 * theirs
    return Claim(
        name,
        statement,
        "section 5",
        f"norm from {low:g} to {high:g} (the paper's is about {theirs:g}, and it does not define its norm)",
        (exact("norm", value("norm"), cell, at_least=low, at_most=high),),
    )


EXPRESSIVITY = (
    Claim(
        "finite_sample_expressivity",
        "A two-layer ReLU network with 2n + d weights fits any labels of n images in d dimensions.",
        "section 4, theorem 1",
        "true and random labels: 0 weights more than 2n + d, largest error ≤ 0.01 (labels are whole numbers)",
        (
            of_networks("weights beyond 2n + d", more_weights, at_most=0),
            of_networks("largest error", value("largest_error"), at_most=0.01),
        ),
    ),
    Claim(
        "smallest_eigenvalue",
        "The triangular matrix has full rank; its smallest eigenvalue is the least distance of a projection "
        "from its threshold.",
        "appendix C, lemma 1",
        "computed smallest eigenvalue divided by min(x − b) differs from 1 by ≤ 1e-6; min(x − b) > 0",
        (
            of_networks("ratio − 1", eigenvalue_error, at_most=1e-6),
            of_networks("min(x − b)", value("smallest_diagonal"), worst=np.min, above=0),
        ),
    ),
    Claim(
        "depth_for_width",
        "A ReLU network of depth k with width O(n / k) and O(n + d) weights fits any labels as well.",
        "section 4, appendix C, corollary 1",
        "all depths: width ≤ 3 n / k, weights ≤ 4 (n + d), largest error ≤ 0.01",
        (
            of_networks("width k / n", relative_width, deep=True, at_most=3),
            of_networks("weights / (n + d)", relative_connections, deep=True, at_most=4),
            of_networks("largest error", value("largest_error"), deep=True, at_most=0.01),
        ),
    ),
)
LINEAR_MODELS = (
    Claim(
        "exact_fit_of_mnist",
        "A linear model with a kernel fits all training labels of MNIST exactly.",
        "section 5",
        "training error 0 %, misfit ‖Y − f(X)‖ / ‖Y‖ ≤ 0.001",
        (
            exact("training error", value("train_error"), PIXELS, at_most=0),
            exact("misfit", value("misfit"), PIXELS, at_most=0.001),
        ),
    ),
    published_error(
        "mnist_pixels_error", "The exact fit on the pixels of MNIST has a test error of 1.2 %.", PIXELS, 0.1
    ),
    published_error(
        "mnist_gabor_error", "The exact fit on Gabor features of MNIST has a test error of 0.6 %.", GABOR, 0.2
    ),
    published_error(
        "cifar10_pixels_error",
        "The exact fit on the pixels of CIFAR-10 has a test error of 46 %.",
        CIFAR10,
        2,
    ),
    published_error(
        "cifar10_convnet_error",
        "The exact fit on 32,000 random convolutional filters has a test error of 17 %.",
        f"cifar10/{CONVNET}/linear/exact",
        1,
    ),
    published_error(
        "cifar10_convnet_penalty",
        "An l2 penalty brings the test error on 32,000 random filters to 15 %.",
        f"cifar10/{CONVNET}/linear/penalised",
        1,
    ),
    Claim(
        "mnist_penalty_gains_nothing",
        "On MNIST an l2 penalty improves the test error neither on pixels nor on Gabor features.",
        "section 5",
        "pixels and Gabor features: test error with a penalty minus without ≥ −0.1 points (the paper gives "
        "errors to 0.1)",
        tuple(
            exact(label, difference("test_error"), cell.replace("exact", "penalised"), cell, at_least=-0.1)
            for label, cell in (("pixels", PIXELS), ("Gabor features", GABOR))
        ),
    ),
    Claim(
        "kernels_fit_any_labels",
        "Linear models with a kernel fit any labels exactly, random ones and those of CIFAR-10 too.",
        "section 5",
        "Gabor features of MNIST, pixels of CIFAR-10, random labels on pixels: misfit ‖Y − f(X)‖ / ‖Y‖ ≤ 0.001",
        (
            exact("Gabor features", value("misfit"), GABOR, at_most=0.001),
            exact("CIFAR-10", value("misfit"), CIFAR10, at_most=0.001),
            exact("random labels", lambda record: record["random_labels"]["residual"], OTHERS, at_most=0.001),
        ),
    ),
    published_norm("mnist_pixels_norm", "The minimum norm on the pixels of MNIST is about 220.", PIXELS),
    published_norm("mnist_gabor_norm", "The minimum norm on Gabor features of MNIST is about 390.", GABOR),
    Claim(
        "norm_does_not_predict",
        "The norm does not predict the test error: Gabor features halve the error and raise the norm.",
        "section 5",
        "MNIST, Gabor divided by pixels: norm > 1, test error ≤ 2/3",
        (
            exact("norm", ratio("norm"), GABOR, PIXELS, above=1),
            exact("test error", ratio("test_error"), GABOR, PIXELS, at_most=2 / 3),
        ),
    ),
    Claim(
        "other_exact_fits",
        "Other exact fits, with centres elsewhere or with random labels forced on the test images, have "
        "larger norms and test errors.",
        "section 5",
        "pixels, smallest of both divided by that of the fit of minimum norm, all with a residual ≤ 0.001: norm > 1, "
        "test error > 1",
        (
            Check("norm", measured(lowest=0)(least_ratio("norm")), (OTHERS,), above=1),
            Check("test error", measured(ratio_step, 0)(least_ratio("test_error")), (OTHERS,), above=1),
        ),
    ),
    Claim(
        "sgd_finds_minimum_norm",
        "SGD from zero converges to the exact fit of minimum norm; from elsewhere it does not.",
        "section 5",
        "relative distance from X'(XX')⁻¹Y: from zero ≤ 0.01, from a random start ≥ 0.1",
        (
            Check("from zero", distance("zero"), ("descent",), at_most=0.01),
            Check("from a random start", distance("random"), ("descent",), at_least=0.1),
        ),
    ),
    Claim(
        "same_curvature",
        "All exact fits have the same curvature: the Hessian does not depend on w, and is degenerate.",
        "section 5",
        "relative difference of its products at different w ≤ 1e-9; dimension minus rank > 0",
        (
            exact("difference", value("hessian_difference"), "descent", at_most=1e-9),
            exact("dimension − rank", null_dimensions, "descent", above=0),
        ),
    ),
    Claim(
        "linear_kernel_cannot",
        "The raw pixels of MNIST have no exact linear fit: there are fewer pixels than images.",
        "beyond the paper",
        "linear kernel: rank ≤ 784, training error > 0 %",
        (
            exact("rank", value("rank"), LINEAR, at_most=784),
            exact("training error", value("train_error"), LINEAR, above=0),
        ),
    ),
    Claim(
        "more_filters_help",
        "With an l2 penalty the error falls with the number of random filters.",
        "beyond the paper",
        "test error with 1,000 minus that with 4,000 filters > 0 points",
        (Check("1,000 − 4,000 filters", ERROR_DIFFERENCE, FILTERS, above=0),),
    ),
)
THEORY_CLAIMS: tuple[Claim, ...] = EXPRESSIVITY + LINEAR_MODELS
# Below the table for readers.
THEORY_EXPLANATION = (
    "Where nothing is random, the one number decides. For the networks of theorem 1, the fit of random "
    "labels and the Hessian the lowest and the highest number over the seeds decide, in parentheses; there one "
    "seed is enough."
)


# ---- verdicts


def theory_runs(records: Sequence[Record]) -> dict[str, dict[int, Record]]:
    """Records by their name in claims: name -> seed -> record.

    Of several models or penalties with one name in claims, those listed first are taken, so that one more beside the
    paper's does not stand for it.
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
