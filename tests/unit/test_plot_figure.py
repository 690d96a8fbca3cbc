"""The script that plots each figure, from folders of cells."""

from .curves import make_run, write_run

NAMES = [f"cifar10/{corruption}/inception/none" for corruption in ("true_labels", "random_labels")]


def test_scale_counts_cells_that_are_not_trained(script, tmp_path):
    accuracies = {"test_accuracy": [10.0, 80.0], "test_accuracy_corrupted": [10.0, 60.0]}
    write_run(tmp_path, make_run(NAMES[0], **accuracies))
    outputs = ["--images", tmp_path / "figure.svg", "--numbers", tmp_path / "figure.csv"]
    script("plot_figure", "--figure", "fig1c", "--cells", *NAMES, "--root", tmp_path, "--seeds", 0, *outputs)
    assert "1 epoch; 1 seed; 1 of 2 cells not trained;" in (tmp_path / "figure.svg").read_text()
