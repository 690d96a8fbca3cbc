"""What the workflow plans, and its messages on wrong input, without running anything."""

import re

import pytest

from rethinking.cells import canonical_name

from .conftest import ROOT, TINY, Workflow, cells_of, jobs_of


def test_default_makes_each_thing_once(default_workflow):
    one = ("--config", "seeds=[0]")
    output = default_workflow.succeed("-n", "cifar10", *one)
    cells, jobs = cells_of(output), jobs_of(output)
    # Table 1 has 19 rows, figure 1a three corruptions more, figures 1b and 1c nine levels of corruption of three
    # networks, table 4 six rows.
    assert len(cells) == len(set(cells)) == 19 + 3 + 9 * 3 + 6
    assert jobs["download_file"] == jobs["prepare_dataset"] == 1
    assert (jobs["corrupt_labels"], jobs["corrupt_pixels"]) == (11, 3)
    # Of each of the five networks: random and true signs on three sizes, replacements of true and random labels.
    everything = default_workflow.planned_cells("all", *one)
    assert len(everything) == len(set(everything)) == len(cells) + 5 * (3 * 2 + 2)
    assert set(cells) < set(everything)


def test_any_cell_can_be_asked_for_and_own_overrides_add_to_the_default_ones(default_workflow):
    cell = "results/cells/cifar10/random_labels/inception/crop/seed3/summary.json"
    own = {"cells": "cifar10/*/inception/crop", "set": {"batch_size": 64}}
    default_workflow.write_config({"overrides": [own]})
    output = default_workflow.succeed("-n", "-p", cell)
    stages = ("download_file", "prepare_dataset", "corrupt_labels", "train_cell")
    assert jobs_of(output) == {**dict.fromkeys(stages, 1), "total": 4}
    for setting in ('"batch_size": 64', '"epochs": 400', '"learning_rate_decay": 0.999'):
        assert setting in output


def test_sections_of_a_config_take_the_place_of_the_default_ones(default_workflow):
    """Figure 1c and the measures of complexity follow the sections whose cells they take."""
    sections = ("table1", "table4", "fig1a", "fig1b", "fig2b", "memorisation", "capacity")
    default_workflow.write_config({section: {"cells": []} for section in sections})
    assert default_workflow.run("-n", "results/fig1c.csv").returncode != 0
    default_workflow.write_config({"fig1b": {"cells": "digits/labels_p{0.0,0.5}/mlp_1x512/none"}})
    cells = [
        f"digits/{corruption}/mlp_1x512/none/seed{seed}"
        for corruption in ("labels_p0.5", "true_labels")
        for seed in (0, 1, 2)
    ]
    assert default_workflow.planned_cells("results/fig1c.svg") == cells


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            "ablations/no_local_respons_norm/cells/cifar10/random_labels/alexnet/none",
            "unknown ablation 'no_local_respons_norm'; did you mean 'no_local_response_norm'?",
        ),
        (
            "cells/digits/true_labels/inception_v3/none",
            "input_size 7, but inception_v3 needs images of at least 75x75",
        ),
    ],
)
def test_wrong_cell_says_what_would_be_right(default_workflow, cell, message):
    assert message in default_workflow.fail("-n", f"results/{cell}/seed3/summary.json")


def test_claims_take_the_cells_of_all_results_of_the_first_data_set(tiny_workflow):
    names = [name for section in TINY.values() if "cells" in section for name in section["cells"]]
    digits = {f"{canonical_name(name)}/seed0" for name in names if name.startswith("digits/")}
    # Sections that a configuration does not mention are those of the default, on CIFAR-10.
    output = tiny_workflow.succeed("-n", "claims")
    assert cells_of(output) == sorted(digits)
    assert jobs_of(output)["check_claims"] == 1


