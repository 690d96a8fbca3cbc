"""The status of cells: done, part-trained, stale and why, to run; how long the rest takes; and all that in words."""

import json
import os
from dataclasses import replace
from functools import cache

import pytest
import torch

from rethinking.cells import CELL_FILES, Cell
from rethinking.config.loading import load_config
from rethinking.run.checkpoint import Checkpoint, Progress
from rethinking.run.files import read_json, write_json
from rethinking.run.identity import Identity, record_path, write_record
from rethinking.run.locks import lock, open_lock
from rethinking.run.plan import Plan
from rethinking.run.running import lock_file, running_file
from rethinking.run.status import Estimate, estimate, survey
from rethinking.run.status_report import condense, report

from ..default_config import default_values

MLP = "digits/true_labels/mlp_1x512/wd"
ALEXNET = "digits/random_labels/alexnet/none"


@cache
def config_of(values):
    """Checked once for all the cells that a test writes."""
    return load_config(json.loads(values), [])


class Results:
    """A results folder in which a test can place finished or part-trained cells."""

    def __init__(self, folder):
        self.folder = folder
        self.values = default_values()
        for name, section in self.values.items():
            if isinstance(section, dict) and "cells" in section:
                self.values[name] = {"cells": [MLP]}
        self.values |= {"results_dir": str(folder), "seeds": [0], "table1": {"cells": [MLP, ALEXNET]}}
        self.values["ablations"] = []
        self.values["hardware"]["device"] = "cpu"
        self.values["datasets"]["digits"]["train_limit"] = 100
        self.values["training"] |= {"epochs": 10, "batch_size": 30}

    @property
    def config(self):
        return config_of(json.dumps(self.values))

    def survey(self):
        return {str(status.cell): status for status in survey(self.config)[0]}

    def status(self, name=MLP):
        return self.survey()[f"{name}/seed0"]

    @property
    def plan(self):
        return Plan(self.config)

    def prepare(self, name="digits"):
        count = self.config.datasets[name].train_limit or 500
        write_json(self.plan.prepared(name).outputs[0], {"train": {"count": count}})

    def finish(self, name=MLP, seed=0, wall_seconds=50.0, device="cpu", **summary):
        made = self.plan.cell(Cell.from_name(name, seed))
        folder = self.folder / "cells" / name / f"seed{seed}"
        folder.mkdir(parents=True)
        for file in CELL_FILES:
            (folder / file).touch()
        count = self.config.datasets[name.split("/")[0]].train_limit or 500
        numbers = {
            "status": "finished",
            "epochs": made.identity.settings["epochs"],
            "wall_seconds": wall_seconds,
        }
        origin = {"data": {"train": {"count": count}}, "provenance": {"device": device}}
        write_json(folder / "summary.json", numbers | summary | origin)
        write_record(made.outputs[:1], made.identity)
        return folder

    def record(self, change):
        """Change the recorded identity of a finished cell."""
        output = self.plan.cell(Cell.from_name(MLP, 0)).outputs[0]
        identity = Identity.from_json(read_json(record_path(output)))
        write_record([output], change(identity))

    def checkpoint(self, epoch, step, name=MLP, seed=0, seconds=5.0):
        cell = Cell.from_name(name, seed)
        path = self.folder / "checkpoints" / f"{cell}.safetensors"
        state = Checkpoint(path, self.plan.cell(cell).identity)
        state.save(Progress(epoch=epoch, step=step, seconds=seconds), {"weight": torch.zeros(2)})
        return path


@pytest.fixture
def results(tmp_path):
    return Results(tmp_path)


# ---- one cell


def test_cells_of_all_results_and_seeds_count_once(results):
    results.values |= {"seeds": [0, 3], "fig1a": {"cells": [ALEXNET, "digits/gaussian/alexnet/none"]}}
    names = [MLP, ALEXNET, "digits/gaussian/alexnet/none"]
    assert list(results.survey()) == [f"{name}/seed{seed}" for name in names for seed in (0, 3)]


def test_done(results):
    results.finish()
    assert (results.status().state, results.status().reasons) == ("done", ())
    assert results.status(ALEXNET).state == "to run"


