"""Figures of the theory."""

import itertools
import json
import math
import re
from typing import get_args

import pandas as pd
import pytest
import torch

from rethinking.config.theory import ExpressivityConfig
from rethinking.figures.theory import BITS, draw_descent, draw_filters, draw_precision, draw_sensitivity
from rethinking.run.files import UserError
from rethinking.run.identity import Identity, write_record

from ..summaries import make_data
from .curves import legend, note, painted
from .test_theory_claims import linear_model

PENALTIES = (0, 0.0001, 0.001, 0.01, 0.1, 1)
MODEL = {"name": "first", "dataset": "mnist", "preprocessing": "none", "kernel": "gaussian", "filters": None}
TRIED = {"model": "first", "validation_error": 3.0, "images": 5000, "validation_images": 50, "data": "any"}


def sensitivity(error):
    """Kernel fits at three gammas and all of :data:`PENALTIES` with this error, and their figure."""
    table = pd.DataFrame(itertools.product([0.1, 1, 10], PENALTIES), columns=["gamma", "penalty"]).assign(**TRIED)
    table.loc[0, "validation_error"] = error
    return draw_sensitivity([table], [MODEL])[0]


def convnets(errors, seeds):
    """Fits of random convolutional networks, of their filters, penalties and errors, which grow by one with the seed."""
    solved = dict.fromkeys(("gamma", "chosen")) | {"residual": 0.0, "solver": "any", "precision": "any"}
    records = []
    for (filters, penalty, error), seed in itertools.product(errors, seeds):
        fit = solved | {"features": 8 * filters + 1}
        record = linear_model("cifar10", "random_convnet", "linear", penalty, error + seed, seed, filters, **fit)
        records.append(record | {"model": f"{filters} {penalty}"})
    return records


def test_no_penalty_covers_another():
    """The exact fit, which most penalties leave as good as it is, is in front of them all."""
    figure = sensitivity(3.0)
    lines = figure.axes[0].get_lines()
    assert len(lines) == len(PENALTIES)
    assert max(lines, key=lambda line: line.get_zorder()) is lines[0]
    assert all(painted(figure.axes[0], line.get_color()) > 15 for line in lines)


@pytest.mark.parametrize("penalties", [[0.0], [0.1], [0.0, 0.1], PENALTIES])
def test_no_penalty_is_negative(penalties):
    table = pd.DataFrame({"penalty": penalties, "gamma": math.nan}).assign(**TRIED)
    axes = draw_sensitivity([table], [MODEL | {"kernel": "linear"}])[0].axes[0]
    low, high = axes.get_xlim()
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert ticks[0] == min(penalties)
    assert ticks[-1] == max(penalties)


def test_any_number_of_offsets_and_all_precisions_are_drawn():
    (precisions,) = map(get_args, get_args(ExpressivityConfig.model_fields["precisions"].annotation))
    assert {name: 1 - math.log2(torch.finfo(getattr(torch, name)).eps) for name in precisions} == BITS
    offsets = [number / 10 for number in range(1, 10)]
    rows = [
        {"n": n, "precision": name, "offset": offset, "largest_error": 0.1, "fitted": 100.0, "bits_needed": 13.0}
        for name, offset, n in itertools.product(precisions, offsets, (10, 100))
    ]
    figure, numbers = draw_precision([{"seed": 0, "precision": rows, "data": make_data()}])
    left, right = figure.axes
    assert len(numbers) == len(rows)
    assert len(left.lines) == len(rows) / 2 + 1
    assert [text.get_text() for text in right.texts] == list(BITS)
    assert [text for text in legend(figure) if "thresholds" in text] == [f"thresholds at {each:g}" for each in offsets]


