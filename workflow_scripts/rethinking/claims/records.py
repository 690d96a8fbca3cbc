"""Measures of the records of the theory, each of one seed, and checks of them."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from rethinking.claims.verdicts import Check

Record = Mapping[str, Any]


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


def exact(label: str, measure: Callable[..., float], *cells: str, **bounds: float) -> Check:
    """A check that every seed must meet, so that one is enough: the lowest and the highest of the seeds are compared."""
    return Check(label, measure, cells, exact=True, **bounds)
