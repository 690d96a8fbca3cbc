"""The status of cells in words."""

import pytest

from rethinking.cells import Cell
from rethinking.config.patterns import expand_braces
from rethinking.run.files import write_json
from rethinking.run.locks import locked
from rethinking.run.running import lock_file, running_file
from rethinking.run.status import Estimate, ResultStatus, survey
from rethinking.run.status_report import WIDTH, braces, condense, report, report_results, wrap

from .results_folder import ALEXNET, MLP, left


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
        "  reason: weight_decay 0.0005 -> 0.1\n"
        "    digits/true_labels/mlp_1x512/wd  seeds 0-1\n"
        "\n"
        "to run\n"
        "  digits/random_labels/alexnet/none  seeds 0-2\n"
        "  with a checkpoint that does not fit: learning_rate 0.01 -> 1.0\n"
        "    digits/random_labels/alexnet/none  seed 4\n"
        "\n"
        "done, but diverged\n"
        "  digits/true_labels/mlp_1x512/wd/seed4  epoch 3, step 7\n"
        "\n"
        "About 2 min of training on a CPU, one cell at a time; divide by the number that run in parallel.\n"
        "No estimate for alexnet (4 cells): no similar cell has been trained yet."
    )


def test_report_of_summaries_that_cannot_be_read(results):
    results.values |= {"seeds": [0, 1, 2], "table1": {"cells": [MLP]}, "fig1a": {"cells": [MLP]}}
    for seed in (0, 1, 2):
        path = results.finish(seed=seed) / "summary.json"
        if seed:
            path.write_bytes(bytes(path.stat().st_size))
    assert report(survey(results.config)[0], left(results)) == (
        "3 cells: 3 done, 0 part-trained, 0 stale, 0 to run\n"
        "\n"
        "done, but summary.json cannot be read: delete it to have the network trained again\n"
        f"  {MLP}  seeds 1-2"
    )


def test_report_of_what_runs_now_and_of_what_failed(results):
    path = results.checkpoint(epoch=3, step=0)
    write_json(running_file(path), {"epoch": 3, "epochs": 10, "done": 0.25, "seconds_left": 210.0})
    with locked(lock_file(path)):
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


def test_report_of_finished_networks_that_are_trained_again(results):
    """Their old files count as long as they are there."""
    results.values |= {"seeds": [0, 1, 2], "table1": {"cells": [MLP]}, "fig1a": {"cells": [MLP]}}
    results.prepare()
    identity = results.plan.cell(Cell.from_name(MLP, 1)).identity.digest
    paths = []
    for seed in (0, 1, 2):
        results.finish(seed=seed, wall_seconds=50.0)
        paths.append(results.checkpoint(epoch=3 + seed, step=0, seed=seed))
    write_json(running_file(paths[0]), {"epoch": 4, "epochs": 10, "done": 0.3, "seconds_left": 30.0})
    write_json(running_file(paths[1]), {"failed": "UserError: no GPU", "identity": identity})
    # This one failed with other settings, which have been changed back.
    write_json(running_file(paths[2]), {"failed": "OutOfMemoryError: ", "identity": "of others"})
    with locked(lock_file(paths[0])):
        said = report(survey(results.config)[0], left(results))
    assert said == (
        "3 cells: 3 done, 0 part-trained, 0 stale, 0 to run\n"
        "\n"
        "running now\n"
        f"  {MLP}  seed 0: epoch 4/10, 30 s left\n"
        "\n"
        "done, but failed when trained again\n"
        f"  {MLP}  seed 1: UserError: no GPU\n"
        "\n"
        "done, but stopped when trained again: resumes where it is forced once more\n"
        f"  {MLP}  seed 1 in epoch 4 of 10; seed 2 in epoch 5 of 10\n"
        "\n"
        # Eight epochs of the one that is running, at 5 s each.
        "About 40 s of training on a CPU, one cell at a time; divide by the number that run in parallel."
    )


def test_report_of_many_that_were_stopped(results):
    results.values |= {"seeds": list(range(50)), "table1": {"cells": [MLP]}}
    for seed in results.values["seeds"]:
        results.checkpoint(epoch=4 if seed == 7 else 3, step=0, seed=seed)
    lines = report(survey(results.config)[0], left(results)).splitlines()
    assert lines[3] == f"  {MLP}  seeds 0-6, 8-49 in epoch 3 of 10; seed 7 in epoch 4 of 10"


