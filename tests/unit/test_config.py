"""The configuration: its defaults, their evidence, its errors and how it resolves to settings."""

import re

import pytest
import yaml

from rethinking import paper
from rethinking.cells import Cell
from rethinking.config.loading import load_config
from rethinking.config.reading import read
from rethinking.run.files import UserError

from ..default_config import FILE, default_values
from .paper_cells import FIG1A

PAPER = paper.read("zhang2017")
FACTS = PAPER["settings"]
CELL = "cifar10/true_labels/alexnet/none"


def with_keys(values, changes):
    """Set dotted keys in a nested dictionary, which is returned."""
    for key, value in changes.items():
        *sections, last = key.split(".")
        node = values
        for section in sections:
            node = node.setdefault(section, {})
        node[last] = value
    return values


def changed(changes):
    """The default values with some keys changed."""
    return with_keys(default_values(), changes)


def load(**changes):
    """The default configuration with some keys changed; dots are written as two underscores."""
    return load_config(changed({key.replace("__", "."): value for key, value in changes.items()}), [])


LINEAR = {
    "name": "a",
    "dataset": "cifar10",
    "preprocessing": "random_convnet",
    "kernel": "linear",
    "filters": 5,
    "penalties": [0],
}


def override(pattern, **values):
    return {"cells": pattern, "set": values}


def ablation(**values):
    return {"name": "x", "question": "?", "cells": [CELL], "set": values}


def settings(config, name, variant=None):
    return config.settings(Cell.from_name(name, seed=0), variant)


# --- defaults -------------------------------------------------------------------------------------


def leaves(node, path=()):
    if isinstance(node, dict | list) and node:
        children = node.items() if isinstance(node, dict) else enumerate(node)
        return [leaf for key, value in children for leaf in leaves(value, (*path, key))]
    return [path]


