"""The default configuration: the paper's experiments at full scale, with the evidence for each setting.

``stated`` is in the paper's text, ``inferred`` follows from its figures, its counts or the
software that it names, ``guessed`` is ours. ``paper/data/zhang2017.json`` has the evidence in full.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rethinking.cells import canonical_name


class Setting(NamedTuple):
    """A value and where it comes from."""

    value: Any
    status: str
    evidence: str


def stated(value: Any, evidence: str) -> Setting:
    """A setting that the paper's text gives."""
    return Setting(value, "stated", evidence)


def inferred(value: Any, evidence: str) -> Setting:
    """A setting that follows from what the paper shows."""
    return Setting(value, "inferred", evidence)


def guessed(value: Any, evidence: str) -> Setting:
    """A setting that the paper leaves open."""
    return Setting(value, "guessed", evidence)


def network(
    learning_rate: Setting,
    initialisation: Setting,
    weight_decay: Setting,
    weight_decay_on: Setting,
    **architecture: Setting,
) -> dict[str, Any]:
    """Settings of one network."""
    values = {
        "learning_rate": learning_rate,
        "initialisation": initialisation,
        "weight_decay": weight_decay,
        "weight_decay_on": weight_decay_on,
    }
    return values | ({"architecture": architecture} if architecture else {})


def ablation(name: str, question: str, cells: list[str], **changes: Any) -> dict[str, Any]:
    """A variant of some cells of CIFAR-10."""
    return {
        "name": name,
        "question": question,
        "cells": [f"cifar10/{cell}" for cell in cells],
        "set": changes,
    }


def true_and_random(model: str, regularisers: str = "none") -> list[str]:
    """A network on true labels and on random ones."""
    return [f"{labels}_labels/{model}/{regularisers}" for labels in ("true", "random")]


GLOROT = guessed("glorot_uniform", "not in the paper; the default of TensorFlow, which it used")
HE = guessed("he_normal", "not in the paper; glorot_uniform shrinks the signal over eleven layers of ReLUs")
COMMON_DECAY = guessed(0.0005, "the paper says 'default coefficient'; this is the usual one")
ON_WEIGHTS = guessed("weights", "not in the paper")

TABLE1 = [
    *(f"true_labels/inception/{regularisers}" for regularisers in ("crop+wd", "crop", "wd", "none")),
    "random_labels/inception/none",
    *(f"true_labels/inception_no_bn/{regularisers}" for regularisers in ("wd", "none")),
    "random_labels/inception_no_bn/none",
    *(f"true_labels/alexnet/{regularisers}" for regularisers in ("crop+wd", "crop", "wd", "none")),
    "random_labels/alexnet/none",
    *(
        cell
        for model in ("mlp_3x512", "mlp_1x512")
        for cell in (f"true_labels/{model}/wd", f"true_labels/{model}/none", f"random_labels/{model}/none")
    ),
]
TABLE4 = [
    *(f"{model}/wd" for model in ("inception", "alexnet", "mlp_3x512", "mlp_1x512")),
    "inception/crop",
    "inception/augment",
]
PARTIAL = [
    f"labels_p{tenth / 10}/{model}/none"
    for model in ("inception", "alexnet", "mlp_1x512")
    for tenth in range(11)
]
LONGER = {
    "learning_rate_decay": stated(0.999, "table 4, footnote, for its rows with cropping and augmentation"),
    "epochs": guessed(400, "the footnote of table 4 says only 'more epochs'"),
}
FIG1A = ["true_labels", "random_labels", "shuffled_pixels", "random_pixels", "gaussian"]
EVERY_CELL = [
    *TABLE1,
    *(f"random_labels/{cell}" for cell in TABLE4),
    *(f"{corruption}/inception/none" for corruption in FIG1A),
    *PARTIAL,
]
NETWORKS = ("inception", "inception_no_bn", "alexnet", "mlp_3x512", "mlp_1x512")
CAPACITY = [
    *(
        f"{kind}_signs_n{n}/{model}/none"
        for model in NETWORKS
        for n in (500, 5000, 50000)
        for kind in ("random", "true")
    ),
    *(
        f"{kind}_labels{replaced}/{model}/none"
        for model in NETWORKS
        for kind in ("true", "random")
        for replaced in ("", "_replaced0")
    ),
]