def test_report_when_all_is_done(results):
    results.values["table1"]["cells"] = [MLP]
    results.finish()
    assert left(results) == Estimate(0.0, 0, {}, "cpu")
    assert report(survey(results.config)[0], left(results)) == "1 cell: 1 done, 0 part-trained, 0 stale, 0 to run"


def test_report_names_the_device_of_the_times(results):
    """Which need not be that of the machine which shows them."""
    results.values["seeds"] = [0, 1]
    results.values["hardware"]["device"] = "auto"
    results.finish(device="NVIDIA H200")
    assert "of training on a GPU, one cell" in report(survey(results.config)[0], left(results))


def test_report_of_what_trains_nothing(results):
    """With finished_only cells are missing, not to run, and take no time."""
    results.values["seeds"] = [0, 1]
    results.finish()
    assert report(survey(results.config)[0], None) == (
        "4 cells: 1 done, 0 part-trained, 0 stale, 3 missing\n"
        "\n"
        "missing\n"
        "  digits/true_labels/mlp_1x512/wd  seed 1\n"
        "  digits/random_labels/alexnet/none  seeds 0-1"
    )


def test_report_of_measures_and_fits():
    stale = [ResultStatus("fit_linear_model", "stale", ("iterations 100 -> 50",))] * 12
    missing = [ResultStatus("measure_complexity", "to run")] * 2 + [ResultStatus("run_descent", "to run")]
    done = [ResultStatus("run_descent", "done")]
    assert report_results([*stale, *missing, *done], "missing") == (
        "Measures and fits: 1 done, 12 stale, 3 missing\n"
        "\n"
        "stale\n"
        "  reason: iterations 100 -> 50\n"
        "    fit_linear_model  12\n"
        "\n"
        "missing\n"
        "  measure_complexity  2\n"
        "  run_descent  1"
    )
    assert report_results(done, "to run") == "Measures and fits: 1 done, 0 stale, 0 to run"


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


@pytest.mark.parametrize(
    ("names", "patterns"),
    [
        (["wd"], ["wd"]),
        (["mlp_3x512", "mlp_1x512"], ["{mlp_3x512,mlp_1x512}"]),
        (["p0.3", "a", "p0.1", "p0.2"], ["a", "p{0.1..0.3..0.1}"]),
        (["n10", "b", "n0", "n5", "a"], ["{b,a}", "n{0..10..5}"]),
        (["n500", "n5000", "n50000"], ["{n500,n5000,n50000}"]),
        (["n1", "n2", "n01", "n3"], ["{n1,n2,n01,n3}"]),  # two ways to write one number
        (["n1", "n2", "n1000000"], ["{n1,n2,n1000000}"]),
        (["n1e2", "n1e3", "n1e5"], ["{n1e2,n1e3,n1e5}"]),
    ],
)
def test_patterns_stand_for_their_names(names, patterns):
    assert braces(names) == patterns
    assert sorted(name for pattern in patterns for name in expand_braces(pattern)) == sorted(names)


def test_no_line_is_longer_than_a_screen_is_wide(results):
    signs = [f"{kind}_signs_n{count}" for kind in ("true", "random") for count in (500, 5000, 50_000)]
    shares = [f"labels_p0.{digit}" for digit in range(1, 10)]
    corruptions = [*signs, *shares, "gaussian", "random_pixels", "true_labels_replaced0"]
    results.values["table1"]["cells"] = [f"cifar10/{each}/mlp_1x512/none" for each in corruptions]
    lines = report(survey(results.config)[0], left(results)).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[2:6] == [
        "to run",
        "  cifar10/{true_signs_n500,true_signs_n5000,true_signs_n50000,random_signs_n500,random_signs_n5000,",
        "      random_signs_n50000,gaussian,random_pixels,true_labels_replaced0}/mlp_1x512/none  seed 0",
        "  cifar10/labels_p{0.1..0.9..0.1}/mlp_1x512/none  seed 0",
    ]


def test_a_word_that_fills_a_line_keeps_its_indentation():
    assert wrap("    " + 120 * "x" + "  seed 0") == "    " + 120 * "x" + "\n        seed 0"