def labels(node, lines, path=()):
    """Path of each setting -> its label and evidence, from the comment behind it; as YAML merges them."""
    found = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "<<":
                found = labels(value, lines, path) | found
            else:
                found |= labels(value, lines, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            found |= labels(value, lines, (*path, number))
    else:
        behind = lines[node.end_mark.line][node.end_mark.column :]
        if label := re.fullmatch(r"\}?  # (stated|inferred|guessed): (.+)", behind):
            found[path] = label.groups()
    return found


LABELS = labels(yaml.compose(FILE.read_text()), FILE.read_text().splitlines())


def test_settings_that_the_paper_concerns_are_labelled_and_no_others():
    needed = {
        path
        for path in leaves(default_values())
        if (path[0] in ("training", "models") and "thresholds" not in path)
        or (path[0] == "datasets" and path[-1] == "input_size")
        or (path[0] == "overrides" and "set" in path)
        or path == ("expressivity", "offset")
        or (path[0] == "linear_models" and path[-1] in ("kernel", "gamma", "preprocessing", "filters"))
    }
    assert set(LABELS) == needed


def test_what_the_paper_states_says_where():
    stated = [evidence for label, evidence in LABELS.values() if label == "stated"]
    assert len(stated) > 10
    assert [each for each in stated if not re.search("appendix|footnote|section", each)] == []


def test_config_is_short():
    lines = FILE.read_text().splitlines()
    assert len(lines) <= 200
    assert max(map(len, lines)) <= 120


def sections(values):
    """A configuration and all mappings in it that are not in lists."""
    inner = (value for value in values.values() if isinstance(value, dict))
    return [values, *(section for each in inner for section in sections(each))]


def test_no_two_sections_are_one_object():
    """Snakemake merges in place: what a user sets in one of them would be set in the other."""
    found = sections(default_values())
    assert len(set(map(id, found))) == len(found) > 15


@pytest.mark.parametrize(
    ("path", "value", "fact"),
    [
        *((("models", model, "learning_rate"), rate, "learning_rate")
          for model, rate in FACTS["learning_rate"]["value"].items()),
        (("training", "learning_rate_decay"), FACTS["learning_rate_decay"]["value"], "learning_rate_decay"),
        (("training", "momentum"), float(FACTS["optimiser"]["value"].split()[-1]), "optimiser"),
        (("training", "batch_size"), FACTS["batch_size"]["value"], "batch_size"),
        (("datasets", "cifar10", "input_size"), 28, "preprocessing"),
    ],
)  # fmt: skip
def test_labels_agree_with_the_paper(path, value, fact):
    node = default_values()
    for key in path:
        node = node[key]
    assert (node, LABELS[path][0]) == (value, FACTS[fact]["status"])
    assert FACTS[fact]["status"] in ("stated", "inferred")


def test_table4_has_the_schedule_of_appendix_e():
    cells = [Cell.from_name(name, seed=0) for name in load().table4.cells]
    schedules = [(s.learning_rate_decay, s.epochs > 100) for s in map(load().settings, cells)]
    assert schedules == [
        (0.999, True) if "0.999" in row.get("note", "") else (0.95, False) for row in PAPER["table4"]
    ]


@pytest.mark.parametrize("fact", ["epochs", "weight_decay", "initialisation"])
def test_what_the_paper_leaves_open_is_not_called_stated(fact):
    assert FACTS[fact]["status"] == "unknown"
    found = [label for path, (label, _) in LABELS.items() if path[-1].startswith(fact)]
    assert found
    assert "stated" not in found


def test_alexnet_takes_the_weight_decay_that_the_evidence_speaks_for():
    alexnet = settings(load(), "cifar10/true_labels/alexnet/wd")
    assert (alexnet.weight_decay, alexnet.weight_decay_on) == (0.004, "hidden_linear")
    assert str(alexnet.weight_decay) in FACTS["weight_decay"]["evidence"]


def test_fig1a_has_the_five_corruptions_of_one_network():
    assert load().fig1a.cells == [f"cifar10/{corruption}/inception/none" for corruption in FIG1A]


def test_cells_are_listed_once_for_each_seed():
    config = load(seeds=[4, 2])
    cells = config.cells("table1", "fig1a")
    assert len(cells) == len(set(cells)) == 2 * (19 + 5 - 2)  # two networks are in both
    assert [str(cell) for cell in cells[:2]] == [f"{config.table1.cells[0]}/seed{seed}" for seed in (4, 2)]


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "key", "hint"),
    [
        ({"trainng": {}}, "trainng", "unknown key; did you mean 'training'?"),
        ({"training.epoch": 3}, "training.epoch", "unknown key; did you mean 'epochs'?"),
        ({"models.alexnet.rate": 1}, "models.alexnet.rate", "known here: learning_rate, initialisation"),
        ({"datasets.mnist.inputsize": 1}, "datasets.mnist.inputsize", "did you mean 'input_size'?"),
        ({"models.alexnt.learning_rate": 0.1}, "models.alexnt", "did you mean 'alexnet'?"),
        ({"datasets.cifar.input_size": 28}, "datasets.cifar", "did you mean 'cifar1"),
        ({"training.precision": "float16"}, "training.precision", "did you mean 'bfloat16'?"),
        ({"hardware": {"workers": 3, "nodes": 2}}, "hardware", "workers is 3, not a multiple of nodes"),
        ({"hardware.device": "gpu"}, "hardware.device", "known: auto, cpu, cuda"),
        ({"training.epochs": -1}, "training.epochs", "greater than or equal to 1, not -1"),
        ({"training.epochs": "ten"}, "training.epochs", "as an integer, not 'ten'"),
        ({"training.epochs": 2.5}, "training.epochs", "fractional part, not 2.5"),
        ({"training.momentum": 1.0}, "training.momentum", "less than 1, not 1.0"),
        ({"training.learning_rate_decay": 1.5}, "training.learning_rate_decay", "equal to 1, not 1.5"),
        ({"training.thresholds": [99.0, 101.0]}, "training.thresholds[1]", "equal to 100, not 101"),
        ({"seeds": [0, -1]}, "seeds[1]", "greater than or equal to 0, not -1"),
        ({"seeds": [1, 2, 1]}, "seeds", "names 1 twice"),
        ({"overrides": [override("*/*/*/*") | {"seeds": [0, 0]}]}, "overrides[0].seeds", "names 0 twice"),
        ({"linear_models.models": [LINEAR | {"seeds": [1, 1]}]}, "linear_models.models[0].seeds", "names 1 twice"),
        ({"linear_models.models": [LINEAR | {"penalties": [0, "validated", 0]}]}, "linear_models.models[0].penalties", "names 0.0 twice"),
        ({"expressivity.depths": [2, 3, 2]}, "expressivity.depths", "names 2 twice"),
        ({"ablations": [ablation(epochs=0) | {"grid": None}]}, "ablations[0]", "equal to 1, not 0"),
        ({"seeds": []}, "seeds", "at least 1"),
        ({"datasets.cifar10.source": "archive"}, "datasets.cifar10", "the source 'archive' needs a path"),
        ({"datasets.cifar10.path": "x"}, "datasets.cifar10", "takes no path; a local copy has the source archive or images"),
        ({"datasets.digits.source": "official"}, "datasets.digits.source", "it can be embedded"),
        ({"datasets.mnist.train_limit": 5}, "datasets.mnist.train_limit", "greater than or equal to 10, not 5"),
        ({"table1.cells": [CELL.replace("alexnet", "alexnt")]}, "table1.cells", "did you mean 'alexnet'?"),
        ({"fig1b.cells": [CELL, CELL.replace("true_labels", "gaussian")]}, "fig1b.cells", "cannot be shown over the label"),
        ({"overrides": [override("*/*/alexnt/*")]}, "overrides[0].cells", "matches none of inception, "),
        ({"overrides": [override("*/*/*/*", epochs=1), override("cifar/*/*/*")]}, "overrides[1].cells", "cifar10"),
        ({"overrides": [override("*/randm*/*/*")]}, "overrides[0].cells", "matches none of true_labels, "),
        ({"overrides": [override("*/*/*/weight_decay")]}, "overrides[0].cells", "matches none of none, crop"),
        ({"overrides": [override("*/*/*")]}, "overrides[0].cells", "has 3 parts; the form is"),
        ({"overrides": [override("*/*/*/*", epoch=1)]}, "overrides[0].set.epoch", "did you mean 'epochs'?"),
        ({"overrides": [override("*/*/*/*", epochs=0)]}, "overrides[0].set.epochs", "equal to 1, not 0"),
        ({"models.alexnet.architecture": {"local_respons_norm": False}},
         "models", "did you mean 'local_response_norm'?"),
        ({"datasets.cifar10.input_size": 33}, "cifar10/", "input_size 33, but the images of cifar10 are 32x32; give at most 31"),
        ({"datasets.cifar10.input_size": 32}, "cifar10/true_labels/inception/", "leave 'crop' out"),
        ({"datasets.cifar10.input_size": 4, "training.batch_size": 1}, "cifar10/", "inception needs two images; give at least 2"),
        ({"datasets.cifar10.input_size": 4, "training.batch_size": 49_999}, "cifar10/", "50,000 training images in parts of 49,999 leave one"),
        ({"datasets.cifar10.input_size": 4, "training.batch_size": 20, "datasets.cifar10.train_limit": 81}, "cifar10/",
         "81 training images in parts of 20 leave one image, but the batch normalisation of inception needs two; give "),
        ({"datasets.cifar10.input_size": 4, "overrides": [override("*/*/inception/*", batch_size=18, micro_batch=3)],
          "datasets.cifar10.train_limit": 40}, "cifar10/", "40 training images in parts of 3 leave one image"),
        ({"datasets.digits.input_size": 4, "training.batch_size": 20, "table1.cells": ["digits/random_signs_n41/inception/none"]},
         "digits/random_signs_n41", "41 training images in parts of 20"),
        ({"training": None}, "training", "takes keys of its own (epochs, batch_size, "),
        ({"overrides": [override("*/*/*/*")]}, "overrides[0]", "names no setting and no seeds"),
        ({"training.epochs": True}, "training.epochs", "truth values"),
        ({"seeds": [0, False]}, "seeds", "truth values"),
        ({"models.alexnet.learning_rate": float("inf")}, "models.alexnet.learning_rate", "finite"),
        ({"training.momentum": float("nan")}, "training.momentum", "not nan"),
        ({"results_dir": " "}, "results_dir", "the path is empty"),
        ({"data_dir": "a{b}"}, "data_dir", "wildcards"),
        ({"data_dir": "${NOT_SET}/x"}, "data_dir", "the variable ${NOT_SET} is not set"),
        ({"results_dir": "./"}, "results_dir", "'.' is no folder of its own; name one"),
        ({"results_dir": "/x/.."}, "results_dir", "'/' is no folder of its own; name one"),
        ({"cache_dir": "-rf"}, "cache_dir", "begins with '-'"),
        ({"data_dir": "x/" + 201 * "a"}, "data_dir", "too long for a file system"),
        ({"cache_dir": "~nobody-of-this-name/x"}, "cache_dir", "no home folder of the user 'nobody-of-this-name'"),
        ({"ablations": [ablation(epochs=1) | {"name": "a/b"}]}, "ablations[0].name", "should match pattern"),
        ({"ablations": [ablation(weight_decay=1)]}, "ablations[0]",
         f"'{CELL}' does not use weight_decay: its regularisers do not name wd"),
        ({"ablations": [ablation(architecture={"dropout": 0.5}) | {"cells": [CELL.replace("alexnet", "inception_v3")]}]},
         "ablations[0]", "does not use dropout: its regularisers do not name dropout"),
    ],
)  # fmt: skip
def test_errors_name_file_key_and_what_would_be_right(tmp_path, changes, key, hint):
    base, mine = tmp_path / "base.yaml", tmp_path / "mine.yaml"
    base.write_text(yaml.safe_dump(default_values()))
    mine.write_text(yaml.safe_dump(with_keys({}, changes)))
    with pytest.raises(UserError) as error:
        load_config(changed(changes), [str(base), str(mine)])
    line = str(error.value).splitlines()[1]
    assert re.match(rf"  {re.escape(str(mine))}(:\d+)?: {re.escape(key)}", line)
    assert hint in line


