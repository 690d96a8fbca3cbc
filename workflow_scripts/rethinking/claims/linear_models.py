"""Claims of section 5: linear models that fit exactly, the norm of the fit, and SGD."""

import math
from collections.abc import Callable

import numpy as np

from rethinking import paper
from rethinking.claims.forms import Claim
from rethinking.claims.measures import NotMeasured
from rethinking.claims.possible_values import measured
from rethinking.claims.records import Record, difference, error_step, exact, ratio, value
from rethinking.claims.verdicts import Check
from rethinking.theory import EXACT

PUBLISHED = paper.table3()
PIXELS, GABOR = "mnist/none/gaussian/exact", "mnist/gabor/gaussian/exact"
CIFAR10 = "cifar10/none/gaussian/exact"
OTHERS = "pixels/counterexamples"
CONVNET = "random_convnet_32000"  # the only features of the paper that are random
LINEAR = "mnist/none/linear/exact"
FILTERS = tuple(f"cifar10/random_convnet_{count}/linear/penalised" for count in (1000, 4000))


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
            exact("dimension − rank", lambda record: record["dimension"] - record["hessian_rank"], "descent", above=0),
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