@pytest.mark.parametrize(
    ("section", "values", "reason"),
    [
        ("training", {"epochs": 20}, "epochs 10 -> 20"),
        ("models", {"mlp_1x512": {"weight_decay": 0.1}}, "weight_decay 0.0005 -> 0.1"),
        ("datasets", {"digits": {"input_size": 6}}, "input_size 7 -> 6"),
        ("datasets", {"digits": {"train_limit": 50}}, "datasets.digits.train_limit 100 -> 50"),
        ("datasets", {"digits": {"test_limit": 50}}, "datasets.digits.test_limit null -> 50"),
        ("datasets", {"digits": {"provenance": "old"}}, "datasets.digits.provenance null -> old"),
    ],
)
def test_stale_because_of_a_setting(results, section, values, reason):
    results.finish()
    for key, value in values.items():
        inner = results.values[section]
        inner[key] = inner[key] | value if isinstance(value, dict) else value
    assert (results.status().state, results.status().reasons) == ("stale", (reason,))


def test_other_settings_leave_a_cell_alone(results):
    results.finish()
    results.values["models"]["alexnet"]["learning_rate"] = 1.0
    results.values["datasets"]["cifar10"]["train_limit"] = 50
    results.values["hardware"]["threads"] = 2
    assert results.status().state == "done"


def test_a_local_copy_counts_by_its_contents(results, tmp_path):
    copy = tmp_path / "one.tar"
    copy.write_bytes(b"images")
    results.values["datasets"]["cifar10"] |= {
        "source": "images",
        "path": str(copy),
        "provenance": "JPEG copy",
    }
    results.values["table1"]["cells"] = [name := MLP.replace("digits", "cifar10")]
    results.finish(name)
    assert results.status(name).state == "done"
    moved = copy.rename(tmp_path / "two.tar")
    results.values["datasets"]["cifar10"]["path"] = str(moved)
    assert results.status(name).state == "done"
    moved.write_bytes(b"imagez")
    os.utime(moved, (0, 0))  # an older date
    assert results.status(name).reasons == ("source: contents changed",)
    # Results of images that are gone are still current.
    moved.write_bytes(b"images")
    assert results.status(name).state == "done"
    moved.unlink()
    assert results.status(name).state == "done"


@pytest.mark.parametrize(
    ("part", "definition"), [("cell", "models/mlp.py: mlp"), ("data", "data/digits.py: read_digits")]
)
def test_stale_because_of_code(results, part, definition):
    results.finish()

    def change(identity):
        if part == "cell":
            assert definition in identity.code
            return replace(identity, code=identity.code | {definition: "other"})
        overlay = identity.inputs["data"]
        whole = overlay.inputs["data"]
        assert definition in whole.code
        whole = replace(whole, code=whole.code | {definition: "other"})
        return replace(identity, inputs={"data": replace(overlay, inputs={"data": whole})})

    results.record(change)
    assert results.status().reasons == (f"code of {definition}",)


@pytest.mark.parametrize("name", CELL_FILES)
def test_a_file_that_is_gone(results, name):
    (results.finish() / name).unlink()
    if name == "summary.json":
        assert results.status().state == "to run"
    else:
        assert (results.status().state, results.status().reasons) == ("stale", (f"{name} is missing",))


@pytest.mark.parametrize("text", ["", "{}", '{"provenance": 1}'])
def test_a_summary_that_cannot_be_read(results, text):
    made = results.plan.cell(Cell.from_name(MLP, 0))
    path = results.finish() / "summary.json"
    write_record(made.outputs, made.identity)
    path.write_text(text)
    assert results.status().reasons == ("summary.json has changed since it was made",)
    write_record(made.outputs[:1], made.identity)  # as earlier versions did
    assert (results.status().state, results.status().reasons) == ("stale", ("summary.json cannot be read",))


def test_a_cell_without_a_record_is_stale(results):
    results.finish()
    record_path(results.plan.cell(Cell.from_name(MLP, 0)).outputs[0]).unlink()
    assert results.status().reasons == ("there is no record of what it was made from",)


def test_diverged_is_done(results):
    results.finish(status="diverged", diverged_epoch=3, diverged_step=7, epochs=2)
    assert (results.status().state, results.status().diverged) == ("done", (3, 7))