@pytest.mark.parametrize(
    "changes",
    [
        {"datasets.cifar10.input_size": 28, "training.batch_size": 1},
        {"datasets.cifar10.input_size": 4, "training.batch_size": 2},
        {"datasets.cifar10.input_size": 4, "training.batch_size": 49_999, "datasets.cifar10.source": "images",
         "datasets.cifar10.path": "x", "datasets.cifar10.provenance": "mine", "capacity.cells": []},
        {"datasets.cifar10.input_size": 4, "training.batch_size": 20, "datasets.cifar10.train_limit": 60_001},
    ],
    ids=["maps of many values", "even", "unknown number of images", "limit beyond the data"],
)  # fmt: skip
def test_small_batches_that_can_be_normalised_are_taken(changes):
    load_config(changed(changes), [])


def test_numbers_that_yaml_counts_by_8_or_60_are_refused(tmp_path):
    file = tmp_path / "mine.yaml"
    text = "training:\n  epochs: 010\n  batch_size: 1:30\nseeds: [0, 8, 09, 1_0, '010']\n"
    file.write_text(text)
    assert [fault.replace(str(tmp_path), "") for fault in read(str(file)).faults] == [
        "/mine.yaml:2: training.epochs: 010 is 8 in YAML, which counts by 8 or 60 here; write 8, or the number that you mean",
        "/mine.yaml:3: training.batch_size: 1:30 is 90 in YAML, which counts by 8 or 60 here; write 90, or the number that you mean",
    ]


