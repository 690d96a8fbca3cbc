"""What is wrong in a configuration is named by file and key, with what would be right."""

import datetime
import os
import re

import pytest
import yaml
from snakemake.cli import parse_config
from snakemake.utils import update_config

from rethinking.config.loading import load_config
from rethinking.config.reading import read
from rethinking.run.files import UserError
from rethinking.training.inception_preprocessing import central_box

from ..default_config import CELL, FILE, ablation, default_config, default_values, load, override, with_keys

IMAGENET = "imagenet/true_labels/inception_v3"
DIGITS = CELL.replace("cifar10", "digits")
LINEAR = {"name": "a", "dataset": "cifar10", "kernel": "linear", "penalties": [0]}
LINEAR |= {"preprocessing": "random_convnet", "filters": 5}


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
        ({"hardware.device": "gpu"}, "hardware.device", "unknown value 'gpu'; known: auto, cpu, cuda"),
        ({"training.epochs": -1}, "training.epochs", "greater than or equal to 1, not -1"),
        ({"training.epochs": "ten"}, "training.epochs", "as an integer, not 'ten'"),
        ({"training.batch_size": "1e1"}, "training.batch_size", "not '1e1', which YAML takes for text; write 10"),
        ({"training.epochs": 2.5}, "training.epochs", "fractional part, not 2.5"),
        ({"training.momentum": 1.0}, "training.momentum", "less than 1, not 1.0"),
        ({"training.learning_rate_decay": 1.5}, "training.learning_rate_decay", "equal to 1, not 1.5"),
        ({"training.thresholds": [99.0, 101.0]}, "training.thresholds[1]", "equal to 100, not 101"),
        ({"seeds": [0, -1]}, "seeds[1]", "greater than or equal to 0, not -1"),
        # {0..4}, {3, 5} and {9..0} in YAML
        ({"seeds": {"0..4": None}}, "seeds", "takes a list; write [0, 1, 2, 3, 4]"),
        ({"seeds": {3: None, 5: None}}, "seeds", "takes a list; write [3, 5]"),
        ({"seeds": {"9..0": None}}, "seeds", "takes a list; the range '9..0' must go up"),
        ({"seeds": 3}, "seeds", "takes a list; write [3]"),
        ({"seeds": "0, 2"}, "seeds", "takes a list; write [0, 2]"),
        ({"seeds": "three"}, "seeds", "takes a list; a value of it: Input should be a valid integer"),
        ({"seeds": {"three": None}}, "seeds", "unable to parse string as an integer, not 'three'"),
        ({"seeds": -1}, "seeds", "takes a list; a value of it: Input should be greater than or equal to 0, not -1"),
        ({"expressivity.precisions": "float12"}, "expressivity.precisions", "a value of it: unknown value 'float12'; did you mean 'float32'?"),
        ({"seeds": None}, "seeds", "takes a list; write at least one value"),
        ({"linear_models.models": [LINEAR | {"penalties": None}]},
         "linear_models.models[0].penalties", "takes a list; write at least one value"),
        ({"ablations": [ablation() | {"grid": {"epochs": None}}]}, "ablations[0].grid.epochs", "write at least one value"),
        ({"training.thresholds": None}, "training.thresholds", "takes a list; write []"),
        ({"linear_models.models": None}, "linear_models.models", "takes a list; write []"),
        ({"overrides": [{"cells": None, "set": {"epochs": 3}}]}, "overrides[0].cells", "write at least one value"),
        ({"overrides": [{"cells": [], "set": {"epochs": 3}}]}, "overrides[0].cells", "at least 1 item"),
        ({"overrides": override("*/*/*/*", epochs=1)}, "overrides", "takes a list; begin each entry with '- '"),
        ({"seeds": [10**20]}, "seeds[0]", "less than 9223372036854775808"),
        ({"linear_models.solver.residual": 2}, "linear_models.solver.residual", "less than 1, not 2"),
        ({"seeds": [1, 2, 1]}, "seeds", "names 1 twice"),
        ({"overrides": [override("*/*/*/*") | {"seeds": [0, 0]}]}, "overrides[0].seeds", "names 0 twice"),
        ({"linear_models.models": [LINEAR | {"seeds": [1, 1]}]}, "linear_models.models[0].seeds", "names 1 twice"),
        ({"linear_models.models": [LINEAR | {"penalties": [0, "validated", 0]}]}, "linear_models.models[0].penalties", "names 0.0 twice"),
        ({"linear_models.models": [LINEAR | {"penalties": [0, -1]}]},
         "linear_models.models[0].penalties[1]: Input", "greater than or equal to 0, not -1"),
        ({"models.alexnet.architecture": {"local_response_norm": []}},
         "models", "the option 'local_response_norm' of the network 'alexnet' takes true or false, not []"),
        ({"training.float": 1}, "training.float", "unknown key"),
        ({"linear_models.validation.penalties": [0]}, "linear_models", "is 'validated', so give some above 0"),
        ({"linear_models.validation.penalties": [0.1]}, "linear_models.validation.penalties", "0, the exact fit, must be among them"),
        ({"expressivity.depths": [2, 3, 2]}, "expressivity.depths", "names 2 twice"),
        ({"ablations": [ablation(epochs=0) | {"grid": None}]}, "ablations[0]", "equal to 1, not 0"),
        ({"seeds": []}, "seeds", "at least 1"),
        ({"datasets.cifar10.source": "archive"}, "datasets.cifar10", "the source 'archive' needs a path"),
        ({"datasets.cifar10.path": "x"}, "datasets.cifar10", "takes no path; remove it, or name a local copy's source, archive or images"),
        ({"datasets.cifar10.provenance": "JPEG\ncopy"}, "datasets.cifar10.provenance", "takes one line of text, for example 'JPEG copy', not 'JPEG\\ncopy'"),
        ({"datasets.cifar10.provenance": " "}, "datasets.cifar10.provenance", "takes one line of text"),
        ({"datasets.digits.source": "official"}, "datasets.digits.source", "it can be embedded"),
        ({"datasets.mnist.train_limit": 5}, "datasets.mnist.train_limit", "greater than or equal to 10, not 5"),
        ({"table1.cells": [CELL.replace("alexnet", "alexnt")]}, "table1.cells", "did you mean 'alexnet'?"),
        ({"fig1b.cells": [CELL, CELL.replace("true_labels", "gaussian")]}, "fig1b.cells", "cannot be shown over the label"),
        ({"overrides": [override("*/*/alexnt/*")]}, "overrides[0].cells", "matches none of inception, "),
        ({"overrides": [override("*/*/*/*", epochs=1), override("cifar/*/*/*")]}, "overrides[1].cells", "cifar10"),
        ({"overrides": [override("*/randm*/*/*")]}, "overrides[0].cells", "matches none of true_labels, "),
        ({"overrides": [override("*/*/*/weight_decay")]}, "overrides[0].cells", "matches none of none, crop"),
        ({"overrides": [override("*/*_signs_n0/*/*")]}, "overrides[0].cells", "matches none of"),
        ({"overrides": [override("*/*_sign_n5/*/*")]}, "overrides[0].cells", "matches none of"),
        ({"overrides": [override("*/gaussian_replaced0/*/*")]}, "overrides[0].cells", "matches none of"),
        ({"overrides": [override("*/*/*")]}, "overrides[0].cells", "has 3 parts; the form is"),
        ({"overrides": [override("*/*/*/*", epoch=1)]}, "overrides[0].set.epoch", "did you mean 'epochs'?"),
        ({"overrides": [override("*/*/*/*", epochs=0)]}, "overrides[0].set.epochs", "equal to 1, not 0"),
        ({"overrides": [override("*/*/*/*", epochs=None)]}, "overrides[0].set.epochs", "valid integer, not null"),
        ({"overrides": [override("*/*/*/*", architecture=None)]}, "overrides[0].set.architecture", "not null"),
        ({"overrides": [override("*/*/*/*", precision=None)]}, "overrides[0].set.precision", "unknown value null; known: float32"),
        ({"ablations": [ablation() | {"grid": {"epochs": [1, None]}, "name": "e_{epochs}"}]},
         "ablations[0].grid.epochs", "valid integer, not null"),
        ({"overrides": [override("*/*/*/*", micro_batch=50)]},
         "cifar10/true_labels/inception/crop+wd, ", "more cells: batch_size is 128, not a multiple of micro_batch, which is 50"),
        # Of a cell that no table shows, and that a variant is compared with
        ({"overrides": [override("digits/*/*/*", micro_batch=50)], "ablations": [ablation(micro_batch=64) | {"cells": [DIGITS]}]},
         f"{DIGITS}: ", "batch_size is 128, not a multiple of micro_batch, which is 50"),
        ({"models.alexnet.architecture": {"local_respons_norm": False}},
         "models", "did you mean 'local_response_norm'?"),
        # A word would count as true.
        ({"models.alexnet.architecture": {"local_response_norm": "flase"}},
         "models", "the option 'local_response_norm' of the network 'alexnet' takes true or false, not 'flase'"),
        ({"overrides": [override("*/*/inception/*", architecture={"batch_norm_affine": 28})]},
         "overrides[0]", "'inception' takes true or false, not 28"),
        ({"models.inception_v3.architecture": {"batch_norm_decay": True}}, "models", "'inception_v3' takes a number, not True"),
        ({"models.inception_v3.architecture": {"batch_norm_decay": 20}}, "models", "'inception_v3' is a share, from 0 to below 1, not 20"),
        ({"models.inception_v3.architecture": {"dropout": 1}}, "models", "'inception_v3' is a share, from 0 to below 1, not 1"),
        ({"models.inception_v3.architecture": {"dropout": -0.5}}, "models", "'inception_v3' is a share, from 0 to below 1, not -0.5"),
        ({"datasets.cifar10.input_size": 33}, "cifar10/", "input_size 33, but the images of cifar10 are 32x32; give at most 31"),
        ({"datasets.cifar10.input_size": 32}, "cifar10/true_labels/inception/", "leave 'crop' out"),
        ({"table1.cells": ["cifar10/true_labels/inception_v3/none"]},
         "cifar10/", "input_size 28, but inception_v3 needs images of at least 75x75"),
        ({"datasets.imagenet.stored_size": 98}, "datasets.imagenet", "stored_size is 98"),
        ({"datasets.cifar10.stored_size": 40}, "datasets.cifar10", "stored_size"),
        ({"datasets.cifar10.skip_unreadable": True}, "datasets.cifar10", "skip_unreadable has a meaning for the source 'local' alone"),
        ({"datasets.imagenet.path": "x", "datasets.imagenet.provenance": "made up", "table2.cells": [f"{IMAGENET}/crop"]},
         "imagenet/", "imagenet has no 'crop'; its 'augment' crops"),
        ({"datasets.imagenette.path": "x", "datasets.imagenette.stored_size": 110, "fig1a.cells": ["imagenette/gaussian/mlp_1x512/none"]},
         "imagenette/gaussian", "stored_size 110 is 98x98, so that gaussian would be resized to input_size 96; set datasets.imagenette.stored_size: 108"),
        # A key that has its place elsewhere
        ({"training.label_smoothing": 0.1}, "training.label_smoothing", "it is a key of overrides.set, ablations.set; known here: epochs"),
        ({"training.learning_rate": 0.1}, "training.learning_rate", "it is a key of models, overrides.set, ablations.set; "),
        ({"models.alexnet.seeds": [0]}, "models.alexnet.seeds", "it is a key of the top level, overrides, linear_models.models; "),
        ({"overrides": [{"cells": "*/*/*/*", "epochs": 3}]}, "overrides[0].epochs", "it is a key of training, overrides.set, "),
        ({"overrides": [override("*/*/*/*", rmsprop={"decay": 0.9, "epsilon": 1, "rho": 1})]},
         "overrides[0].set.rmsprop.rho", "unknown key; known here: decay, epsilon"),
        ({"training": None}, "training", "takes keys of its own (epochs, batch_size, "),
        ({"overrides": [override("*/*/*/*")]}, "overrides[0]", "names no setting and no seeds"),
        ({"training.epochs": True}, "training.epochs", "truth values"),
        ({"seeds": [0, False]}, "seeds", "truth values"),
        ({"models.alexnet.learning_rate": float("inf")}, "models.alexnet.learning_rate", "finite"),
        ({"training.momentum": float("nan")}, "training.momentum", "not nan"),
        ({"results_dir": datetime.date(2026, 11, 30)}, "results_dir", "a valid string, not 2026-11-30; put text in quotes"),
        ({"results_dir": 20261130}, "results_dir", "a valid string, not 20261130; put text in quotes"),
        ({"results_dir": True}, "results_dir", "yes, no, on and off without quotes are truth values, not what results_dir takes"),
        ({"results_dir": " "}, "results_dir", "the path is empty"),
        ({"data_dir": "a{b}"}, "data_dir", "wildcards"),
        ({"data_dir": "${NOT_SET}/x"}, "data_dir", "the variable ${NOT_SET} is not set"),
        ({"results_dir": "./"}, "results_dir", "'.' is no folder of its own; name one"),
        ({"results_dir": "/x/.."}, "results_dir", "'/' is no folder of its own; name one"),
        ({"results_dir": "../.."}, "results_dir", "'../..' is no folder of its own; name one"),
        ({"results_dir": os.getcwd()}, "results_dir", "' is no folder of its own; name one"),
        ({"cache_dir": "-rf"}, "cache_dir", "begins with '-'"),
        ({"data_dir": "x/" + 201 * "a"}, "data_dir", "too long for a file system"),
        ({"cache_dir": "~nobody-of-this-name/x"}, "cache_dir", "no home folder of the user 'nobody-of-this-name'"),
        ({"ablations": [ablation(epochs=1) | {"name": "a/b"}]}, "ablations[0].name", "should match pattern"),
        ({"ablations": [ablation(epochs=1) | {"name": 201 * "a"}]}, "ablations[0].name", "at most 200 characters"),
        ({"linear_models.models": [LINEAR | {"name": 201 * "a"}]}, "linear_models.models[0].name", "at most 200 characters"),
        ({"ablations": [ablation(epochs=1) | {"grid": {"epochs": [1, 2]}}]}, "ablations[0]", "'set' and 'grid' both name epochs"),
        ({"ablations": [ablation(weight_decay=1)]}, "ablations[0]",
         f"cell '{CELL}': weight_decay does not count, as there is no regulariser wd"),
        ({"ablations": [ablation(architecture={"dropout": 0.5}) | {"cells": [CELL.replace("alexnet", "inception_v3")]}]},
         "ablations[0]", "dropout does not count, as there is no regulariser dropout"),
        ({"ablations": [ablation(auxiliary_loss=0.4)]}, "ablations[0]",
         f"cell '{CELL}': auxiliary_loss does not count, as there is no auxiliary head"),
        ({"datasets.imagenette.path": "x",
          "ablations": [ablation(auxiliary_loss=0) | {"cells": "imagenette/{true,random}_labels/inception_v3/none"}]},
         "ablations[0]: imagenette/true_labels/inception_v3/none (x), imagenette/random_labels/inception_v3/none (x): ",
         "(x): auxiliary_loss does not count, as there is no auxiliary head below 299x299 pixels"),
        ({"ablations": [ablation(epochs=1), ablation(input_size=33) | {"name": "y"}]},
         f"ablations[1]: {CELL} (y): input_size 33, but the images of cifar10 are 32x32", "give at most 32"),
    ],
)  # fmt: skip
def test_errors_name_file_key_and_what_would_be_right(tmp_path, changes, key, hint):
    base, mine = tmp_path / "base.yaml", tmp_path / "mine.yaml"
    base.write_text(yaml.safe_dump(default_values()))
    mine.write_text(yaml.safe_dump(with_keys({}, changes)))
    with pytest.raises(UserError) as error:
        load_config(with_keys(default_values(), changes), [str(base), str(mine)])
    line = str(error.value).splitlines()[1]
    assert re.match(rf"  {re.escape(str(mine))}(:\d+)?: {re.escape(key)}", line)
    assert hint in line


