"""A second checkout takes finished cells from the first one's cache."""

from .conftest import TINY, Workflow

CELL = "digits/random_labels/mlp_1x512/none/seed0"
TARGET = f"results/cells/{CELL}/summary.json"


def test_cells_are_shared(tmp_path):
    config = TINY | {"cache_dir": str(tmp_path / "a cache")}
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
    Workflow(first, config).succeed(TARGET, "--cores", "1")
    Workflow(second, config).succeed(TARGET, "--cores", "1")
    log = (second / f"results/logs/cells/{CELL}.log").read_text()
    assert "taken from" in log
    assert "first step" not in log
    for name in ("summary.json", "weights.safetensors"):
        folder = f"results/cells/{CELL}"
        assert (first / folder / name).read_bytes() == (second / folder / name).read_bytes()