def test_claims_are_judged_on_the_papers_data_whatever_the_order_of_the_cells(tiny_workflow):
    def command(*cells):
        tiny_workflow.write_config(
            TINY | {"table1": {"cells": [f"{name}/true_labels/mlp_1x512/none" for name in cells]}}
        )
        lines = tiny_workflow.succeed("-n", "-p", "claims").splitlines()
        return next(line for line in lines if "-m check_claims" in line)

    both = [command("mnist", "cifar10"), command("cifar10", "mnist")]
    assert all("--dataset=cifar10" in each and "mnist/" not in each for each in both)
    assert [each.partition("--not-judged ")[2].split(" --")[0] for each in both] == ["mnist digits"] * 2
    # Without any network on the paper's, the first.
    assert "--dataset=mnist" in command("mnist", "digits")


def test_data_sets_whose_networks_are_not_judged_are_handed_to_claims_and_report(tiny_workflow):
    def told(config):
        tiny_workflow.write_config(config)
        lines = tiny_workflow.succeed("-n", "-p", "results/report.html").splitlines()
        commands = [line for line in lines if "-m check_claims" in line or "-m render_report" in line]
        claims, report = (line.partition("--not-judged ")[2].split(" --")[0].split() for line in commands)
        assert claims == report
        return commands[0], report

    def cells(*datasets):
        return {"cells": [f"{name}/true_labels/mlp_1x512/none" for name in datasets]}

    empty = {name: {"cells": []} for name, section in TINY.items() if "cells" in section}
    tables = TINY | empty | {"ablations": []}
    # A second set like ImageNet does not take the place of CIFAR-10, unless other results name it too.
    two = tables | {"table2": cells("mnist", "digits")}
    command, not_judged = told(two)
    assert "--dataset=" not in command
    assert not_judged == ["digits"]
    command, not_judged = told(two | {"table1": cells("digits")})
    assert "--dataset=digits" in command
    assert not_judged == []
    # Nor does figure 2a on CIFAR-10, or on a single data set, take it away from the claims on CIFAR-10.
    for name, more, left in (("cifar10", ["mnist"], ["mnist"]), ("cifar10", [], []), ("digits", ["digits"], [])):
        command, not_judged = told(tables | {"table2": cells(), "fig2a": cells(name), "table1": cells(*more)})
        assert f"--dataset={name} --not-judged" in command
        assert not_judged == left
    ablations = [{"name": "slow", "question": "?", "cells": cells("cifar100")["cells"], "set": {"epochs": 3}}]
    two |= {"ablations": ablations, "report_ablations": True}
    assert told(two)[1] == ["digits", "cifar100"]
    # Nor does that of a plug-in, of which the paper says nothing.
    (tiny_workflow.folder / "study.py").write_text(
        "from rethinking import registry\n\n@registry.dataset('own')\ndef own(path): ...\n"
    )
    (tiny_workflow.folder / "images").mkdir()
    datasets = TINY["datasets"] | {"own": {"source": "plugin", "path": "images", "input_size": 8}}
    study = tables | {"plugins": ["study.py"], "datasets": datasets, "table1": cells("own"), "table2": cells("digits")}
    command, not_judged = told(study)
    assert "--dataset=own" in command
    assert "--imagenet=digits" in command
    assert not_judged == ["own"]