def test_missing_key_names_the_file_of_its_section(tmp_path):
    values = default_values()
    del values["training"]["epochs"]
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(values))
    with pytest.raises(UserError, match=r"config\.yaml:\d+: training\.epochs: Field required"):
        load_config(values, [str(file)])


def test_last_file_that_sets_a_key_is_named(tmp_path):
    files = {
        "first": {"training": {"epochs": 0}},
        "second": {"training": {"epochs": -3}},
        "third": {"seeds": [0]},
    }
    for name, content in files.items():
        (tmp_path / name).write_text(yaml.safe_dump(content))
    with pytest.raises(UserError) as error:
        load_config(changed({"training.epochs": -3}), [str(tmp_path / name) for name in files])
    assert f"{tmp_path / 'second'}:2: training.epochs: " in str(error.value)
    assert "first" not in str(error.value)


def test_value_from_the_command_line_is_called_so(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"seeds": [0]}))
    with pytest.raises(UserError, match=r"--config: training\.epochs: "):
        load_config(changed({"training.epochs": -3}), [str(tmp_path / "config.yaml")])


def test_value_in_place_of_a_section_is_not_put_down_to_the_file_with_the_section(tmp_path):
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"training": {"epochs": 3}}))
    with pytest.raises(UserError, match=r"--config: training: takes keys of its own"):
        load_config(changed({"training": 5}), [str(tmp_path / "config.yaml")])


