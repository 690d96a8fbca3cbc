"""How a configuration resolves to the settings of each cell."""

import json

import pytest
import yaml

from rethinking.cells import Cell
from rethinking.config.checks import unused_settings
from rethinking.config.configuration import Config
from rethinking.config.loading import load_config
from rethinking.run.files import UserError

from ..default_config import (
    CELL,
    FILE,
    ablation,
    default_config,
    default_values,
    load,
    override,
    settings,
    with_keys,
)

MLP = "cifar10/true_labels/mlp_1x512/none"
CROPPED = "cifar10/random_labels/inception/crop"


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


NONE = {"true_labels", "labels_p0.0", "true_labels_replaced3"}
ALL = {"random_labels", "labels_p1.0", "random_labels_replaced3"}
HALF, SIGNS = {"labels_p0.5"}, {"random_signs_n500", "true_signs_n500"}
OTHERS = {"labels_p0.25", "random_pixels", "gaussian", "random_signs_n50"}


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ("labels_p1.0", ALL),
        ("random_labels", ALL),
        ("true_labels", NONE),
        ("labels_p0.5", HALF),
        ("labels_p0.*", NONE | HALF | {"labels_p0.25"}),
        ("labels_p*", NONE | HALF | ALL | {"labels_p0.25"}),
        ("labels_p?.0", NONE | ALL),
        ("labels_p{0.0..1.0..0.5}", NONE | HALF | ALL),
        ("*_signs_n500", SIGNS),
        ("random_signs_n*", {"random_signs_n500", "random_signs_n50"}),
        ("*_replaced*", {"true_labels_replaced3", "random_labels_replaced3"}),
        # These have a form that can be matched, but no cell here does.
        ("true_signs_n7", set()),
        ("*replaced12", set()),
    ],
)
def test_overrides_know_all_names_of_a_corruption(pattern, matched):
    """Those of a probability, and those of the cells with a replaced example."""
    config = load(overrides=[override(f"cifar10/{pattern}/*/*", epochs=5)])
    names = NONE | HALF | ALL | SIGNS | OTHERS
    assert {each for each in names if settings(config, f"cifar10/{each}/alexnet/none").epochs == 5} == matched


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


@pytest.mark.parametrize(
    ("setting", "value", "beside"),
    [
        ("weight_decay_on", "hidden_linear", {"weight_decay": 0}),
        ("decay_every", 3, {"learning_rate_decay": 1}),
        ("reduction", "fast", {"micro_batch": None}),
    ],
)
def test_cells_do_not_depend_on_a_setting_that_means_nothing_beside_another(setting, value, beside):
    """Variants that differ in it alone would be trained twice, and shown as different."""
    name = "cifar10/true_labels/mlp_1x512/wd"
    plain, other = (load(overrides=[override(name, **beside, **more)]) for more in ({}, {setting: value}))
    assert settings(plain, name).model_dump() == settings(other, name).model_dump()
    used = {"weight_decay": 0.1, "learning_rate_decay": 0.5, "micro_batch": 32}
    assert getattr(settings(load(overrides=[override(name, **used, **{setting: value})]), name), setting) == value


def load_files(tmp_path, *overrides, command_line=None):
    """One file for each list of overrides, merged as Snakemake does it: the last list stays."""
    files, values = [], default_values()
    for number, some in enumerate(overrides):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(yaml.safe_dump({} if some is None else {"overrides": some}))
        values |= {} if some is None else {"overrides": some}
    values |= {} if command_line is None else {"overrides": command_line}
    return load_config(values, list(map(str, files)))


def test_own_overrides_add_to_the_default_ones(tmp_path):
    default = default_values()["overrides"]
    for mine in ([override(MLP, epochs=7)], [], None):
        config = load_files(tmp_path, default, mine)
        cropped = settings(config, CROPPED)
        assert (cropped.epochs, cropped.learning_rate_decay) == (400, 0.999)
        assert settings(config, MLP).epochs == (7 if mine else 100)