def test_a_data_set_of_a_plugin_does_not_take_the_place_of_the_one_of_the_claims(tiny_workflow):
    plugin = tiny_workflow.folder / "study.py"
    plugin.write_text("from rethinking import registry\n\n@registry.dataset('own')\ndef own(path): ...\n")
    (tiny_workflow.folder / "images").mkdir()
    datasets = TINY["datasets"] | {"own": {"source": "plugin", "path": "images", "input_size": 8}}
    own = "own/true_labels/mlp_1x512/none"
    study = TINY | {"plugins": ["study.py"], "datasets": datasets, "table1": {"cells": [own, *TINY["table1"]["cells"]]}}
    tiny_workflow.write_config(study)
    lines = tiny_workflow.succeed("-n", "-p", "claims").splitlines()
    command = next(line for line in lines if "-m check_claims" in line)
    assert "--dataset=digits" in command
    assert own not in command
    sections = {name: {"cells": [own]} for name in ("table1", "table4", "fig1a", "fig2b")}
    empty = {name: {"cells": []} for name in ("fig1b", "fig1c", "memorisation")}
    tiny_workflow.write_config(study | sections | empty)
    assert "--dataset=own" in tiny_workflow.succeed("-n", "-p", "claims")
    # There are no claims of its own for table 2 and figure 2a.
    tiny_workflow.write_config(study | sections | empty | {key: {"cells": [own]} for key in ("table2", "fig2a")})
    output = tiny_workflow.succeed("-n", "-p", "claims")
    assert "--dataset=own" in output
    assert "--imagenet" not in output
    # A claim of one's own has its cells, whatever the data set of the others.
    with plugin.open("a") as file:
        file.write(f"@registry.claim('c', statement='s', cells=['{own}'], above=0)\ndef c(run): ...\n")
    tiny_workflow.write_config(study)
    lines = tiny_workflow.succeed("-n", "-p", "claims").splitlines()
    assert own in next(line for line in lines if "-m check_claims" in line).partition("--record")[0]


def test_all_misspelt_targets_are_told_before_planning(default_workflow):
    wrong = ("--until", "aggregat_table", "--omit-from", "tain_cell", "--prioritize", "train_cel")
    output = default_workflow.fail("-n", "al", "all", "results/tabel1.csv", *wrong)
    assert output.endswith(
        "snakemake: no rule makes these:\n"
        "  'al'; did you mean 'all'?\n"
        "  'results/tabel1.csv'; did you mean 'results/table1.csv'?\n"
        "  'aggregat_table'; did you mean 'aggregate_table'?\n"
        "  'tain_cell'; did you mean 'train_cell'?\n"
        "  'train_cel'; did you mean 'train_cell'?\n"
    )
    assert "Building DAG" not in output


def test_every_kind_of_target_is_taken(default_workflow):
    """Rules, outputs, logs and benchmarks, of this configuration or not, however their path is written."""
    targets = ["status", "./results//fig1c.svg", "results/logs/aggregate_table1.log"]
    cell = "cells/cifar10/random_labels/mlp_1x512/none/seed3"
    targets += [f"results/{cell}/summary.json", f"results/benchmarks/{cell}.tsv"]
    default_workflow.succeed("-n", *targets, "--forcerun", "train_cell")
    default_workflow.write_config({"results_dir": str(default_workflow.folder / "mine")})
    default_workflow.succeed("-n", f"{default_workflow.folder}/mine/table1.csv")


def test_checkout_and_profile_are_used_from_another_folder(tmp_path):
    """Also by a relative path, and with a profile whose configuration lies beside it."""
    workflow = Workflow(tmp_path, None, ROOT / "docs" / "..")
    assert "sizes" in workflow.succeed("-n", "results/demo/sizes.csv", "--profile", f"{ROOT}/profiles/demo")


def test_working_folder_that_cannot_be_written_is_named(default_workflow):
    (default_workflow.folder / ".snakemake").touch()
    output = default_workflow.fail("-n")
    assert f"snakemake: {default_workflow.folder}/.snakemake cannot be written" in output
    assert f"snakemake -s {ROOT}/Snakefile -d FOLDER\n" in output


def test_full_disk_under_the_working_folder_is_named(small_disk):
    """In the home folder, say, with the results on another disk."""
    output = Workflow(small_disk, None).fail("-n")
    assert f"snakemake: {small_disk}/.snakemake cannot be used (No space left on device)" in output


def test_status_of_a_configuration_that_is_too_long_for_a_command_line(tiny_workflow):
    variants = {
        "name": "rate_{learning_rate:g}",
        "grid": {"learning_rate": [0.1 * n for n in range(1, 51)]},
    }
    cells = ["digits/random_labels/mlp_1x512/wd"]
    tiny_workflow.write_config(TINY | {"ablations": [variants | {"cells": cells, "question": "Why? " * 1000}]})
    assert "50 cells: 0 done, 0 part-trained, 0 stale, 50 to run" in tiny_workflow.succeed("status")


