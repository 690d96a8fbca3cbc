"""The default configuration: the paper's experiments at full scale, with the evidence for each setting.

``stated`` is in the paper's text, ``inferred`` follows from its figures, its counts or the
software that it names, ``guessed`` is ours. ``paper_data/zhang2017.json`` has the evidence in full.
"""

from __future__ import annotations

from typing import Any, NamedTuple


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
    learning_rate: Setting, initialisation: Setting, weight_decay: Setting, weight_decay_on: Setting
) -> dict[str, Setting]:
    """Settings of one network."""
    return {
        "learning_rate": learning_rate,
        "initialisation": initialisation,
        "weight_decay": weight_decay,
        "weight_decay_on": weight_decay_on,
    }


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
FIG1A = ["true_labels", "random_labels", "shuffled_pixels", "random_pixels", "gaussian"]

SETTINGS: dict[str, Any] = {
    "results_dir": "results",
    "data_dir": None,
    "seeds": [0, 1, 2],
    "finished_only": False,
    "hardware": {"device": "auto", "threads": 1, "checkpoint_seconds": 60},
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
        "inception": network(stated(0.1, "appendix A"), HE, COMMON_DECAY, ON_WEIGHTS),
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
        ),
        "mlp_3x512": network(stated(0.01, "appendix A"), GLOROT, COMMON_DECAY, ON_WEIGHTS),
        "mlp_1x512": network(stated(0.01, "appendix A"), GLOROT, COMMON_DECAY, ON_WEIGHTS),
    },
    "overrides": [],
    "table1": {"cells": [f"cifar10/{cell}" for cell in TABLE1]},
    "fig1a": {"cells": [f"cifar10/{corruption}/inception/none" for corruption in FIG1A]},
}


def default_values(node: Any = SETTINGS) -> Any:
    """The default configuration as plain values."""
    if isinstance(node, Setting):
        return node.value
    if isinstance(node, dict):
        return {key: default_values(value) for key, value in node.items()}
    return node


def evidence(node: Any = SETTINGS, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Setting]:
    """Every setting with evidence, by its path in the configuration."""
    if isinstance(node, Setting):
        return {path: node}
    if isinstance(node, dict):
        return {
            key: value
            for name, child in node.items()
            for key, value in evidence(child, (*path, name)).items()
        }
    return {}
