"""The status of cells: done, part-trained, stale and why, to run; and how long the rest takes."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from rethinking.cells import CELL_FILES, Cell
from rethinking.run.files import read_json, write_json
from rethinking.run.identity import record_path, write_record
from rethinking.run.status import Estimate, survey
from rethinking.run.status_report import condense

from .results_folder import ALEXNET, MLP, left

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
    results.values["datasets"]["cifar10"]["train_limit"] = 20_000
    results.values["hardware"]["threads"] = 2
    results.values["datasets"]["digits"]["provenance"] = "other words"
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
    # The plan looks at sizes only, and would train nothing.
    assert results.plan.cell(Cell.from_name(MLP, 0)).current
    assert (results.status().state, results.status().damaged) == ("done", True)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_cell_without_a_whole_record_is_stale(results, damaged):
    results.finish()
    record = record_path(results.plan.cell(Cell.from_name(MLP, 0)).outputs[0])
    if damaged:
        write_json(record, read_json(record) | {"identity": 20 * "0"})
    else:
        record.unlink()
    damage = "its record .identity/curve.csv.json is damaged"
    reason = damage if damaged else "there is no record of what it was made from"
    assert (results.status().state, results.status().reasons) == ("stale", (reason,))


def test_diverged_is_done(results):
    results.finish(status="diverged", diverged_epoch=3, diverged_step=7, epochs=2)
    assert (results.status().state, results.status().diverged) == ("done", (3, 7))


def test_ablations_are_cells_of_their_own(results):
    cells = [MLP, "digits/true_labels/mlp_3x512/wd"]
    results.values["ablations"] = [{"name": "slow", "question": "?", "cells": cells, "set": {"momentum": 0.5}}]
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


def test_a_cell_that_diverged_before_an_epoch_was_over_tells_no_time(results):
    results.values["seeds"] = [0, 1]
    results.finish(status="diverged", diverged_epoch=1, diverged_step=2, epochs=0)
    assert (results.status().state, results.status().diverged) == ("done", (1, 2))
    assert left(results).unknown == {"mlp_1x512": 1, "alexnet": 2}


# ---- measures and fits


def states(results):
    """State and reasons of the measures and fits that are not to run, by the rules that make them."""
    found = survey(results.config)[2]
    return {status.rule: (status.state, *status.reasons) for status in found if status.state != "to run"}


def make_measure_and_fit(results):
    folder = results.finish()
    made = results.plan.complexity(Cell.from_name(MLP, 0)), results.plan.fit("mnist_pixels_linear", 0)
    for each in made:
        for file in map(Path, each.outputs):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        write_record(each.outputs, each.identity)
    return folder


def test_measures_and_fits_have_settings_of_their_own(results):
    make_measure_and_fit(results)
    assert states(results) == {"measure_complexity": ("done",), "fit_linear_model": ("done",)}
    results.values["complexity"]["draws"] = 7
    results.values["linear_models"]["solver"]["iterations"] = 50
    assert states(results) == {
        "measure_complexity": ("stale", "draws 5 -> 7"),
        "fit_linear_model": ("stale", "iterations 100 -> 50"),
    }
    assert results.status().state == "done"
    Path(results.plan.fit("mnist_pixels_linear", 0).outputs[1]).unlink()
    assert states(results)["fit_linear_model"] == ("stale", "iterations 100 -> 50", "outputs.npz is missing")
    # Of no network of the configuration.
    results.values["complexity"] = {"cells": []}
    assert "measure_complexity" not in states(results)


@pytest.mark.parametrize("retrained", [False, True])
def test_a_measure_is_stale_with_its_network(results, retrained):
    folder = make_measure_and_fit(results)
    results.values["training"]["momentum"] = 0.5
    if retrained:
        made = results.plan.cell(Cell.from_name(MLP, 0))
        write_record(made.outputs, made.identity)
    reason = "results: contents changed" if retrained else "what it is made from is stale or missing"
    assert states(results)["measure_complexity"] == ("stale", reason)
    if not retrained:
        results.values["training"]["momentum"] = 0.9
        (folder / "summary.json").unlink()
        assert states(results)["measure_complexity"] == ("stale", reason)


def test_a_measure_of_a_network_that_was_trained_again_says_so(results):
    folder = make_measure_and_fit(results)
    trained, measured = results.plan.cell(Cell.from_name(MLP, 0)), results.plan.complexity(Cell.from_name(MLP, 0))
    write_record(measured.outputs, measured.identity, [trained.stamp])
    (folder / "weights.safetensors").write_text("others")
    write_record(trained.outputs, trained.identity, [])
    assert states(results)["measure_complexity"] == ("stale", "what it is made from was made again")


# ---- checkpoints


@pytest.mark.parametrize("stale", [False, True])
def test_part_trained(results, stale):
    if stale:
        results.finish(status="diverged", diverged_epoch=3, diverged_step=7)
        results.values["training"]["epochs"] = 20
    results.checkpoint(epoch=4, step=2)
    status = results.status()
    assert (status.state, status.reasons, status.epochs) == ("part-trained", (), 20 if stale else 10)
    assert status.epochs_done == 3.5  # 100 images are 4 steps
    # Neither is what the stale network was.
    assert (status.diverged, status.device) == (None, None)


def test_time_of_a_network_that_is_part_trained_follows_from_its_own(results):
    """Also where it is not known on which device."""
    results.values["table1"]["cells"] = [MLP]
    results.prepare()
    results.checkpoint(epoch=6, step=0, seconds=25.0)
    assert left(results) == Estimate(pytest.approx(25), 1, {}, "cpu")


def test_a_checkpoint_before_the_first_step_tells_no_time(results):
    results.prepare()
    results.checkpoint(epoch=1, step=0)
    assert (results.status().state, results.status().epochs_done) == ("part-trained", 0)
    assert left(results).unknown == {"mlp_1x512": 1, "alexnet": 1}


def test_a_part_trained_variant_has_a_checkpoint_of_its_own(results):
    results.values["ablations"] = [{"name": "slow", "question": "?", "cells": [MLP], "set": {"momentum": 0.5}}]
    path = results.checkpoint(epoch=4, step=2, variant="slow")
    assert path == results.folder / "checkpoints/ablations/slow" / f"{MLP}/seed0.safetensors"
    (variant,) = survey(results.config)[1]
    assert (variant.state, variant.epochs_done) == ("part-trained", 3.5)
    assert results.status().state == "to run"


def test_a_checkpoint_that_does_not_fit_is_no_start(results):
    results.checkpoint(epoch=4, step=2)
    results.values["training"]["momentum"] = 0.5
    assert (results.status().state, results.status().reasons) == ("to run", ("momentum 0.9 -> 0.5",))


def test_a_stale_cell_says_how_it_differs_itself_and_not_its_checkpoint(results):
    results.finish()
    results.values["training"]["momentum"] = 0.5
    results.checkpoint(epoch=4, step=2)
    results.values["training"]["momentum"] = 0.7
    assert (results.status().state, results.status().reasons) == ("stale", ("momentum 0.9 -> 0.7",))


def test_a_damaged_checkpoint_is_no_start(results):
    results.checkpoint(epoch=4, step=2).write_bytes(b"cut short")
    assert (results.status().state, results.status().reasons) == ("to run", ("it cannot be read",))


@pytest.mark.parametrize(("momentum", "epochs_done"), [(0.9, 3.5), (0.5, 0)])
def test_a_finished_cell_with_a_checkpoint_is_done(results, momentum, epochs_done):
    """It was trained again by force, and stopped."""
    results.values["training"]["momentum"] = momentum
    results.checkpoint(epoch=4, step=2)
    results.values["training"]["momentum"] = 0.9
    results.finish()
    assert (results.status().state, results.status().reasons) == ("done", ())
    assert results.status().epochs_done == epochs_done


# ---- time


def test_time_of_the_same_network_on_the_same_data(results):
    results.values["seeds"] = [0, 1, 2]
    results.prepare()
    results.finish(wall_seconds=50.0)
    results.checkpoint(epoch=6, step=0, seed=1, seconds=25.0)
    # Ten epochs of one seed and five of the other, at 5 s each; nothing is known of three AlexNets.
    assert left(results) == Estimate(pytest.approx(75), 2, {"alexnet": 3}, "cpu")


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


@pytest.mark.parametrize(("limit", "images"), [(None, 60_000), (12_000, 12_000)])
def test_time_before_the_data_are_prepared(results, limit, images):
    """As many images as are published, or as the limit lets pass."""
    results.values["table1"]["cells"] = [MLP.replace("digits", "mnist")]
    results.values["datasets"]["mnist"]["train_limit"] = limit
    results.finish(wall_seconds=50.0)
    assert left(results).seconds == pytest.approx(50 * images / 100 * 24**2 / 7**2)


def test_time_of_a_cell_on_a_sample_is_that_of_its_images(results):
    results.values["capacity"] = {"cells": [sample := "digits/true_signs_n20/mlp_1x512/wd"]}
    results.prepare()
    results.finish(wall_seconds=50.0)
    assert results.status(sample).images == 20
    assert left(results).seconds == pytest.approx(10)


@pytest.mark.parametrize(("device", "seconds"), [("cpu", 50), ("cuda", 5), ("auto", 50)], ids=["cpu", "cuda", "most"])
def test_time_is_of_the_device(results, device, seconds):
    """That of a network that was trained on both tells of neither."""
    results.values["seeds"] = [0, 1, 2, 3, 4]
    results.values["table1"]["cells"] = [MLP]
    results.values["hardware"]["device"] = device
    results.prepare()
    trained = [("cpu", 40.0), ("cpu", 60.0), ("H100", 5.0), ("cpu and H100", 900.0)]
    for seed, (name, wall_seconds) in enumerate(trained):
        results.finish(seed=seed, device=name, wall_seconds=wall_seconds)
    assert left(results).seconds == pytest.approx(seconds)