def test_file_in_place_of_the_results_is_named(default_workflow):
    (default_workflow.folder / "results").touch()
    output = default_workflow.fail("-n")
    assert "snakemake: results cannot be used (Not a directory); a file" in output


@pytest.mark.parametrize(
    "target",
    ["results/capacity.svg", "results/complexity.csv", "results/expressivity/seed0.json", "imagenet"],
)
def test_target_without_data_says_why(tiny_workflow, target):
    output = tiny_workflow.fail("-n", target)
    assert re.search(r"^snakemake: .*(list its cells|name one|path is not set)\n$", output, re.MULTILINE)


@pytest.mark.parametrize("target", ["finding.svg", "curve_differences.csv"])
def test_a_comparison_of_no_cells_says_so(tiny_workflow, target):
    empty = {name: {"cells": []} for name in ("table1", "fig1a", "fig1b", "fig1c", "fig2b")}
    tiny_workflow.write_config(TINY | empty)
    output = tiny_workflow.fail("-n", f"results/{target}")
    assert "has nothing to show with this configuration; list the cells that it shows" in output


def test_too_few_images_stop_only_what_takes_more(default_workflow):
    default_workflow.write_config({"datasets": {"cifar10": {"train_limit": 1000}}})
    assert default_workflow.planned_cells("cifar10")
    advice = {"capacity": "capacity: {cells: []}", "linear_models": "linear_models: {models: []"}
    for target in advice:
        output = default_workflow.fail("-n", target)
        assert "too few images" in output
        assert [each for each in advice if advice[each] in output] == [target]


def test_wrong_config_names_file_and_key(default_workflow):
    default_workflow.write_config({"training": {"epochs": -3}})
    output = default_workflow.fail("-n")
    assert re.search(rf"{re.escape(str(default_workflow.config_file))}:\d+: ", output)
    assert "training.epochs: Input should be greater than or equal to 1, not -3" in output


def test_missing_local_copy_names_the_key(default_workflow):
    default_workflow.write_config({"datasets": {"cifar10": {"source": "archive", "path": "nowhere.tar.gz"}}})
    output = default_workflow.fail("-n")
    assert output.endswith("snakemake: nowhere.tar.gz does not exist; correct datasets.cifar10.path in the config\n")


def test_data_of_another_configuration_cannot_be_asked_for(default_workflow):
    target = "results/.data/prepared/cifar10/00000000000000000000"
    found = re.search(
        r"there are no data 0{20}: .* the key is (\w{20}); ask for that", default_workflow.fail("-n", target)
    )
    default_workflow.succeed("-n", target.replace("0" * 20, found[1]))


def test_a_download_that_is_gone_is_repeated(default_workflow):
    """Its token among the results outlives the file, for example where data_dir has changed."""
    token = default_workflow.folder / "results/.data/downloads/cifar10/cifar-10-binary.tar.gz"
    token.parent.mkdir(parents=True)
    token.touch()
    assert default_workflow.plan("cifar10")["download_file"] == 1


def test_all_data_can_be_had_where_there_is_internet(default_workflow):
    """The nodes of a cluster often have none."""
    downloads = default_workflow.plan("all")["download_file"]
    assert default_workflow.plan("data") == {
        "download_file": downloads, "prepare_dataset": 2, "data": 1, "total": downloads + 3
    }  # fmt: skip


def test_seeds_of_other_cells_do_not_count(default_workflow):
    own = {"cells": "cifar10/gaussian/*/*", "seeds": [0]}
    default_workflow.write_config({"overrides": [own]})
    for target, counts in (("table4.csv", False), ("fig1a.csv", True)):
        output = default_workflow.succeed("-n", "-p", f"results/{target}")
        assert ("cifar10/gaussian/inception/none=0" in output) == counts