def test_ablations_are_cells_of_their_own(results):
    cells = [MLP, "digits/true_labels/mlp_3x512/wd"]
    results.values["ablations"] = [
        {"name": "slow", "question": "?", "cells": cells, "set": {"momentum": 0.5}}
    ]
    folder = results.finish()
    # The variant with the settings of the cell itself is stale.
    folder.parent.rename(results.folder / "moved")
    (results.folder / "ablations/slow/cells" / MLP).parent.mkdir(parents=True)
    (results.folder / "moved").rename(results.folder / "ablations/slow/cells" / MLP)
    assert len(results.survey()) == 2
    assert [(s.variant, s.cell.model, s.state, s.reasons) for s in survey(results.config)[1]] == [
        (None, "mlp_3x512", "to run", ()),
        ("slow", "mlp_1x512", "stale", ("momentum 0.9 -> 0.5",)),
        ("slow", "mlp_3x512", "to run", ()),
    ]
    assert condense(survey(results.config)[1][1:]) == [
        "ablations/slow/digits/true_labels/{mlp_1x512,mlp_3x512}/wd  seed 0"
    ]


# ---- checkpoints


@pytest.mark.parametrize("stale", [False, True])
def test_part_trained(results, stale):
    if stale:
        results.finish()
        results.values["training"]["epochs"] = 20
    results.checkpoint(epoch=4, step=2)
    status = results.status()
    assert (status.state, status.reasons, status.epochs) == ("part-trained", (), 20 if stale else 10)
    assert status.epochs_done == 3.5  # 100 images are 4 steps


def test_a_checkpoint_that_does_not_fit_is_no_start(results):
    results.checkpoint(epoch=4, step=2)
    results.values["training"]["momentum"] = 0.5
    assert (results.status().state, results.status().reasons) == ("to run", ("momentum 0.9 -> 0.5",))


def test_a_damaged_checkpoint_is_no_start(results):
    results.checkpoint(epoch=4, step=2).write_bytes(b"cut short")
    assert (results.status().state, results.status().reasons) == ("to run", ("it cannot be read",))


def test_a_checkpoint_beside_a_finished_cell_is_forgotten(results):
    results.finish()
    results.checkpoint(epoch=4, step=2)
    assert results.status().state == "done"


# ---- time


def left(results):
    statuses = survey(results.config)[0]
    return estimate(statuses, statuses, results.config.hardware.device)


def test_time_of_the_same_network_on_the_same_data(results):
    results.values["seeds"] = [0, 1, 2]
    results.prepare()
    results.finish(wall_seconds=50.0)
    results.checkpoint(epoch=6, step=0, seed=1, seconds=25.0)
    # Ten epochs of one seed and five of the other, at 5 s each; nothing is known of three AlexNets.
    assert left(results) == Estimate(pytest.approx(75), 2, {"alexnet": 3})


def test_time_scales_with_images_and_epochs(results):
    results.prepare()
    results.finish(wall_seconds=50.0)
    results.values["training"]["epochs"] = 20
    results.values["datasets"]["digits"]["train_limit"] = 300
    assert left(results).seconds == pytest.approx(300)


def test_time_on_other_data_scales_with_pixels(results):
    results.values["table1"]["cells"] = [MLP.replace("digits", "mnist")]
    results.prepare("mnist")
    results.finish(wall_seconds=50.0)
    # 50 s for 10 epochs of 100 images of 7x7 pixels; to do: 10 of 500 images of 24x24.
    assert left(results).seconds == pytest.approx(50 * 5 * 24**2 / 7**2)


@pytest.mark.parametrize(("limit", "images"), [(None, 60_000), (600, 600)])
def test_time_before_the_data_are_prepared(results, limit, images):
    """As many images as are published, or as the limit lets pass."""
    results.values["table1"]["cells"] = [MLP.replace("digits", "mnist")]
    results.values["datasets"]["mnist"]["train_limit"] = limit
    results.finish(wall_seconds=50.0)
    assert left(results).seconds == pytest.approx(50 * images / 100 * 24**2 / 7**2)


@pytest.mark.parametrize(
    ("device", "seconds"), [("cpu", 50), ("cuda", 5), ("auto", 50)], ids=["cpu", "cuda", "most"]
)
def test_time_is_of_the_device(results, device, seconds):
    results.values["seeds"] = [0, 1, 2, 3]
    results.values["table1"]["cells"] = [MLP]
    results.values["hardware"]["device"] = device
    results.prepare()
    for seed, (name, wall_seconds) in enumerate([("cpu", 40.0), ("cpu", 60.0), ("H100", 5.0)]):
        results.finish(seed=seed, device=name, wall_seconds=wall_seconds)
    assert left(results).seconds == pytest.approx(seconds)


# ---- in words


