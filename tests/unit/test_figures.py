"""What figures draw, from small synthetic curves, and the files that they are written to."""

import json
import subprocess
import sys
from pathlib import Path

import matplotlib.colors
import numpy as np
import pandas as pd
import pytest

from rethinking import figures, paper
from rethinking.cells import CORRUPTIONS
from rethinking.figures import Run, plot_fig1a, save
from rethinking.files import UserError

SCRIPTS = Path(figures.__file__).parents[1]
CELLS = [f"cifar10/{corruption}/inception/none" for corruption in CORRUPTIONS]
PAPER = {corruption: paper.curve(f"fig1a_{corruption}") for corruption in CORRUPTIONS}


def curve(losses, steps_per_epoch=16):
    epochs = np.arange(len(losses))
    return pd.DataFrame({"epoch": epochs, "step": epochs * steps_per_epoch, "train_loss": losses})


def finished(losses, **options):
    return Run(curve(losses, **options), diverged=False)


def plot(*runs, steps_per_epoch=391, note="Ours: a note."):
    """A figure in which the first cells have these runs and the others none."""
    cells = [(name, runs[index] if index < len(runs) else []) for index, name in enumerate(CELLS)]
    return plot_fig1a(cells, PAPER, steps_per_epoch, note)


def solid_lines(figure):
    return [line for line in figure.axes[0].lines if line.get_linestyle() == "-"]


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_line_is_the_mean_and_band_the_range():
    figure = plot([finished([3.0, 2.0, 1.0]), finished([2.0, 1.0, 0.6])])
    (line,) = solid_lines(figure)
    np.testing.assert_allclose(line.get_xydata(), [[0, 2.5], [1, 1.5], [2, 0.8]])
    (band,) = figure.axes[0].collections
    vertices = band.get_paths()[0].vertices
    at_last = vertices[vertices[:, 0] == 2, 1]
    assert (at_last.min(), at_last.max()) == pytest.approx((0.6, 1.0))
    assert figure.axes[0].get_xlim() == (0, 2)


def test_one_seed_has_no_band():
    figure = plot([finished([3.0, 2.0])], [finished([3.0, 2.5])])
    assert not figure.axes[0].collections
    assert legend(figure) == [*(name.replace("_", " ") for name in CORRUPTIONS), "ours", figures.PAPER_TITLE]


def test_paper_is_drawn_in_epochs_and_in_the_colour_of_ours():
    figure = plot([finished([2.4, 1.0])], [finished([2.4, 2.3])])
    dashed = [line for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert len(dashed) == len(CORRUPTIONS)
    np.testing.assert_allclose(dashed[1].get_ydata(), PAPER["random_labels"][:, 1])
    np.testing.assert_allclose(dashed[1].get_xdata()[:3], [1, 2, 3], atol=0.01)
    for ours, published in zip(solid_lines(figure), dashed, strict=False):
        assert matplotlib.colors.same_color(ours.get_color(), published.get_color())


def test_lines_differ_without_colour():
    figure = plot(*[[finished([2.4, 1.0])]] * len(CELLS))
    assert len({line.get_marker() for line in solid_lines(figure)}) == len(CELLS)


def test_diverged_seed_is_marked_and_not_in_the_mean():
    figure = plot([finished([2.5, 2.0, 1.0]), Run(curve([2.5, 900.0]), diverged=True)])
    mean, diverged = solid_lines(figure)
    np.testing.assert_allclose(mean.get_ydata(), [2.5, 2.0, 1.0])
    (mark,) = [line for line in figure.axes[0].lines if line.get_marker() == "x"]
    top = figure.axes[0].get_ylim()[1]
    assert top < 4  # not 900
    np.testing.assert_allclose(mark.get_xydata(), [[1, top]])
    np.testing.assert_allclose(diverged.get_ydata(), [2.5, top])
    assert "ours, diverged" in legend(figure)


def test_all_diverged_in_the_first_epoch():
    figure = plot([Run(curve([2.5]), diverged=True)])
    assert figure.axes[0].get_xlim()[1] == pytest.approx(68.5, abs=0.1)
    assert "ours" not in legend(figure)


def test_nothing_trained_shows_the_paper_alone():
    figure = plot()
    assert not solid_lines(figure)
    assert legend(figure)[-1] == figures.PAPER_TITLE


@pytest.mark.parametrize(("ours", "shown"), [(391, True), (16, False)])
def test_steps_are_shown_where_they_are_the_papers(ours, shown):
    figure = plot([finished([2.4, 1.0], steps_per_epoch=ours)])
    assert bool(figure.axes[0].child_axes) == shown


def test_labels_name_what_differs():
    names = ["digits/true_labels/mlp_1x512/none", "digits/random_labels/mlp_1x512/wd"]
    assert figures.short_labels(names) == ["true labels, none", "random labels, wd"]
    assert figures.short_labels(names[:1]) == ["true labels"]


def test_files(tmp_path):
    paths = [tmp_path / f"fig1a.{ending}" for ending in ("svg", "png", "pdf")]
    again = [path.with_stem("again") for path in paths]
    for targets in (paths, again):
        save(plot([finished([2.4, 1.0]), finished([2.5, 1.5])], note="Data that cost $5, not $6."), targets)
    for first, second in zip(paths, again, strict=True):
        assert first.stat().st_size > 5000
        assert first.read_bytes() == second.read_bytes()
    svg = paths[0].read_text()
    assert ">training loss (nats)</text>" in svg
    assert ">Data that cost $5, not $6.</text>" in svg
    assert b"/FontFile2" in paths[2].read_bytes()


def test_unknown_format(tmp_path):
    with pytest.raises(UserError, match=r"fig1a\.jpeg.*\.svg, \.png, \.pdf"):
        save(plot(), [tmp_path / "fig1a.jpeg"])


def test_script(tmp_path):
    folders = []
    for seed in (0, 1):
        folder = tmp_path / f"folder{seed}"
        folder.mkdir()
        curve([2.4, 1.0 + seed]).to_csv(folder / "curve.csv", index=False)
        summary = {
            "cell": f"{CELLS[1]}/seed{seed}",
            "status": "finished",
            **dict.fromkeys(("diverged_epoch", "diverged_step")),
            **dict.fromkeys(
                ("train_accuracy", "train_accuracy_online", "test_accuracy", "best_test_accuracy"), 50
            ),
            "parameters": 5,
            "provenance": {"settings": {"epochs": 1}},
            "data": {
                "dataset": "cifar10",
                "provenance": None,
                "source": {"kind": "official"},
                "train": {"count": 2000, "full_count": 50000},
                "test": {"count": 10000, "full_count": 10000},
            },
        }
        (folder / "summary.json").write_text(json.dumps(summary))
        folders.append(folder)
    command = [sys.executable, SCRIPTS / "plot_fig1a.py", "--cells", *CELLS, "--folders", *folders]
    subprocess.run([*command, "--output", tmp_path / "fig1a.svg"], check=True)
    svg = (tmp_path / "fig1a.svg").read_text()
    note = "Ours: Inception, CIFAR-10 (official), 2,000 of 50,000 training images; 1 epoch; 2 seeds."
    assert note in svg
    assert "ours, lowest to highest" in svg