@pytest.mark.parametrize(
    ("text", "value"), [("false", False), ("no", False), ("True", True), ("0.2", 0.2), ("wide", "wide")]
)
def test_options_of_networks_from_the_command_line_are_values(text, value):
    """Snakemake passes what is nested in --config as text, and the text false would be true."""
    config = load(models__alexnet__architecture={"local_response_norm": text})
    assert config.models["alexnet"].architecture == {"local_response_norm": value}
    ablations = load(ablations=[ablation(architecture={"local_response_norm": text})]).ablations
    assert ablations[0].set.architecture == {"local_response_norm": value}


def test_a_key_that_stands_twice_is_refused_with_both_lines(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("training:\n  epochs: 3\nseeds: [0]\ntraining: {batch_size: 64, batch_size: 32}\n")
    with pytest.raises(UserError) as error:
        load_config(default_values(), [str(file)])
    lines = str(error.value).splitlines()
    assert lines[1].startswith(f"  {file}:4: training stands a second time, first in line 1")
    assert lines[2].startswith(f"  {file}:4: training.batch_size stands a second time, first in line 4")


def test_merge_keys_and_anchors_are_no_second_time(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "a: &a {epochs: 3}\nb: &b {momentum: 0}\ntraining:\n  <<: *a\n  <<: *b\n  epochs: 4\nmodels: {alexnet: *a}\n"
    )
    assert read(str(file)).faults == []


def test_home_folder_and_variables_are_the_same_everywhere(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    dataset = {"source": "archive", "path": "~/cifar.tar", "input_size": 28}
    config = load(
        results_dir="~/results/", data_dir="${HOME}_1", cache_dir="$HOME", datasets__cifar10=dataset
    )
    assert (config.results_dir, config.data_dir, config.cache_dir) == (
        "/home/ada/results",
        "/home/ada_1",
        "/home/ada",
    )
    assert config.datasets["cifar10"].path == "/home/ada/cifar.tar"


def test_all_faults_are_reported_at_once():
    with pytest.raises(UserError) as error:
        load(training__epochs=-1, seeds=[-1], results_dir=5)
    assert len(str(error.value).splitlines()) == 4


# --- resolution -----------------------------------------------------------------------------------


def test_settings_come_from_training_model_and_data_set():
    config = load(training__epochs=7, models__alexnet__learning_rate=0.3, datasets__mnist__input_size=20)
    resolved = settings(config, "mnist/true_labels/alexnet/none")
    assert (resolved.epochs, resolved.learning_rate, resolved.input_size) == (7, 0.3, 20)
    assert resolved.batch_size == 128
    assert settings(config, "mnist/true_labels/mlp_1x512/none").learning_rate == 0.01


def test_overrides_apply_in_order_and_by_pattern():
    config = load(
        overrides=[
            override("cifar10/*/*/*", epochs=5, momentum=0.5),
            override("cifar10/random_labels/*/none", epochs=6),
            override("*/*/mlp_?x512/*crop*", epochs=7, learning_rate=0.5),
        ]
    )

    def resolved(name):
        values = settings(config, name)
        return values.epochs, values.momentum, values.learning_rate

    assert resolved("mnist/true_labels/alexnet/none") == (100, 0.9, 0.01)
    assert resolved("cifar10/true_labels/alexnet/none") == (5, 0.5, 0.01)
    assert resolved("cifar10/random_labels/alexnet/none") == (6, 0.5, 0.01)
    assert resolved("cifar10/random_labels/alexnet/wd") == (5, 0.5, 0.01)
    assert resolved("cifar10/random_labels/mlp_1x512/crop+wd") == (7, 0.5, 0.5)
    assert resolved("mnist/random_labels/mlp_3x512/crop") == (7, 0.9, 0.5)
    assert resolved("cifar10/random_labels/mlp_1x512/wd") == (5, 0.5, 0.01)


@pytest.mark.parametrize("pattern", ["labels_p1.0", "random_labels"])
@pytest.mark.parametrize("corruption", ["labels_p1.0", "random_labels"])
def test_overrides_know_both_names_of_a_corruption(pattern, corruption):
    config = load(overrides=[override(f"cifar10/{pattern}/*/*", epochs=5)])
    assert settings(config, f"cifar10/{corruption}/alexnet/none").epochs == 5
    assert settings(config, "cifar10/labels_p0.5/alexnet/none").epochs == 100


@pytest.mark.parametrize("pattern", ["labels_p0.25", "labels_p0.*", "labels_p*"])
def test_overrides_know_partial_corruptions(pattern):
    config = load(overrides=[override(f"cifar10/{pattern}/*/*", epochs=5)])
    assert settings(config, "cifar10/labels_p0.25/alexnet/none").epochs == 5


@pytest.mark.parametrize("regularisers", ["none", "crop", "crop+augment"])
def test_cells_without_weight_decay_do_not_depend_on_it(regularisers):
    other = load(
        models__alexnet__weight_decay=0.5,
        models__alexnet__weight_decay_on="weights",
        overrides=[override("*/*/*/*", weight_decay=0.7, weight_decay_on="weights")],
    )
    name = f"cifar10/true_labels/alexnet/{regularisers}"
    assert settings(load(), name) == settings(other, name)
    assert settings(load(), name).weight_decay == 0
    assert settings(other, "cifar10/true_labels/alexnet/wd").weight_decay == 0.7


def test_variant_changes_what_it_names_on_top_of_overrides():
    config = load(
        overrides=[override("cifar10/*/*/*", epochs=5, momentum=0.5)],
        ablations=[ablation(epochs=7, input_size=24, architecture={"local_response_norm": False})],
    )
    cell, variant = settings(config, CELL), settings(config, CELL, "x")
    assert (cell.epochs, cell.input_size, cell.architecture) == (5, 28, {"local_response_norm": True})
    assert (variant.epochs, variant.input_size, variant.architecture) == (
        7,
        24,
        {"local_response_norm": False},
    )
    assert variant.momentum == 0.5
    assert config.variants() == [("x", Cell.from_name(CELL, seed)) for seed in config.seeds]
    assert config.ablated_cells() == [cell for _, cell in config.variants()]


def test_variant_can_be_asked_for_any_cell_that_its_settings_concern():
    config = load(ablations=[ablation(architecture={"local_response_norm": False})])
    other = "mnist/random_labels/alexnet/crop"
    assert settings(config, other, "x").architecture == {"local_response_norm": False}
    with pytest.raises(UserError, match="'inception' has no option 'local_response_norm'"):
        settings(config, other.replace("alexnet", "inception"), "x")
    with pytest.raises(UserError, match=r"unknown ablation 'y'.*known: x"):
        settings(config, other, "y")


def test_default_ablations_differ_from_the_cells_themselves_and_from_each_other():
    config = load()
    names = {}
    for variant, cell in config.variants():
        resolved = config.settings(cell, variant)
        assert resolved != config.settings(cell)
        names.setdefault((str(cell), resolved.model_dump_json()), []).append(variant)
    assert all(len(variants) == 1 for variants in names.values())


def test_hardware_and_seeds_change_no_settings():
    other = load(hardware={"device": "cpu", "threads": 4}, seeds=[9], results_dir="x", finished_only=True)
    assert settings(load(), CELL) == settings(other, CELL)


def test_tables_write_cells_in_their_canonical_form():
    config = load(table1__cells=["cifar10/labels_p1.0/alexnet/none", "cifar10/labels_p0.0/alexnet/none"])
    assert config.table1.cells == ["cifar10/random_labels/alexnet/none", "cifar10/true_labels/alexnet/none"]
    both = ["cifar10/labels_p1.0/alexnet/none", "cifar10/random_labels/alexnet/none"]
    with pytest.raises(UserError, match="is listed twice"):
        load(table1__cells=both)


@pytest.mark.parametrize(("section", "name"), [("datasets", "mnist"), ("models", "alexnet")])
def test_cell_that_the_configuration_does_not_know(section, name):
    values = default_values()
    del values[section][name]
    values["linear_models"] |= {"models": [], "counterexamples": {"models": [], "train": 10, "test": 10}}
    values["table1"] = {"cells": ["mnist/true_labels/alexnet/none"]}
    with pytest.raises(UserError, match=rf"the configuration has no {section}\.{name}; add it"):
        load_config(values, [])
