"""Figures of the theory."""

import pandas as pd

from rethinking.theory_figures import draw_sensitivity


def test_each_panel_has_the_title_of_its_model():
    """Not all models need to have been tried."""
    models = [
        {"name": "first", "dataset": "mnist", "preprocessing": "none", "kernel": "gaussian", "filters": None},
        {
            "name": "second",
            "dataset": "mnist",
            "preprocessing": "gabor",
            "kernel": "gaussian",
            "filters": None,
        },
        {
            "name": "third",
            "dataset": "cifar10",
            "preprocessing": "random_convnet",
            "kernel": "linear",
            "filters": 1000,
        },
    ]
    common = {"norm": 1.0, "images": 100, "validation_images": 50, "data": "any"}
    third = pd.DataFrame(
        {"model": "third", "gamma": None, "penalty": [0.1, 1], "validation_error": [40.0, 41], **common}
    )
    first = pd.DataFrame(
        {"model": "first", "gamma": [0.1, 1], "penalty": 0.0, "validation_error": [3.0, 4], **common}
    )
    figure, numbers = draw_sensitivity([third, first], models)
    shown = {
        axes.get_title(): axes.get_lines()[0].get_ydata().max() for axes in figure.axes if axes.get_visible()
    }
    assert shown == {
        "CIFAR-10, random conv-net,\n1,000 filters\nLinear kernel": 41,
        "MNIST, none (pixels)\nGaussian kernel": 4,
    }
    assert len(numbers) == 4