def test_a_setting_that_an_override_of_an_earlier_file_replaces_is_named(tmp_path):
    """Someone who wants a trial of ImageNet with training: {epochs: 2} would start 250 epochs."""
    mine = tmp_path / "mine.yaml"

    def lines(own=None, **changes):
        values, found = default_values() | {"table4": {"cells": []}, "ablations": []}, []
        values["datasets"]["imagenet"]["path"] = "/x"
        values |= {"overrides": []} | (own or {})
        mine.write_text(yaml.safe_dump({"overrides": []} | (own or {})))
        load_config(
            with_keys(values, {key.replace("__", "."): value for key, value in changes.items()}),
            [str(FILE), str(mine)],
            found.append,
        )
        return found

    assert lines() == lines(training__epochs=100, training__momentum=0.5) == lines(training__epochs=250) == []
    (line,) = lines(training__epochs=2)
    assert line == (
        "training.epochs, 2, does not count for imagenet/true_labels/inception_v3/augment+wd+dropout, "
        "imagenet/true_labels/inception_v3/augment, imagenet/true_labels/inception_v3/wd and 4 more cells, where an override "
        f'of {FILE} sets 250; to change it there, write overrides: [{{cells: "imagenet*/*/*/*", set: {{epochs: 2}}}}]'
    )
    # What an override of the same file replaces is known to whoever wrote it.
    own = {"overrides": [override("imagenet*/*/*/*", epochs=3)]}
    values = default_values()["training"]
    assert lines(own | {"training": values | {"epochs": 2}}) == []
    (line,) = lines(own, training__epochs=2)
    assert f"where an override of {mine} sets 3; to change it there" in line
    found = lines(
        models__inception_v3__learning_rate=0.1, table2__cells=["imagenette/true_labels/inception_v3/none"],
        datasets__imagenette__path="/x", fig2a__cells=[],
    )  # fmt: skip
    assert [line.split(" does")[0] for line in found] == ["models.inception_v3.learning_rate, 0.1,"]
    # A variant is compared with a cell that no table shows.
    compared = "imagenette/true_labels/inception_v3/none"
    (line,) = lines(
        training__epochs=2, table2__cells=[], fig2a__cells=[], datasets__imagenette__path="/x",
        ablations=[ablation(momentum=0.5) | {"cells": [compared]}],
    )  # fmt: skip
    assert line.startswith(f"training.epochs, 2, does not count for {compared}, where an override of {FILE} sets 250; ")


