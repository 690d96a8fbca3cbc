"""Gamma and penalty of a linear model are chosen on images that it is not fitted to."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

from rethinking.config.theory import ValidationConfig
from rethinking.run.files import UserError
from rethinking.theory.gram import kernel_between
from rethinking.theory.validation import COLUMNS, best_setting, read_validation, validate, validation_split

from .fits import pixels, quiet, run
from .tiny import CPU


def test_validation_part_is_none_of_the_fitted_images(digits):
    labels = np.sort(digits[1])  # as some data sets are sorted
    settings = ValidationConfig(train=150, test=50, penalties=[0])
    fitted, others = validation_split(labels, settings, "digits")
    assert (len(fitted), len(others)) == (150, 50)
    assert not set(fitted) & set(others)
    assert np.bincount(labels[fitted], minlength=10).min() >= 12
    assert np.bincount(labels[others], minlength=10).min() >= 4
    with pytest.raises(UserError, match="takes 200 \\+ 101 training images, but digits has 300"):
        validation_split(labels, settings.model_copy(update={"train": 200, "test": 101}), "digits")


def test_validation_agrees_with_the_solver(digits, tmp_path):
    train, labels, test, test_labels = digits
    some = pixels(train), pixels(test), labels, test_labels, 10
    table = validate(*some, [0.2], [0, 0.1], CPU, quiet)
    # Of the linear kernel, the unit of penalties is not 1.
    table = pd.concat([table, validate(*some, [None], [0.1], CPU, quiet)], ignore_index=True)
    for row in table.itertuples():
        gamma = None if np.isnan(row.gamma) else row.gamma
        facts, _ = run(digits, gamma, row.penalty, tmp_path / str(row.Index))
        assert (row.train_error, row.validation_error) == (facts["train_error"], facts["test_error"])
        assert row.norm == pytest.approx(facts["norm"], rel=1e-6)


def test_no_errors_are_reported_of_a_singular_matrix(digits):
    """Equal images of two classes have no exact fit, but with rounding their matrix can have a factor."""
    train, labels, test, test_labels = digits
    factors = 0
    for first in range(10):
        images, given = train.copy(), labels.copy()
        images[150], given[150] = images[first], (given[first] + 1) % 10
        features = pixels(images)
        gammas = [None, 0.03, 0.1, 0.3]
        table = validate(features, pixels(test), given, test_labels, 10, gammas, [0, 1e-4], CPU, quiet)
        assert table.validation_error.isna().tolist() == 4 * [True, False]
        assert table.train_error.isna().equals(table.norm.isna())
        for gamma in gammas[1:]:
            matrix = kernel_between(*2 * [features.read(slice(None), CPU, torch.float64)], gamma)
            factors += int(torch.linalg.cholesky_ex(matrix).info) == 0
    assert factors


def test_settings_are_chosen_by_validation_error():
    table = pd.DataFrame(
        {
            "gamma": [1.0, 1.0, 2.0, 2.0],
            "penalty": [0.0, 0.1, 0.0, 0.1],
            "validation_error": [5.0, 1.0, 4.0, 3.0],
        }
    )
    assert best_setting(table, "validated", 0) == (2.0, 0)
    assert best_setting(table, "validated", "validated") == (2.0, 0.1)
    assert best_setting(table, 1.0, "validated") == (1.0, 0.1)
    better = table.assign(validation_error=[0.5, 1.0, 4.0, 3.0])
    assert best_setting(better, "validated", "validated") == (1.0, 0.1)  # a penalty is above 0
    # No gamma has an exact fit, or some have.
    assert best_setting(table.assign(validation_error=[np.nan, 1.0, np.nan, 3.0]), "validated", 0.1) == (1.0, 0.1)
    assert best_setting(table.assign(validation_error=[np.nan, 1.0, 4.0, 3.0]), "validated", 0) == (2.0, 0)
    with pytest.raises(UserError, match="no gamma can be chosen"):
        best_setting(table.assign(validation_error=np.nan), "validated", 0)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\x00\xfe", b"gamma,penalty\n1,0\n", b",".join(map(str.encode, COLUMNS)) + b"\n"]
)
def test_damaged_table_is_named(tmp_path, content):
    (tmp_path / "validation.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"validation\.csv (cannot be read|has no) .*; delete it to have"):
        read_validation(tmp_path / "validation.csv")


def test_zeros_from_a_disk_hide_no_row(tmp_path):
    """From the quoted text of a row to that of the next they make one row of two."""
    table = pd.DataFrame({**{key: [0.0, 1.0, 2.0] for key in COLUMNS}, "data": "1,000 of 2,000 images"})
    path = tmp_path / "validation.csv"
    table.to_csv(path, index=False)
    pd.testing.assert_frame_equal(read_validation(path)[COLUMNS], table[COLUMNS])
    content = path.read_bytes()
    start, end = (place.start() for place in list(re.finditer(b" of ", content))[:2])
    path.write_bytes(content[:start] + bytes(end - start) + content[end:])
    assert len(pd.read_csv(path)) == 2
    with pytest.raises(UserError, match=r"validation\.csv cannot be read .some of its bytes are zero.; delete it"):
        read_validation(path)