def test_the_worst_seed_is_drawn_and_none_where_one_has_no_network():
    def record(seed, *errors):
        rows = [
            {
                "n": n,
                "precision": "float32",
                "offset": 0.5,
                "largest_error": error,
                "fitted": 1.0,
                "bits_needed": 9 + seed,
            }
            for n, error in zip((10, 100, 1000), errors, strict=True)
        ]
        return {"seed": seed, "precision": rows, "data": make_data()}

    figure, _ = draw_precision([record(0, 0.1, 0.0, 0.3), record(1, 0.2, 0.0, None)])
    (errors, half), (bits, stored) = (axes.lines for axes in figure.axes)
    assert errors.get_xdata().tolist() == [10, 100, 1000]
    assert errors.get_ydata() == pytest.approx([0.2, 1e-17, math.nan], nan_ok=True)
    assert bits.get_ydata().tolist() == [10, 10, 10]
    assert (half.get_ydata()[0], stored.get_ydata()[0]) == (0.5, 24)
    assert "Right: an estimate of the bits" in note(figure)
    with pytest.raises(UserError, match="its seeds differ in data"):
        draw_precision([record(0, 0.1, 0.0, 0.3), record(1, 0.2, 0.0, None) | {"data": make_data(train=10)}])


def test_distance_and_misfit_of_sgd_are_drawn_from_both_starts():
    tables, records = [], []
    for seed in (0, 1):
        rows = [
            {
                "start": start,
                "step": step,
                "distance": 1 / (step + 2) + seed + add,
                "residual": 1 / (step + 9) + seed + add,
            }
            for start, add in (("zero", 0), ("random", 5))
            for step in (0, 1, 10)
        ]
        tables.append(pd.DataFrame(rows))
        numbers = {
            "random_outside": 0.7 + seed,
            "minimum_norm_test_error": 40.0 + seed,
            "random_test_error": 50.0 + seed,
        }
        records.append(
            {"seed": seed, "data": make_data(), "images": 100, "hessian_rank": 100, "dimension": 3072, **numbers}
        )
        records[-1]["hessian_difference"] = 10.0 ** (seed - 12)
    figure, numbers = draw_descent(tables, records)
    left, right = figure.axes
    starts = [some[(some.start == start) & (some.step > 0)] for start in ("zero", "random") for some in tables]
    for axes, column in ((left, "distance"), (right, "residual")):
        for line, some in zip(axes.lines, starts, strict=False):
            assert line.get_xydata().tolist() == some[["step", column]].to_numpy().tolist()
    assert [line.get_ydata()[0] for line in left.lines[4:]] == [0.7, 1.7]
    assert len(numbers) == 12
    assert "Test error of w*: 40.0, 41.0 %, from the random start: 50.0, 51.0 %." in note(figure).replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert "is the same to 1e-11 and has rank 100 in 3,072 dimensions" in note(figure)
    with pytest.raises(UserError, match=r"its seeds differ in images \(100; 50\)"):
        draw_descent(tables, [records[0], records[1] | {"images": 50}])


@pytest.mark.parametrize(("error", "told"), [(3.0, False), (float("nan"), True)])
def test_missing_points_are_told_where_there_are_some(error, told):
    figure = sensitivity(error)
    assert ("Missing, because the kernel matrix is singular: 1 of 18 points." in note(figure)) is told
    assert ("singular" in note(figure)) is told


def test_each_panel_has_the_title_of_its_model():
    """Not all models need to have been tried."""
    third = {
        "name": "third",
        "dataset": "cifar10",
        "preprocessing": "random_convnet",
        "kernel": "linear",
        "filters": 1000,
    }
    models = [MODEL, MODEL | {"name": "second", "preprocessing": "gabor"}, third]
    first = pd.DataFrame(TRIED | {"gamma": [0.1, 1], "penalty": 0.0, "validation_error": [3.0, 4]})
    changes = {"model": "third", "gamma": None, "penalty": [0.1, 1], "validation_error": [40.0, 41]}
    third = pd.DataFrame(TRIED | changes)
    figure, numbers = draw_sensitivity([third, first], models)
    shown = {axes.get_title(): axes.get_lines()[0].get_ydata().max() for axes in figure.axes if axes.get_visible()}
    assert shown == {
        "CIFAR-10, random conv-net,\n1,000\N{NO-BREAK SPACE}filters\nLinear kernel": 41,
        "MNIST, pixels\nGaussian kernel": 4,
    }
    assert len(numbers) == 4
    assert "Fitted to 5,000 images of the training set; the error is on 50 others" in figure.get_supxlabel().replace(
        "\n", " "
    )


