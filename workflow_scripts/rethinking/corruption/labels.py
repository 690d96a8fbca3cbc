"""Labels replaced by random ones with probability p (section 2.1).

Label corruption is nested: an image corrupted at p is corrupted, with the same new label, at every larger p.
"""

import numpy as np

from rethinking.corruption import Draws
from rethinking.registry import corruption


@corruption("true_labels", p=0.0, also="labels_p0.0")
@corruption("random_labels", p=1.0, also="labels_p1.0")
@corruption("labels_p{p:0.0..1.0}")
def replace_labels(labels: np.ndarray, num_classes: int, draws: Draws, p: float) -> np.ndarray:
    """Replace each label with probability ``p`` by a class drawn uniformly from all classes.

    The new class may equal the old one, so the expected fraction of changed labels is
    p (1 - 1 / num_classes).

    Args:
        labels: (n,) int64.
        num_classes: classes to draw from.
        draws: random streams of the seed, data set and split.
        p: probability of replacement, 0 to 1.

    Returns:
        (n,) int64.
    """
    # Both draws are made for every image, whatever p is; this makes the corruptions nested.
    thresholds = draws("which labels").random(len(labels))
    replacements = draws("new labels").integers(num_classes, size=len(labels))
    return np.where(thresholds < p, replacements, labels)
