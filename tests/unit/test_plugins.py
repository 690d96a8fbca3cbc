"""What plug-ins add: corruptions, regularisers, networks and claims; the files that they may consist of."""

import gzip
import pickle
import signal

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from rethinking import registry
from rethinking.analysis.runs import Run
from rethinking.cells import Cell
from rethinking.claims.own import own_claims
from rethinking.claims.report import claims_table, judge
from rethinking.claims.verdicts import examine
from rethinking.config.loading import load_config
from rethinking.corruption.overlays import write
from rethinking.data.published import read_published
from rethinking.measures.complexity import Network, measure_complexity
from rethinking.models import build_model
from rethinking.run import stop_signals
from rethinking.run.files import UserError, load_array
from rethinking.run.plan import Plan
from rethinking.streams import stream
from rethinking.tables.beyond import TAU_TITLES, note_complexity
from rethinking.training.feeders import build_feeder

from ..default_config import default_values, load
from .tiny import CPU, make_cell, settings_with, train, without_seconds


@pytest.mark.parametrize("body", ["return images // s", "images //= s\n    return images"])
def test_pixels_can_be_corrupted(plugin, prepared, tmp_path, body):
    plugin(f"@corruption('dim_s{{s:1..}}')\ndef dim(images, s: int):\n    {body}\n")
    write(prepared, tmp_path, "dim_s3", "cifar10", seed=0)
    before = np.array(load_array(prepared / "train_images.npy"))
    np.testing.assert_array_equal(load_array(tmp_path / "train_images.npy"), before // 3)
    for wrong in ("dim_s0", "dim_s03", "dim_s1.5", "dim_s"):
        with pytest.raises(UserError, match="unknown corruption"):
            Cell.from_name(f"cifar10/{wrong}/mlp_1x512/none", 0)


def test_bounds_that_leave_out_the_usual_numbers_have_names(plugin):
    plugin("@corruption('shift_n{n:1..5}')\ndef shift(labels, n: int): ...\n")
    assert "shift_n5" in registry.entry("corruption", "shift_n3").examples()


def test_a_regulariser_changes_batches(plugin, data):
    plugin("@regulariser('dark')\ndef dark(images, rng):\n    return images * float(rng.random())\n")
    dark = make_cell(regularisers="dark")
    first, second = (train(data, dark, epochs=1) for _ in range(2))
    assert without_seconds(first.curve) == without_seconds(second.curve)
    assert first.curve[-1]["train_loss"] != train(data, epochs=1).curve[-1]["train_loss"]
    assert make_cell(regularisers="crop+dark").regularisers == ("crop", "dark")


def test_each_batch_has_its_own_draws_of_a_regulariser(plugin, data):
    """It is given images after they are cropped and whitened, which would remove a constant."""
    plugin(
        "@regulariser('one')\ndef one(images, rng):\n    return 0 * images + rng.random()\n"
        "@regulariser('two')\ndef two(images, rng):\n    return images - rng.random()\n"
    )
    drawn = {
        images.mean().item()
        for cell in (
            make_cell(regularisers="crop+one+two"),
            make_cell("alexnet", "one+two"),
            make_cell(seed=1, regularisers="one+two"),
        )
        for epoch in (1, 2)
        for images, *_ in build_feeder(data, cell, settings_with(), CPU).epoch(epoch)
    }
    assert len(drawn) == 3 * 2 * 3


def test_a_regulariser_with_the_name_of_a_stream_has_its_own_draws(plugin, data):
    """That of the crops and colours of ImageNet's images is named augmentation."""
    plugin("@regulariser('augmentation')\ndef own(images, rng):\n    return images + rng.random()\n")
    cell = make_cell(regularisers="augmentation")
    feeder = build_feeder(data, cell, settings_with(), CPU)
    ((entry,), nothing) = feeder.own, torch.zeros(1, 1, 1, 1)
    drawn = feeder.changed(entry, nothing, feeder.labels[:1], 1, 0).item()
    for key in ((), ("1",), ("1", "0")):
        other = stream(cell.seed, "augmentation", cell.stream_key, *key).random()
        assert drawn != pytest.approx(other, rel=1e-6)


def test_a_regulariser_works_in_float32_in_every_precision(plugin, data):
    plugin(
        "import torch\n@regulariser('noisy')\ndef noisy(images, rng):\n"
        "    return images + torch.from_numpy(rng.standard_normal(images.shape)).float()\n"
    )
    noisy = make_cell(regularisers="noisy")
    assert len(train(data, noisy, epochs=1, precision="bfloat16").curve) == 2


def test_a_signal_is_no_error_of_a_plugin(plugin, prepared, tmp_path):
    plugin("import os\n@corruption('slow')\ndef slow(labels):\n    os.kill(os.getpid(), 15)\n")
    before = signal.signal(signal.SIGTERM, stop_signals._leave)
    try:
        with pytest.raises(SystemExit):
            write(prepared, tmp_path, "slow", "cifar10", seed=0)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_bar_in_a_statement_begins_no_column(plugin):
    plugin(
        "@claim('c', statement='|a - b| is small.', cells=['digits/true_labels/mlp_1x512/none'], above=0)\n"
        "def c(run):\n    return 1\n"
    )
    *_, row = claims_table(judge({}, "", own_claims())).splitlines()
    assert row.startswith("| \\|a - b\\| is small. | own |")


def test_plugins_of_one_name_and_what_lies_beside_them(plugins, tmp_path):
    files = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        files.append(tmp_path / folder / "study.py")
        files[-1].write_text(
            f"from rethinking.registry import model\nfrom helper_of_{folder} import LAYER\n"
            f"class Net(LAYER): ...\n@model('{folder}')\ndef net(image_shape, num_classes):\n    return Net()\n"
        )
        helper = f"from torch import nn\nclass LAYER(nn.Module):\n    place = '{folder}'\n"
        (tmp_path / folder / f"helper_of_{folder}.py").write_text(helper)
    plugins(files)
    nets = [build_model(folder, (1, 2, 2), 2) for folder in ("a", "b")]
    assert [net.place for net in nets] == ["a", "b"]
    assert [net.place for net in pickle.loads(pickle.dumps(nets))] == ["a", "b"]


def test_plugins_of_all_files_and_of_the_command_line_add(plugin, tmp_path):
    files, values = [], default_values()
    for number, names in enumerate(("a", "b", "ac")):
        for name in names:
            (tmp_path / f"{name}.py").write_text(
                f"from rethinking.registry import corruption\n@corruption('{name}')\ndef own(labels): ...\n"
            )
        values["plugins"] = [f"{tmp_path}/./{name}.py" for name in names]
        if number < 2:
            files.append(tmp_path / f"{number}.yaml")
            files[-1].write_text(yaml.safe_dump({"plugins": values["plugins"]}))
    config = load_config(values, list(map(str, files)))
    assert config.plugins == [str(tmp_path / f"{name}.py") for name in "abc"]  # one that is named twice counts once
    assert all(registry.find("corruption", name) for name in "abc")


def test_a_plugin_with_two_spellings_of_its_path_counts_once(plugin, plugins):
    file = plugin("@corruption('x')\ndef x(labels): ...\n")
    plugins([file, file.parent / "." / ".." / file.parent.name / file.name])
    assert registry.entry("corruption", "x").file == file


def test_paths_of_plugins_are_those_of_other_files(plugin, monkeypatch):
    file = plugin("@corruption('x')\ndef x(labels): ...\n")
    monkeypatch.setenv("STUDY", str(file.parent))
    assert load(plugins=["$STUDY/study.py"]).plugins == [str(file)]


def test_a_measure_that_changes_the_network_changes_no_other(plugin):
    plugin(
        "import torch\n"
        "def size(network):\n"
        "    models = network.model, network.initial, network.folded\n"
        "    return sum(float(p.detach().sum()) for each in models for p in each.parameters()) + float(network.inputs.sum())\n"
        "@measure('first')\ndef first(network):\n"
        "    before = size(network)\n"
        "    with torch.no_grad():\n"
        "        for model in (network.model, network.initial, network.folded):\n"
        "            [p.add_(1) for p in model.parameters()]\n"
        "        network.inputs.add_(1)\n"
        "    return before\n"
        "@measure('second')\ndef second(network):\n    return size(network)\n"
    )
    torch.manual_seed(0)
    model, initial = (build_model("inception", (3, 8, 8), 2).eval() for _ in range(2))
    network = Network(model, initial, torch.ones(4, 3, 8, 8), torch.arange(4) % 2, 4, 1, 0)
    found = measure_complexity(network)
    assert found["first"] == found["second"]
    assert "logits" in vars(network)  # they have been copied


def test_a_claim_that_changes_a_run_changes_no_other(plugin):
    cell = "digits/true_labels/mlp_1x512/none"
    plugin(
        "".join(
            f"@claim('{name}', statement='s', cells=['{cell}'], above=0)\ndef {name}(run):\n"
            "    number = run.curve.epoch.sum() + len(run.summary['rows'])\n"
            "    run.curve['epoch'] += 1\n    run.summary['rows'].pop()\n    return number\n"
            for name in ("first", "second")
        )
    )
    run = Run({"cell": "x", "status": "finished", "rows": [1, 2]}, pd.DataFrame({"epoch": [0, 1, 2]}))
    assert [check.measure(run) for claim in own_claims() for check in claim.checks] == [5, 5]


@pytest.mark.parametrize(
    ("step", "verdict"), [("", "undecided"), (", step=0.01", "supported"), (", step=2", "undecided")]
)
def test_seeds_that_agree_decide_a_claim_that_says_its_step(plugin, step, verdict):
    cell = "digits/true_labels/mlp_1x512/none"
    plugin(f"@claim('x', statement='s', cells=['{cell}'], at_least=99{step})\ndef x(run): return 100\n")
    ((check,),) = (claim.checks for claim in own_claims())
    run = Run({"cell": cell, "status": "finished"}, pd.DataFrame())
    assert examine(check, {cell: dict.fromkeys(range(3), run)}, "").verdict == verdict


def test_a_claim_finds_its_cells_by_any_of_their_names(plugin):
    cell = "digits/labels_p1.0/mlp_1x512/none"
    plugin(f"@claim('x', statement='s', cells=['{cell}'], at_least=99)\ndef x(run): return 100\n")
    ((check,),) = (claim.checks for claim in own_claims())
    assert check.cells == ("digits/random_labels/mlp_1x512/none",)


def test_the_note_on_measures_says_nothing_of_the_network_of_an_own_one(plugin):
    plugin("@measure('mine')\ndef mine(network): ...\n")
    pairs = {f"tau_{kind}_pairs": 0 for kind in TAU_TITLES}
    for measure, own in (("mine", True), ("path_norm", False)):
        note = note_complexity(pd.DataFrame([{"measure": measure, "data": "digits"} | pairs]))
        assert ("all but the first two measures and own ones are" in note) == own


@pytest.mark.parametrize(
    ("download", "named", "unpacked"),
    [("one.npz", "one.npz", True), ("one.npz.gz", "one.npz", True), ("one.npz.gz", "one.npz.gz", False)],
)
def test_a_download_of_a_single_file_is_read(plugin, tmp_path, download, named, unpacked):
    """Of a packed one, the contents are unpacked if the version names it without .gz."""
    file = plugin(
        "from rethinking.data.published import Published, SourceFile, Version\n"
        "@dataset('one', published=True)\n"
        "def one():\n"
        f"    version = Version('npz', {{'{named}': None}}, lambda contents, path: contents['{named}'])\n"
        f"    return Published((SourceFile('{download}', ('http://a',), 32 * '0'),), (version,))\n"
    )
    place = tmp_path / "downloads" / "one"
    place.mkdir(parents=True)
    packed = gzip.compress(b"images") if download.endswith(".gz") else b"images"
    (place / download).write_bytes(packed)
    described = {"source": "official", "input_size": 7}
    plan = Plan(load(data_dir=str(tmp_path), plugins=[str(file)], datasets__one=described))
    assert read_published("one", plan.downloaded("one"))[0] == (b"images" if unpacked else packed)
    assert plan.downloaded("cifar10").endswith("/cifar-10-binary.tar.gz")
    assert plan.downloaded("mnist").endswith("/mnist")
