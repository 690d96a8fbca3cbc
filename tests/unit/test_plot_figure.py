"""The script that plots each figure, from folders of cells."""

import pandas as pd
import pytest

from .curves import make_run, write_run

NAME = "cifar10/{}/inception/none".format
EPOCHS = {
    "train_loss": [2.4, 1.0],
    "train_accuracy": [10.0, 99.0],
    "train_loss_end": [2.4, 0.9],
    "train_accuracy_end": [10.0, 100.0],
    "test_accuracy": [10.0, 80.0],
    "test_accuracy_corrupted": [10.0, 60.0],
}
CHANGED = {
    "unchanged_accuracy": [60.0],
    "changed_accuracy_given": [10.0],
    "changed_accuracy_true": [50.0],
}


@pytest.mark.parametrize(
    ("figure", "corruption", "rows"),
    [
        ("fig1a", "random_labels", 2),
        ("fig1b", "true_labels", 8),
        ("fig1c", "random_labels", 2),
        ("fig2b", "true_labels", 3),
        ("memorisation", "labels_p0.5", 3),
    ],
)
def test_images_and_numbers_say_their_scale(script, tmp_path, figure, corruption, rows):
    name, columns, table = NAME(corruption), EPOCHS, "curve"
    if figure == "memorisation":
        columns, table = CHANGED, "memorisation"
    for seed in (0, 1):
        write_run(tmp_path, make_run(name, seed, **columns), table)
    arguments = ["--figure", figure, "--cells", name, "--root", tmp_path, "--seeds", 0, 1]
    outputs = ["--images", tmp_path / "figure.svg", "--numbers", tmp_path / "figure.csv"]
    script("plot_figure", *arguments, *outputs)
    svg = (tmp_path / "figure.svg").read_text()
    scale = "Ours: Inception, CIFAR-10 (exact), 2,000 of 50,000 training images; 1 epoch; 2 seeds"
    assert scale in svg
    assert "ours, 95% interval" in svg
    numbers = pd.read_csv(tmp_path / "figure.csv")
    assert len(numbers) == rows
    assert set(numbers.seeds) == {2}
    assert set(numbers.data) == {"CIFAR-10 (exact), 2,000 of 50,000 training images"}


def test_scale_counts_cells_that_are_not_trained(script, tmp_path):
    names = [NAME("true_labels"), NAME("random_labels")]
    write_run(tmp_path, make_run(names[0], **EPOCHS))
    outputs = ["--images", tmp_path / "figure.svg", "--numbers", tmp_path / "figure.csv"]
    script("plot_figure", "--figure", "fig1c", "--cells", *names, "--root", tmp_path, "--seeds", 0, *outputs)
    assert "1 epoch; 1 seed; 1 of 2 cells not trained;" in (tmp_path / "figure.svg").read_text()
