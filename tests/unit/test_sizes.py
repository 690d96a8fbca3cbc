"""Parameters and training images, compared with the paper's."""

import json

import pytest

from rethinking import paper
from rethinking.analysis.sizes import count_sizes
from rethinking.run.files import write_json

from ..summaries import make_data

MANIFESTS = {
    "cifar10": make_data(image_shape=[3, 32, 32]),
    "digits": make_data("digits", 100, 1437, image_shape=[1, 8, 8], source={"kind": "embedded", "files": {}}),
}


def network(dataset, model, input_size=28, **architecture):
    return {"dataset": dataset, "model": model, "input_size": input_size, "architecture": architecture}


NETWORKS = [
    network("cifar10", "mlp_1x512"),
    network("cifar10", "inception", batch_norm_affine=True),
    network("digits", "mlp_1x512", 7),
]


def count(networks=NETWORKS, manifests=MANIFESTS):
    return count_sizes(networks, manifests, paper.sizes())


def test_counts_beside_the_papers():
    table = count()
    # 3 x 28 x 28 = 2352 inputs, 512 hidden units, 10 classes; affine: two more per filter.
    assert table.parameters.tolist() == [2353 * 512 + 513 * 10, 1_649_402 + 2 * 1712, 50 * 512 + 513 * 10]
    assert table.paper_parameters.fillna(0).tolist() == [1_209_866, 1_649_402, 0]
    assert table.train_images.tolist() == [50_000, 50_000, 100]
    assert table.paper_train_images.fillna(0).tolist() == [50_000, 50_000, 0]
    assert table.parameters_per_image[0] == pytest.approx(24.2, abs=0.01)
    assert table.parameters_per_image[2] == pytest.approx(307.3)
    assert table.paper_parameters_per_image[1] == pytest.approx(32.99, abs=0.01)


def test_data_set_that_is_not_prepared_is_left_out():
    assert count(manifests={"digits": MANIFESTS["digits"]}).dataset.tolist() == ["digits"]


def test_script_and_text(script, render, tmp_path):
    paths = [tmp_path / name / "manifest.json" for name in MANIFESTS]
    for path, content in zip(paths, MANIFESTS.values(), strict=True):
        write_json(path, content)
    csv = tmp_path / "sizes.csv"
    script("count_sizes", networks=json.dumps(NETWORKS), manifests=paths, output=csv)
    text, latex = render("sizes", csv)
    lines = [[field.strip() for field in line.strip("|").split("|")] for line in text.splitlines()]
    assert lines[0][:5] == ["data set", "images", "model", "parameters p ours", "parameters p paper"]
    numbers = ["1,209,866", "1,209,866", "50,000", "50,000", "24.2", "24.2"]
    assert lines[2] == ["CIFAR-10", "28×28", "MLP 1×512", *numbers]
    assert lines[4] == ["digits", "7×7", "MLP 1×512", "30,730", "—", "100", "—", "307.3", "—"]
    assert "digits (scikit-learn), 100 of 1,437 training images" in text
    assert "—: not in the paper, or the data set is not here or has fewer classes." in text
    assert r"\multicolumn{2}{c}{training images n}" in latex