def test_a_setting_of_an_override_that_none_of_its_cells_uses_is_named(tmp_path):
    """Someone who forgets wd in the cells would find that weight decay changes nothing."""

    def lines(*overrides, **sections):
        mine, found = tmp_path / "mine.yaml", []
        mine.write_text(yaml.safe_dump({"overrides": list(overrides)} | sections))
        load_config(default_values() | yaml.safe_load(mine.read_text()), [str(FILE), str(mine)], found.append)
        return [line.removeprefix(f"{mine}:") for line in found]

    both = "cifar10/{true,random}_labels/mlp_1x512/none"
    assert lines(override(MLP, epochs=3), override(both, weight_decay=0.1, weight_decay_on="weights")) == [
        f"{line}: overrides[1].set.{setting}, does not count, as cifar10/true_labels/mlp_1x512/none, "
        "cifar10/random_labels/mlp_1x512/none, cifar10/true_labels_replaced0/mlp_1x512/none and 1 more cell have no "
        "regulariser wd"
        for line, setting in ((7, "weight_decay, 0.1"), (8, 'weight_decay_on, "weights"'))
    ]
    path = {"imagenette": default_values()["datasets"]["imagenette"] | {"path": "x"}}
    shown = {
        "datasets": default_values()["datasets"] | path,
        "fig2a": {"cells": ["imagenette/true_labels/inception_v3/wd"]},
    }
    dropped = override("imagenette/*/inception_v3/*", architecture={"dropout": 0.5})
    (line,) = lines(dropped, **shown)
    assert line.endswith(
        ": overrides[0].set.architecture.dropout, 0.5, does not count, as imagenette/true_labels/inception_v3/wd has no "
        "regulariser dropout"
    )
    (line,) = lines(override("*/*/alexnet/*", auxiliary_loss=0.4))
    assert line.endswith(" more cells have no auxiliary head")
    head, large = override("imagenette/*/inception_v3/*", auxiliary_loss=0.3), ablation(input_size=299)
    variants = [large | {"cells": shown["fig2a"]["cells"]}]
    (line,) = lines(head, **shown)
    assert line.endswith("imagenette/true_labels/inception_v3/wd has no auxiliary head below 299x299 pixels")
    assert lines(head, **shown, ablations=variants) == []
    for setting, beside, missing in (
        ("reduction", {}, "micro_batch"),
        ("decay_every", {"learning_rate_decay": 1}, "learning_rate_decay below 1"),
        ("weight_decay_on", {"weight_decay": 0}, "weight_decay above 0"),
    ):
        value = {"decay_every": 3, "weight_decay_on": "weights", "reduction": "fast"}[setting]
        (line,) = lines(override("cifar10/*/mlp_3x512/wd", **beside, **{setting: value}))
        assert f"overrides[0].set.{setting}, {json.dumps(value)}, does not count, as cifar10/" in line
        assert line.endswith(f"/mlp_3x512/wd have no {missing}")
    (line,) = lines(override("cifar10/true_labels/mlp_3x512/{none,wd}", weight_decay_on="weights", weight_decay=0))
    assert line.endswith(" have no weight_decay above 0 or no regulariser wd")
    # One of the cells uses it, and it is a variant.
    assert lines(override("cifar10/*/alexnet/*", weight_decay=0.1)) == []
    variant = {"table1": {"cells": [MLP]}, "ablations": [ablation(epochs=3) | {"cells": [MLP.replace("none", "wd")]}]}
    assert lines(override("cifar10/true_labels/mlp_1x512/*", weight_decay=0.1), **variant) == []
    # No cell is configured, or those that are wait for their data set.
    for values in ({"set": {"epochs": 3, "weight_decay": 0.1}}, {"seeds": [0]}):
        (line,) = lines({"cells": "mnist/*/{alexnet,inception}/none"} | values)
        assert line.endswith(
            ": overrides[0].cells, mnist/*/alexnet/none, mnist/*/inception/none, matches none of the cells of tables, figures "
            "and ablations"
        )
    assert lines(override("imagenet/*/*/wd", epochs=3)) == []
    assert lines(*default_values()["overrides"]) == []  # the file began as a copy of config.yaml


def test_cells_without_an_auxiliary_head_are_not_resolved_for_unused_settings(monkeypatch):
    """With thousands of cells every start would wait for them."""
    config, resolved = load(overrides=[override("*/*/*/*", epochs=3, weight_decay=0.1, auxiliary_loss=0.4)]), []
    resolve = Config.settings
    monkeypatch.setattr(Config, "settings", lambda *of: resolved.append(of[1]) or resolve(*of))
    assert [path for _, path, _ in unused_settings(config)] == [("set", "auxiliary_loss")]
    assert list(unused_settings(config, 1)) == resolved == []


def test_overrides_of_all_files_and_of_the_command_line_add(tmp_path):
    some = [
        [override(MLP, epochs=1, momentum=0.1, batch_size=1)],
        [override(MLP, momentum=0.2, batch_size=2)],
    ]
    found = settings(load_files(tmp_path, *some, command_line=[override(MLP, batch_size=3)]), MLP)
    assert (found.epochs, found.momentum, found.batch_size) == (1, 0.2, 3)


def test_message_names_the_place_in_the_users_file(tmp_path):
    default = default_values()["overrides"]
    with pytest.raises(UserError, match=r"1\.yaml:\d+: overrides\[0\]\.set\.epochs: .* not 0"):
        load_files(tmp_path, default, [override(MLP, epochs=0)])
    with pytest.raises(UserError, match=r"--config: overrides\[0\]\.set\.epochs: .* not 0"):
        load_files(tmp_path, default, None, command_line=[override(MLP, epochs=0)])


@pytest.mark.parametrize("dataset", ["cifar100", "digits", "mnist"])
def test_default_overrides_concern_cifar10_alone(dataset):
    found = settings(load(), CROPPED.replace("cifar10", dataset))
    assert (found.epochs, found.learning_rate_decay) == (100, 0.95)


