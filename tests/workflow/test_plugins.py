"""The study of docs/extending.md, exactly as it is there, and a wrong plug-in."""

import shutil

import pytest

from ..unit.image_files import write_image
from .conftest import ROOT, Workflow


@pytest.fixture
def study(tmp_path):
    """A folder with the example study and some images."""
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    names = [(part, name) for part in 8 * ["train"] + 3 * ["test"] for name in ("circle", "cross", "square")]
    for number, (part, name) in enumerate(names):
        write_image(tmp_path / "shapes" / part / name / f"{number}.png", number, size=(10, 10))
    workflow = Workflow(tmp_path, None)
    workflow.config_file = tmp_path / "docs" / "examples" / "study.yaml"
    return workflow


def test_the_example_study_runs(study):
    study.succeed("--cores", "2")
    results = study.folder / "results" / "shapes"
    table = (results / "table1.md").read_text()
    assert "Wide ResNet 28-1" in table
    assert "asymmetric p0.4" in table
    assert "paper" not in table.lower()
    assert "Shapes, 24 training images; 2 epochs; 2 seeds" in table
    assert "l1 norm of the weights" in (results / "complexity.md").read_text()
    claims = (results / "claims.md").read_text()
    assert "The Wide ResNet fits asymmetric noise" in claims
    assert "random_labels" not in claims
    assert "Nothing to be done" in study.succeed("--cores", "2")
    # An edit of the noise affects only its own cells, an edit of the network affects all.
    noise = study.folder / "docs" / "examples" / "asymmetric_noise.py"
    noise.write_text(noise.read_text().replace("labels + 1", "labels + 2"))
    assert study.planned_cells() == [f"shapes/asymmetric_p0.4/wrn_28_1/none/seed{seed}" for seed in (0, 1)]
    network = study.folder / "docs" / "examples" / "wide_resnet.py"
    network.write_text(network.read_text().replace("F.relu(self.norm1(x))", "F.elu(self.norm1(x))"))
    assert len(study.planned_cells()) == 4


def test_a_wrong_plugin_ends_in_one_message(study):
    noise = study.folder / "docs" / "examples" / "asymmetric_noise.py"
    noise.write_text(noise.read_text().replace("asymmetric_p{p:0.0..1.0}", "labels_p{p:0.0..0.9}"))
    assert f"{noise}:9: the corruption 'labels_p{{p:0.0..0.9}}' is taken by" in study.fail("-n")
