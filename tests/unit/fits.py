"""Fits of linear models to the images of the fixture ``digits``."""

from rethinking.config.theory import LinearModelConfig, SolverConfig
from rethinking.theory.features import Features
from rethinking.theory.linear_models import fit

from .tiny import CPU


def quiet(line):
    """Drop a line of the log."""


def scaled(images):
    """Pixels from 0 to 1, in a row for each image."""
    return images.reshape(len(images), -1) / 255


def pixels(images):
    """The same as features of a linear model."""
    return Features([images.reshape(len(images), -1)])


def linear_model(preprocessing, filters=None):
    """A linear kernel on some features of the digits."""
    return LinearModelConfig(
        name="x",
        dataset="digits",
        preprocessing=preprocessing,
        filters=filters,
        kernel="linear",
        penalties=[0],
    )


def solver(**changes):
    values = {"precision": "float32", "tile": 64, "residual": 1e-10, "iterations": 200}
    return SolverConfig(**values | changes)


def run(digits, gamma, penalty, folder, log=quiet, **changes):
    """Facts and outputs of a fit; a linear kernel has the gamma None."""
    train, labels, test, test_labels = digits
    given = pixels(train), pixels(test), labels, test_labels, 10, gamma, penalty
    return fit(*given, solver(**changes), folder, CPU, log)
