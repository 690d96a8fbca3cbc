"""Asymmetric label noise: with probability p a label becomes the next class, and not any class."""

import numpy as np

from rethinking.registry import corruption


@corruption("asymmetric_p{p:0.0..1.0}")
def asymmetric(labels, num_classes, rng, p: float):
    """Labels (n,) -> labels (n,). All images draw whatever p is, so what is changed at p is changed at every larger p."""
    return np.where(rng.random(len(labels)) < p, (labels + 1) % num_classes, labels)