def test_a_path_that_is_not_utf_8_is_refused():
    """Snakemake would end with a traceback. A command line can hold one, no YAML file can."""
    with pytest.raises(UserError, match=r"--config: data_dir: the path 'caf\\udce9' is not UTF-8"):
        load_config(default_values() | {"data_dir": "caf\udce9"}, [])


def test_networks_see_stored_images_of_the_shipped_sizes_without_another_resizing():
    sizes = [each for each in default_config().datasets.values() if each.stored_size]
    assert sizes
    for each in sizes:
        assert central_box(each.stored_size, each.stored_size)[2] == each.input_size


@pytest.mark.parametrize(
    ("corruption", "size"), [("random_labels", 110), ("true_labels_replaced0", 110), ("gaussian", 108)]
)
def test_true_pixels_can_be_resized_again_and_corrupted_ones_of_the_right_size_are_taken(corruption, size):
    changes = {"path": "x", "stored_size": size}
    values = with_keys(default_values(), {f"datasets.imagenette.{key}": value for key, value in changes.items()})
    values["table1"]["cells"] = [f"imagenette/{corruption}/mlp_1x512/none"]
    assert load_config(values, []).datasets["imagenette"].stored_size == size


def test_images_can_be_stored_as_large_as_networks_see_them():
    size = default_values()["datasets"]["imagenet"]["input_size"]
    config = load_config(with_keys(default_values(), {"datasets.imagenet.stored_size": size}), [])
    assert config.datasets["imagenet"].stored_size == size