# Where weight decay keeps AlexNet from fitting random labels (table 4), and whether true labels are fitted there.
DECAY_GRID = [
    (0.0001, "weights"),
    *(
        (coefficient, on)
        for on in ("weights", "hidden_linear")
        for coefficient in (0.0005, 0.001, 0.002, 0.004)
    ),
]
ABLATIONS = [
    *(
        ablation(
            f"alexnet_decay_{coefficient:g}_{on}",
            "From which weight decay on does AlexNet fail on random labels, as in table 4?",
            true_and_random("alexnet", "wd"),
            weight_decay=coefficient,
            weight_decay_on=on,
        )
        for coefficient, on in DECAY_GRID
        if (coefficient, on) != (0.004, "hidden_linear")  # the cells themselves
    ),
    *(
        ablation(
            f"decay_{coefficient:g}",
            "Does it matter which 'default coefficient' of weight decay is meant?",
            [*true_and_random("inception", "wd"), *true_and_random("mlp_1x512", "wd")],
            weight_decay=coefficient,
        )
        for coefficient in (0.0001, 0.001)
    ),
    *(
        ablation(
            f"no_bn_learning_rate_{rate:g}",
            "Does the Inception without batch normalisation train at larger learning rates?",
            true_and_random("inception_no_bn"),
            learning_rate=rate,
        )
        for rate in (0.05, 0.1)
    ),
    *(
        ablation(
            f"initialisation_{scheme}",
            "Do the results depend on how weights are initialised?",
            [cell for model in models for cell in true_and_random(model)],
            initialisation=scheme,
        )
        for scheme, models in {
            "glorot_uniform": ["inception", "inception_no_bn"],
            "he_normal": ["alexnet", "mlp_1x512"],
            "lecun_uniform": ["inception", "inception_no_bn", "alexnet", "mlp_1x512"],
        }.items()
    ),
    ablation(
        "no_local_response_norm",
        "Does AlexNet need its local response normalisation?",
        true_and_random("alexnet"),
        architecture={"local_response_norm": False},
    ),
    ablation(
        "batch_norm_affine",
        "Does a trained scale and shift in batch normalisation, which today is usual, change the Inception?",
        true_and_random("inception"),
        architecture={"batch_norm_affine": True},
    ),
    # The crops of TensorFlow's tutorial, from which the paper's AlexNet is. For the Inception, whose number of
    # parameters does not depend on the size; AlexNet has the paper's number at 28x28 alone.
    ablation(
        "crops_of_24",
        "Does random cropping to 24x24 in place of 28x28, with 81 places in place of 25, change its effect?",
        true_and_random("inception", "crop"),
        input_size=24,
    ),
]

VALIDATED = "the paper gives none; chosen on a validation part of the training set"
FEWER = "ours, to see the error fall with the number of filters"


def convnet(name: str, filters: Setting) -> dict[str, Any]:
    """Least squares on a random convolutional network of Coates and Ng's kind."""
    return {
        "name": name,
        "dataset": "cifar10",
        "preprocessing": inferred(
            "random_convnet", "section 5, footnote 2: Coates and Ng's, filters at random"
        ),
        "kernel": inferred("linear", "a linear model on its features"),
        "filters": filters,
        "penalties": [0, "validated"],
    }


EXPRESSIVITY = {
    "dataset": "cifar10",
    "drop_duplicates": False,
    "offset": guessed(0.25, "lemma 1 allows any place; from 0.5 on the solution is badly conditioned"),
    "depths": [2, 3, 6, 11, 51],
    "sizes": [10, 30, 100, 300, 1000, 3000, 10000, 30000, 50000],
    "offsets": [0.25, 0.5],
    "precisions": ["float16", "float32", "float64"],
}
LINEAR_MODELS = {
    "models": [
        {
            "name": "mnist_pixels",
            "dataset": "mnist",
            "preprocessing": stated("none", "section 5: no preprocessing"),
            "kernel": inferred(
                "gaussian", "the linear Gram matrix of MNIST has rank 784 at most: no exact fit"
            ),
            "gamma": inferred(0.02, "reported by the first author"),
            "gammas": [0.005, 0.01, 0.02, 0.04, 0.08],
            "penalties": [0],
        },
        {
            "name": "mnist_gabor",
            "dataset": "mnist",
            "preprocessing": stated("gabor", "section 5: Gabor wavelet transform"),
            "kernel": inferred("gaussian", "as for pixels"),
            "gamma": guessed("validated", VALIDATED),
            "gammas": [0.125, 0.25, 0.5, 1, 2],
            "penalties": [0],
        },
        {
            "name": "mnist_pixels_linear",
            "dataset": "mnist",
            "preprocessing": stated("none", "section 5: no preprocessing"),
            "kernel": guessed("linear", "ours, to show that pixels as they are have no exact fit"),
            "penalties": [0],
        },
        {
            "name": "cifar10_pixels",
            "dataset": "cifar10",
            "preprocessing": stated("none", "section 5: no preprocessing"),
            "kernel": stated("gaussian", "section 5: Gaussian kernel on pixels"),
            "gamma": guessed("validated", VALIDATED),
            "gammas": [0.0025, 0.005, 0.01, 0.02, 0.04],
            "penalties": [0],
        },
        convnet("cifar10_convnet_1000", guessed(1000, FEWER)),
        convnet("cifar10_convnet_4000", guessed(4000, FEWER)),
        convnet("cifar10_convnet", stated(32000, "section 5: 32,000 random filters")),
    ],
    "solver": {
        "precision": "auto",
        "tile": 4096,
        "residual": 1e-6,
        "iterations": 100,
    },
    "validation": {"train": 5000, "test": 5000, "penalties": [0, 1e-4, 1e-3, 0.01, 0.1, 1]},
    "counterexamples": {"models": ["mnist_pixels", "mnist_gabor"], "train": 5000, "test": 2000},
    "descent": {"dataset": "cifar10", "images": 200, "epochs": 1000, "batch_size": 1},
}