def test_report(results):
    results.values |= {"seeds": [0, 1, 2, 4]}
    results.prepare()
    for seed in (0, 1):
        results.finish(seed=seed, wall_seconds=50.0)
    results.values["models"]["mlp_1x512"]["weight_decay"] = 0.1
    results.checkpoint(epoch=3, step=0, seed=2)
    results.finish(seed=4, wall_seconds=50.0, status="diverged", diverged_epoch=3, diverged_step=7)
    results.checkpoint(epoch=4, step=2, name=ALEXNET, seed=4)
    results.values["models"]["alexnet"]["learning_rate"] = 1.0
    assert report(survey(results.config)[0], left(results)) == (
        "8 cells: 1 done, 1 part-trained, 2 stale, 4 to run\n"
        "\n"
        "part-trained\n"
        "  digits/true_labels/mlp_1x512/wd  seed 2 in epoch 3 of 10\n"
        "\n"
        "stale\n"
        "  because of weight_decay 0.0005 -> 0.1\n"
        "    digits/true_labels/mlp_1x512/wd  seeds 0-1\n"
        "\n"
        "to run\n"
        "  digits/random_labels/alexnet/none  seeds 0-2\n"
        "  from the start, because the checkpoint does not fit: learning_rate 0.01 -> 1.0\n"
        "    digits/random_labels/alexnet/none  seed 4\n"
        "\n"
        "done, but diverged\n"
        "  digits/true_labels/mlp_1x512/wd/seed4  epoch 3, step 7\n"
        "\n"
        "About 2 min of training, one cell at a time; divide by the number of cells that run in parallel.\n"
        "No estimate for alexnet (4 cells): no similar cell has been trained yet."
    )


def test_report_of_what_runs_now_and_of_what_failed(results):
    path = results.checkpoint(epoch=3, step=0)
    write_json(running_file(path), {"epoch": 3, "epochs": 10, "done": 0.25, "seconds_left": 210.0})
    at_work = open_lock(lock_file(path))
    assert lock(at_work)
    path = results.checkpoint(epoch=1, step=1, name=ALEXNET)
    write_json(running_file(path), {"failed": "UserError: no GPU"})
    lines = report(survey(results.config)[0], left(results)).splitlines()
    assert lines[2:10] == [
        "running now",
        f"  {MLP}  seed 0: epoch 3/10, 4 min left",
        "",
        "failed at the last attempt",
        f"  {ALEXNET}  seed 0: UserError: no GPU",
        "",
        "part-trained",
        f"  {ALEXNET}  seed 0 in epoch 1 of 10",
    ]


def test_report_of_many_that_were_stopped(results):
    results.values |= {"seeds": list(range(50)), "table1": {"cells": [MLP]}}
    for seed in results.values["seeds"]:
        results.checkpoint(epoch=4 if seed == 7 else 3, step=0, seed=seed)
    lines = report(survey(results.config)[0], left(results)).splitlines()
    assert lines[3] == f"  {MLP}  seeds 0-6, 8-49 in epoch 3 of 10; seed 7 in epoch 4 of 10"


def test_report_when_all_is_done(results):
    results.values["table1"]["cells"] = [MLP]
    results.finish()
    assert left(results) == Estimate(0.0, 0, {})
    assert (
        report(survey(results.config)[0], left(results))
        == "1 cell: 1 done, 0 part-trained, 0 stale, 0 to run"
    )


def test_long_lists_are_cut(results):
    results.values |= {"seeds": list(range(40)), "table1": {"cells": [MLP]}}
    for seed in results.values["seeds"]:
        results.finish(seed=seed, status="diverged", diverged_epoch=1, diverged_step=seed)
    lines = report(survey(results.config)[0], left(results)).splitlines()
    assert lines[-2:] == [f"  {MLP}/seed28  epoch 1, step 28", "  ... and 11 more lines"]


def test_condensed_cells_are_the_cells(results):
    names = [
        *(f"cifar10/true_labels/inception/{regularisers}" for regularisers in ("crop+wd", "wd", "none")),
        *(f"cifar10/random_labels/{model}/none" for model in ("inception", "mlp_1x512", "mlp_3x512")),
    ]
    results.values |= {"seeds": [0, 1, 2, 5], "table1": {"cells": names}, "fig1a": {"cells": names}}
    statuses = [status for status in survey(results.config)[0] if status.cell.dataset == "cifar10"]
    assert condense(statuses[1:]) == [
        "cifar10/true_labels/inception/crop+wd  seeds 1-2, 5",
        "cifar10/true_labels/inception/{wd,none}  seeds 0-2, 5",
        "cifar10/random_labels/{inception,mlp_1x512,mlp_3x512}/none  seeds 0-2, 5",
    ]