@pytest.mark.parametrize(
    "changes",
    [
        {"datasets.cifar10.input_size": 28, "training.batch_size": 1},
        {"datasets.cifar10.input_size": 4, "training.batch_size": 2},
        {"datasets.cifar10.input_size": 4, "training.batch_size": 49_999, "datasets.cifar10.source": "images",
         "datasets.cifar10.path": "x", "datasets.cifar10.provenance": "mine", "capacity.cells": []},
    ],
    ids=["maps of many values", "even", "unknown number of images"],
)  # fmt: skip
def test_small_batches_that_can_be_normalised_are_taken(changes):
    load_config(with_keys(default_values(), changes), [])


def test_the_space_around_a_provenance_does_not_count():
    """A block of YAML ends with a line break, which would be in every table."""
    text = "source: images\npath: x\nprovenance: |\n  JPEG copy\n"
    config = load(datasets__cifar10=default_values()["datasets"]["cifar10"] | yaml.safe_load(text))
    assert config.datasets["cifar10"].provenance == "JPEG copy"


def test_null_on_the_command_line_takes_a_value_away(tmp_path):
    values = with_keys(default_values(), {"datasets.cifar10.source": "archive"})
    values = with_keys(values, {"datasets.cifar10.path": "x", "cache_dir": str(tmp_path)})
    words = ["datasets={cifar10: {source: official, path: null}}", "cache_dir=null", "table4={cells: []}"]
    update_config(values, parse_config(words))
    config = load_config(values, [])
    assert config.datasets["cifar10"].path is None
    assert config.cache_dir is None