SETTINGS: dict[str, Any] = {
    "results_dir": "results",
    "data_dir": None,
    "cache_dir": None,
    "seeds": [0, 1, 2],
    "finished_only": False,
    "hardware": {"device": "auto", "cells_per_gpu": 1, "threads": 1, "checkpoint_seconds": 60},
    "datasets": {
        "cifar10": {
            "source": "official",
            "input_size": stated(28, "appendix A: centre crop to 28x28"),
        },
        "cifar100": {
            "source": "official",
            "input_size": guessed(28, "not in the paper; as for CIFAR-10"),
        },
        "mnist": {
            "source": "official",
            "input_size": guessed(24, "not in the paper; leaves room for random cropping"),
        },
        "digits": {
            "source": "embedded",
            "input_size": guessed(7, "not in the paper; 7 of 8 pixels, as 28 of 32"),
        },
    },
    "training": {
        "epochs": guessed(100, "figure 1a spans 69 epochs, figure 2b 51, table 4 says more"),
        "batch_size": inferred(128, "figure 1a has a point every 390.6 steps = 50,000 / 128"),
        "learning_rate_decay": stated(0.95, "appendix A"),
        "momentum": stated(0.9, "appendix A"),
        "precision": guessed("float32", "not in the paper"),
        "thresholds": [99.0, 99.9, 100.0],
    },
    "models": {
        "inception": network(
            stated(0.1, "appendix A"),
            HE,
            COMMON_DECAY,
            ON_WEIGHTS,
            batch_norm_affine=inferred(
                False, "with scale and shift there are more than 1,649,402 parameters"
            ),
        ),
        "inception_no_bn": network(
            guessed(0.01, "not in the paper; at 0.1 the network without batch normalisation does not train"),
            HE,
            COMMON_DECAY,
            ON_WEIGHTS,
        ),
        "alexnet": network(
            stated(0.01, "appendix A"),
            GLOROT,
            inferred(
                0.004, "TensorFlow's CIFAR-10 tutorial; with it random labels are not fitted, as in table 4"
            ),
            inferred("hidden_linear", "TensorFlow's CIFAR-10 tutorial"),
            local_response_norm=stated(True, "appendix A; its constants are the tutorial's"),
        ),
        "mlp_3x512": network(stated(0.01, "appendix A"), GLOROT, COMMON_DECAY, ON_WEIGHTS),
        "mlp_1x512": network(stated(0.01, "appendix A"), GLOROT, COMMON_DECAY, ON_WEIGHTS),
    },
    "overrides": [
        {"cells": f"cifar10/random_labels/inception/{regularisers}", "set": LONGER}
        for regularisers in ("crop", "augment")
    ],
    "table1": {"cells": [f"cifar10/{cell}" for cell in TABLE1]},
    "table4": {"cells": [f"cifar10/random_labels/{cell}" for cell in TABLE4]},
    "fig1a": {"cells": [f"cifar10/{corruption}/inception/none" for corruption in FIG1A]},
    "fig1b": {"cells": [f"cifar10/{cell}" for cell in PARTIAL]},
    "fig1c": {"cells": [f"cifar10/{cell}" for cell in PARTIAL]},
    "fig2b": {"cells": [f"cifar10/true_labels/{model}/none" for model in ("inception", "inception_no_bn")]},
    "memorisation": {
        "cells": [
            f"cifar10/labels_p{p}/{model}/none"
            for model in ("inception", "alexnet", "mlp_1x512")
            for p in (0.2, 0.5, 0.8)
        ]
    },
    "capacity": {"cells": [f"cifar10/{cell}" for cell in CAPACITY]},
    # All networks without other settings that the paper's tables and figures need anyway.
    "complexity": {
        "cells": [f"cifar10/{cell}" for cell in dict.fromkeys(map(canonical_name, EVERY_CELL))],
        "images": 1000,
        "draws": 5,
    },
    "ablations": ABLATIONS,
    "expressivity": EXPRESSIVITY,
    "linear_models": LINEAR_MODELS,
}


def default_values(node: Any = SETTINGS) -> Any:
    """The default configuration as plain values."""
    if isinstance(node, Setting):
        return node.value
    if isinstance(node, dict):
        return {key: default_values(value) for key, value in node.items()}
    if isinstance(node, list):
        return [default_values(value) for value in node]
    return node


def evidence(node: Any = SETTINGS, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Setting]:
    """Every setting with evidence, by its path (keys, and places in lists) in the configuration."""
    if isinstance(node, Setting):
        return {path: node}
    if isinstance(node, dict | list):
        children = node.items() if isinstance(node, dict) else enumerate(node)
        return {
            key: value for name, child in children for key, value in evidence(child, (*path, name)).items()
        }
    return {}