def test_variant_changes_what_it_names_on_top_of_overrides():
    config = load(
        overrides=[override("cifar10/*/*/*", epochs=5, momentum=0.5)],
        ablations=[ablation(epochs=7, input_size=24, architecture={"local_response_norm": False})],
    )
    cell, variant = settings(config, CELL), settings(config, CELL, "x")
    assert (cell.epochs, cell.input_size, cell.architecture) == (5, 28, {"local_response_norm": True})
    assert (variant.epochs, variant.input_size, variant.momentum) == (7, 24, 0.5)
    assert variant.architecture == {"local_response_norm": False}
    assert config.variants() == [("x", Cell.from_name(CELL, seed)) for seed in config.seeds]
    assert config.ablated_cells() == [cell for _, cell in config.variants()]


def test_null_takes_away_what_another_override_sets():
    """Left out, the network would train with it, and an ablation have a name for what it does not do."""
    name = "imagenette/true_labels/inception_v3/none"
    taken = {"rmsprop": None, "micro_batch": None, "average_decay": None}
    of_grid = {
        "cells": name,
        "question": "?",
        "name": "{rmsprop}_{epochs}",
        "grid": {"rmsprop": [None], "epochs": [3]},
    }
    config = load(
        datasets__imagenette__path="x",
        ablations=[{**ablation(**taken), "cells": name}, of_grid],
    )
    default, sgd, grid = (settings(config, name, variant) for variant in (None, "x", "null_3"))
    assert None not in (default.rmsprop, default.micro_batch, default.average_decay)
    assert (sgd.rmsprop, sgd.micro_batch, sgd.average_decay) == (None, None, None)
    assert (grid.rmsprop, grid.epochs, grid.micro_batch) == (None, 3, 32)
    # As 'snakemake status' is given the configuration
    again = load_config(config.model_dump(mode="json"), [])
    assert [settings(again, name, variant) for variant in (None, "x", "null_3")] == [default, sgd, grid]
    overrides = [*default_values()["overrides"], override("imagenette/*/*/*", **taken)]
    # Settings without a value are not written, so these are those of a network that never had them.
    plain = settings(load(datasets__imagenette__path="x", overrides=overrides), name)
    assert plain.model_dump() == sgd.model_dump()
    assert not set(taken) & set(plain.model_dump())


def test_settings_that_do_not_fit_together_are_refused_for_a_cell_of_no_table():
    config = load(overrides=[override("mnist/*/*/*", micro_batch=50)])
    with pytest.raises(UserError, match=r"^cell 'mnist/.*none': batch_size is 128, not a multiple of micro"):
        settings(config, "mnist/true_labels/alexnet/none")


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


def test_a_default_ablation_leaves_out_the_cells_that_have_its_settings_already():
    values = default_values()
    values["models"]["inception"]["initialisation"] = "torch_default"
    before, config = default_config(), load_config(values, [str(FILE)])
    left_out = [each for each in before.variants() if each not in config.variants()]
    names = [f"cifar10/{labels}_labels/inception/none" for labels in ("true", "random")]
    assert left_out == [
        ("initialisation_torch_default", Cell.from_name(name, seed)) for name in names for seed in before.seeds
    ]


def test_hardware_and_seeds_change_no_settings():
    other = load(hardware={"device": "cpu", "threads": 4}, seeds=[9], results_dir="x", finished_only=True)
    assert settings(load(), CELL) == settings(other, CELL)


def test_a_cell_has_the_seeds_of_the_last_override_that_names_some():
    chosen = [{"cells": [pattern], "seeds": seeds} for pattern, seeds in (("*/*/*/*", [0, 1]), (CELL, [2]))]
    config = load(seeds=[0, 1, 2], overrides=[*chosen, override(CELL, epochs=3)])
    assert (config.seeds_of(CELL), config.seeds_of(CROPPED)) == ([2], [0, 1])


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


# --- values ---------------------------------------------------------------------------------------


def test_home_folder_and_variables_are_the_same_everywhere(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    dataset = {"source": "archive", "path": "~/cifar.tar", "input_size": 28}
    config = load(results_dir="~/results/", data_dir="${HOME}_1", cache_dir="$HOME", datasets__cifar10=dataset)
    folders = (config.results_dir, config.data_dir, config.cache_dir)
    assert folders == ("/home/ada/results", "/home/ada_1", "/home/ada")
    assert config.datasets["cifar10"].path == "/home/ada/cifar.tar"