def test_a_panel_has_the_title_of_the_settings_that_its_table_was_made_from(script, tmp_path):
    """Not that of the settings that a model of this name has now."""
    tables = [tmp_path / name / "validation.csv" for name in ("first", "kept")]
    for path in tables:
        path.parent.mkdir()
        given = TRIED | {"model": path.parent.name, "gamma": None, "train_error": 0.0, "norm": 1.0}
        pd.DataFrame({"penalty": [0.0, 0.1]}).assign(**given).to_csv(path, index=False)
    then = {key: value for key, value in MODEL.items() if key != "name"}
    write_record(tables[:1], Identity({"seed": 0, "model": then | {"preprocessing": "gabor", "kernel": "linear"}}))
    models = json.dumps([MODEL, MODEL | {"name": "kept"}])
    made = {"images": tmp_path / "figure.svg", "numbers": tmp_path / "figure.csv"}
    script("plot_theory", figure="kernel_sensitivity", tables=tables, models=models, **made)
    shown = re.findall(r">((?:MNIST,|\w+ kernel)[^<]*)<", made["images"].read_text())
    assert shown == ["MNIST, Gabor\N{NO-BREAK SPACE}filters", "Linear kernel", "MNIST, pixels", "Gaussian kernel"]


def test_errors_over_filters():
    """Means over seeds for each number of filters, and the paper's errors at its own; a missing fit breaks the line."""
    errors = [(100, 0, 30.0), (100, 0.1, 28.0), (1000, 0.1, 25.0), (8000, 0, 20.0), (8000, 0.1, 19.0)]
    figure, numbers = draw_filters(convnets(errors, seeds=(0, 1)))
    left, right, *_ = figure.axes
    exact, theirs, penalised, theirs_penalised, enough = left.get_lines()
    assert exact.get_xdata().tolist() == [100, 1000, 8000]
    assert exact.get_ydata() == pytest.approx([30.5, float("nan"), 20.5], nan_ok=True)
    assert penalised.get_xydata().tolist() == [[100, 28.5], [1000, 25.5], [8000, 19.5]]
    assert set(map(tuple, theirs.get_xydata()[[0, 2]])) == {(32_000, 17.0)}
    assert set(map(tuple, theirs_penalised.get_xydata())) == {(32_000, 15.0)}
    assert theirs.get_zorder() > penalised.get_zorder()
    assert "A line breaks" in figure.get_supxlabel()
    assert enough.get_xdata()[0] == pytest.approx(60_000 / 8, rel=1e-2)
    assert right.get_lines()[0].get_ydata() == pytest.approx([0, float("nan"), 0], nan_ok=True)
    assert len(numbers) == 5
    bars = draw_filters(convnets([(100, 0, 1.0), (1000, 0, 99.0)], seeds=(0, 1)))[0].axes[0].collections[-1]
    low, high = (bar[:, 1].tolist() for bar in bars.get_segments())
    assert (low[0], high[1]) == (0, 100)  # no error is below or above


def test_equal_errors_with_and_without_a_penalty_are_seen():
    errors = itertools.product((100, 1000), (0, 0.1), [30.0])
    left = draw_filters(convnets(errors, seeds=[0]))[0].axes[0]
    exact, _, penalised, *_ = left.get_lines()
    left.set_xlim(50, 2000)  # without the paper's points
    assert painted(left, exact.get_color()) > 40 < painted(left, penalised.get_color())