def test_nothing_in_the_place_of_a_list_or_number_is_refused(tmp_path):
    """Snakemake would keep what stood there; of a section without keys nothing is to be said."""
    mine, values = tmp_path / "mine.yaml", default_values()
    mine.write_text("table1:\n  cells: {}\ntraining:\n  epochs: {}\nhardware: {}\nmodels: {alexnet: {}}\n")
    update_config(values, yaml.safe_load(mine.read_text()))
    with pytest.raises(UserError) as error:
        load_config(values, [str(mine)])
    assert str(error.value).replace(str(mine), "mine.yaml").splitlines()[1:] == [
        f"  mine.yaml:{line}: {{}} would change nothing here; write what it takes ([] for an empty list)"
        for line in ("2: table1.cells", "4: training.epochs")
    ]


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


@pytest.mark.parametrize(
    ("files", "changes", "named"),
    [
        (
            [{"training": {"epochs": 0}}, {"training": {"epochs": -3}}, {"seeds": [0]}],
            {"training.epochs": -3},
            "{1}:2: training.epochs: ",
        ),
        ([{"seeds": [0]}], {"training.epochs": -3}, "--config: training.epochs: "),
        # A value in place of the section that the file has
        ([{"training": {"epochs": 3}}], {"training": 5}, "--config: training: takes keys of its own"),
        # Of a section, and of all
        (
            [{"datasets": {"digits": {"input_size": 8}}}],
            {"datasets.digits.path": "x"},
            "{0}:2 and --config: datasets.digits: ",
        ),
        (
            [{"results_dir": "x"}],
            {"datasets.digits.source": "official"},
            "{0} and --config: datasets.digits.source is 'official'",
        ),
        (
            [{"results_dir": "x"}],
            {"results_dir": "x", "datasets.digits.input_size": 9, "table1.cells": [DIGITS]},
            f"{{0}} and --config: {DIGITS}: ",
        ),
        (
            [{"results_dir": "x", "table1": {"cells": [DIGITS]}, "datasets": {"digits": {"input_size": 9}}}],
            {"results_dir": "x", "datasets.digits.input_size": 9, "table1.cells": [DIGITS]},
            f"{{0}}: {DIGITS}: ",
        ),
    ],
)
def test_what_set_a_value_is_named(tmp_path, files, changes, named):
    paths = [tmp_path / f"{number}.yaml" for number in range(len(files))]
    for path, content in zip(paths, files, strict=True):
        path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError) as error:
        load_config(with_keys(default_values(), changes), list(map(str, [FILE, *paths])))
    (_, line) = str(error.value).splitlines()
    assert line.startswith(f"  {named.format(*paths)}")


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


@pytest.mark.parametrize("section", ["models.alexnt.learning_rate", "datasets.cifar.input_size"])
def test_an_unknown_name_is_the_only_fault_of_its_section(section):
    with pytest.raises(UserError) as error:
        load_config(with_keys(default_values(), {section: 1}), [])
    assert len(str(error.value).splitlines()) == 2


def test_all_faults_are_reported_at_once():
    with pytest.raises(UserError) as error:
        load(training__epochs=-1, seeds=[-1], results_dir=5)
    assert len(str(error.value).splitlines()) == 4
