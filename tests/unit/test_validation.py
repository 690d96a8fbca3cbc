"""Gamma and penalty of a linear model are chosen on images that it is not fitted to."""

import numpy as np
import pandas as pd
import pytest

from rethinking.config.theory import ValidationConfig
from rethinking.run.files import UserError
from rethinking.theory.validation import best_setting, read_validation, validate, validation_split

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
    with pytest.raises(UserError, match="no gamma can be chosen"):
        best_setting(table.assign(validation_error=np.nan), "validated", 0)


@pytest.mark.parametrize("content", [b"", b"\xff\x00\xfe", b"gamma,penalty\n1,0\n"])
def test_damaged_table_is_named(tmp_path, content):
    (tmp_path / "validation.csv").write_bytes(content)
    with pytest.raises(UserError, match=r"validation\.csv cannot be read .*; delete it to have it made again$"):
        read_validation(tmp_path / "validation.csv")
