"""What Zhang et al. (2017) and talks about the paper say about CIFAR-10, each statement as a condition on cells.

A claim holds if all its checks hold. A check is a measure, the cells on which it is taken and the
bounds within which it must lie. Cells are named without data set, so that claims can be checked on another one.
The claims are in :mod:`.fitting`, :mod:`.regularisers` and :mod:`.capacity`, the measures in
:mod:`.measures`, the comparison in :mod:`.verdicts`, the table in :mod:`.report`.
"""

from rethinking.claims.capacity import CAPACITY
from rethinking.claims.fitting import (
    BEYOND_THE_PAPER,
    COURSE_OF_TRAINING,
    PARTLY_CORRUPTED_LABELS,
    RANDOM_LABELS,
)
from rethinking.claims.forms import Claim
from rethinking.claims.regularisers import REGULARISERS

CLAIMS: tuple[Claim, ...] = (
    RANDOM_LABELS + COURSE_OF_TRAINING + PARTLY_CORRUPTED_LABELS + REGULARISERS + CAPACITY + BEYOND_THE_PAPER
)
