"""Options of networks: what their types are, from a configuration's text to the network and the tables."""

import os
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from snakemake.cli import parse_config
from snakemake.utils import update_config

from rethinking.analysis.ablations import describe_changes
from rethinking.analysis.runs import TABLES
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.config.checks import unused_settings
from rethinking.config.loading import load_config
from rethinking.corruption.overlays import write
from rethinking.models import build_model
from rethinking.models.options import default_options
from rethinking.run.code import SCRIPTS
from rethinking.run.digests import digest_of
from rethinking.run.files import UserError, read_json, write_json
from rethinking.run.plugin_files import VARIABLE
from rethinking.run.scripts import packed

from ..default_config import FILE, default_values
from ..summaries import make_summary, write_summary
from .tiny import make_cell, settings_with

CELL = "digits/true_labels/net/none"
MODEL = """
import typing
from collections.abc import Sequence
from typing import Any, Literal, Optional
from torch import nn
class Net(nn.Sequential): ...
@model("net", megaflops=1)
def net(image_shape, num_classes, {}):
    network = Net(nn.Flatten(), nn.LazyLinear(num_classes))
    network.given = {}
    return network
"""


def configuration(plugin, folder, arguments, written="{}", words=(), **sections):
    """A configuration whose network ``net`` has these arguments: the file has the option x, a command line these words."""
    names = [each.split(":")[0].split("=")[0].strip() for each in arguments.split(";")]
    file = plugin(MODEL.format(arguments.replace(";", ","), f"dict({', '.join(f'{n}={n}' for n in names)})"))
    mine, values = folder / "mine.yaml", default_values()
    net = {
        "learning_rate": 0.1,
        "initialisation": "he_normal",
        "weight_decay": 0.0,
        "weight_decay_on": "weights",
    }
    content = {"plugins": [str(file)], "table1": {"cells": [CELL]}, **sections}
    lines = yaml.safe_dump(net)[:-1].replace("\n", "\n    ")
    models = f"models:\n  net:\n    {lines}\n    architecture: {written}\n"
    mine.write_text(yaml.safe_dump(content) + models)
    update_config(values, yaml.safe_load(mine.read_text()))
    update_config(values, parse_config(list(words)))
    return load_config(values, [str(FILE), str(mine)])


def resolved(*given, **sections):
    return configuration(*given, **sections).settings(Cell.from_name(CELL, 0))


def test_an_auxiliary_head_is_what_a_plug_in_can_have(plugin, tmp_path):
    variant = {"name": "aux", "question": "?", "cells": CELL, "set": {"auxiliary_loss": 0.4}}
    config = configuration(plugin, tmp_path, "x=1", ablations=[variant])
    assert config.settings(Cell.from_name(CELL, 0), "aux").auxiliary_loss == 0.4


def test_an_option_with_the_name_of_a_setting_is_none(plugin, tmp_path):
    own, variant = ({"cells": CELL, "set": {"architecture": {"weight_decay": value}}} for value in (3, 4))
    variant |= {"name": "wide", "question": "?"}
    config = configuration(plugin, tmp_path, "weight_decay=1", overrides=[own], ablations=[variant])
    assert config.settings(Cell.from_name(CELL, 0), "wide").architecture == {"weight_decay": 4}
    assert list(unused_settings(config, len(config.overrides) - 1)) == []


@pytest.mark.parametrize(
    ("argument", "written", "value"),
    [
        # Text stays as it is.
        ("x: str = '18'", "'34'", "34"),
        ("x: str = 'batch'", "'off'", "off"),
        ("x: str = ''", "'null'", "null"),
        ("x: str = ''", "1e3", "1e3"),  # text in YAML 1.1
        ("x: str = ''", "'007'", "007"),
        ("x: 'str' = ''", "'[16, 32]'", "[16, 32]"),
        ("x='18'", "'34'", "34"),
        ("x: str | None = None", "'34'", "34"),
        ("x: int | str = 3", "'34'", "34"),
        ("x: int | str = 3", "34", 34),
        ("x: Literal['18', '34'] = '18'", "'34'", "34"),
        ("x: list[str] = ['18']", "['34', 'no']", ["34", "no"]),
        ("x=('18', '34')", "['34']", ["34"]),
        # What else is written as text is read, as the command line has nothing but text.
        ("x: int = 18", "'34'", 34),
        ("x: float = 1", "'1e3'", 1000.0),
        ("x: bool = True", "'off'", False),
        ("x=True", "'no'", False),
        ("x=18", "'34'", 34),
        ("x=18", "0.5", 0.5),
        ("x: Literal[18, 34] = 18", "'34'", 34),
        ("x: Any = None", "'34'", 34),
        ("x=None", "'wide'", "wide"),
        ("x: Net = None", "'34'", 34),
        # Lists and null.
        ("x: list[int] = [8]", "[16, 16]", [16, 16]),
        ("x: list[int] = [8]", "['16', '32']", [16, 32]),
        ("x: list[int] = [8]", "'[16, 32]'", [16, 32]),
        ("x: Sequence[int] = (8,)", "[16]", [16]),
        ("x: list[list[int]] = [[8]]", "[[16, 32], []]", [[16, 32], []]),
        ("x: list = None", "[16, wide, null, 0.5, true]", [16, "wide", None, 0.5, True]),
        ("x=[8]", "[16]", [16]),
        ("x: int | None = 3", "null", None),
        ("x: Optional[int] = 3", "'null'", None),
        ("x: typing.Union[int, None] = 3", "4", 4),
        ("x: 'int | None' = 3", "null", None),
        ("x: str | None = ''", "'null'", None),
        ("x: list[int | None] = [8]", "[16, null]", [16, None]),
    ],
)  # fmt: skip
def test_values_reach_the_network_as_its_types_say(plugin, tmp_path, argument, written, value):
    settings = resolved(plugin, tmp_path, argument, f"{{x: {written}}}")
    assert repr(settings.architecture) == repr({"x": value})
    again = CellSettings.model_validate_json(settings.model_dump_json())  # what a job gets
    assert repr(again.architecture) == repr(settings.architecture)
    assert digest_of(again.model_dump()) == digest_of(settings.model_dump())
    assert repr(build_model("net", (1, 8, 8), 10, **again.architecture).given["x"]) == repr(
        tuple(value) if argument.startswith("x=(") else value
    )


@pytest.mark.parametrize(
    ("argument", "written", "expected"),
    [
        ("x: str = ''", "34", "takes text, not 34; write text in quotes"),
        ("x: str = ''", "off", "takes text, not False; write text in quotes"),
        ("x: str = ''", "null", "takes text, not None; write text in quotes"),
        ("x=''", "34", "takes text, not 34; write text in quotes; its default decides, as it has no annotation in "),
        ("x=True", "wide", "takes true or false, not 'wide'; its default decides"),
        ("x: int = 3", "wide", "takes a whole number, not 'wide'"),
        ("x: int = 3", "null", "takes a whole number, not None"),
        ("x: int | None = 3", "3.5", "takes a whole number or null, not 3.5"),
        ("x: int = 3", "[8]", "takes a whole number, not [8]"),
        ("x: float = 3", "'NaN'", "takes a number, not 'NaN'"),
        ("x: float = 3", "'1e999'", "takes a number, not '1e999'"),
        ("x: bool = True", "[true]", "takes true or false, not [True]"),
        ("x: list[int] = [8]", "8", "takes a list of whole numbers, not 8"),
        ("x: list[int] = [8]", "[8, 0.5]", "takes a list of whole numbers, not [8, 0.5]"),
        ("x: list[str] = ['a']", "[a, 3]", "takes a list of texts, not ['a', 3]; write text in quotes"),
        ("x: tuple[int, ...] | None = None", "[a]", "takes a list of whole numbers or null, not ['a']"),
        ("x: list = []", "8", "takes a list, not 8"),
        ("x: Literal['18', 34] = '18'", "18", "takes '18' or 34, not 18"),
        ("x: Any = 1", "{a: 1}", "an option is true, false, a number, text, null or a list of these, not {'a': 1}"),
        ("x: Any = 1", "[[{a: 1}]]", "or a list of these, not [[{'a': 1}]]"),
        ("x: Any = 1", ".inf", "or a list of these, not inf"),
        ("x: Any = 1", "2020-01-01", "or a list of these, not datetime.date(2020, 1, 1)"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_one_line(plugin, tmp_path, argument, written, expected):
    with pytest.raises(UserError) as error:
        configuration(plugin, tmp_path, argument, f"{{x: {written}}}")
    _, *lines = str(error.value).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(f"  {tmp_path / 'mine.yaml'}:")
    assert expected in lines[0]
    assert "models: the option 'x' of the network 'net'" in lines[0] or "models.net.architecture.x: " in lines[0]


def test_values_from_the_command_line(plugin, tmp_path):
    """Snakemake passes all that is nested in --config as text."""
    arguments = "a: str = ''; b: int = 1; c: bool = True; d: list[int] = []; e: int | None = 3; f: list[str] = []"
    words = ["models={net: {architecture: {a: 007, b: 34, c: off, d: [16, 32], e: null, f: [34, no]}}}"]
    expected = {"a": "007", "b": 34, "c": False, "d": [16, 32], "e": None, "f": ["34", "no"]}
    assert resolved(plugin, tmp_path, arguments, words=words).architecture == expected


def test_each_network_that_a_pattern_matches_reads_its_own_types(plugin, tmp_path):
    other = "\n@model('other')\ndef other(image_shape, num_classes, x: int = 1): ...\n@model('net')"
    overrides = [{"cells": "*/*/{net,other}/*", "set": {"architecture": {"x": "34"}}}]

    def both(text):
        return plugin(text.replace('@model("net"', other.replace("@model('net')", '@model("net"')))

    config = configuration(both, tmp_path, "x: str = ''", overrides=overrides)
    models = config.models | {"other": config.models["net"]}
    config = config.model_copy(update={"models": models})
    for name, value in (("net", "34"), ("other", 34)):
        settings = config.settings(Cell.from_name(CELL.replace("net", name), 0))
        assert settings.architecture == {"x": value}


def test_ablations_and_tables_have_lists_and_null(plugin, tmp_path, script):
    grid = {"architecture": [{"x": [16, 32]}, {"x": None}, {"x": []}]}
    variants = {"name": "x_{architecture[x]}", "question": "How wide?", "cells": CELL, "grid": grid}
    config = configuration(plugin, tmp_path, "x: list[int] | None = None", "{x: [8]}", ablations=[variants])
    assert [each.name for each in config.ablations] == ["x_16-32", "x_null", "x_"]
    summaries = []
    for variant in (None, "x_16-32", "x_null"):
        settings = config.settings(Cell.from_name(CELL, 0), variant)
        summaries.append(
            make_summary(f"{CELL}/seed0", settings=settings.model_dump(include={"architecture", "thresholds"}))
        )
        branch = f"ablations/{variant}" if variant else "."
        write_summary(tmp_path / branch / "cells", summaries[-1])
    changes = [describe_changes(summaries[0], each) for each in summaries]
    assert changes == ["nothing", "x [8] → [16, 32]", "x [8] → null"]
    without = make_summary(f"{CELL}/seed0")
    assert describe_changes(without, summaries[1]).startswith("x null → [16, 32], ")
    write_summary(tmp_path / "ablations/without/cells", without)
    for summary in tmp_path.rglob("summary.json"):
        for table, columns in TABLES.items():
            pd.DataFrame([dict.fromkeys(columns, 1)]).to_csv(summary.with_name(f"{table}.csv"), index=False)
    branches = ("", "ablations/x_16-32/", "ablations/x_null/", "ablations/without/")
    names = [f"{branch}cells/{CELL}" for branch in branches]
    script(
        "collect_cells",
        root=tmp_path,
        cells=names,
        seeds=0,
        networks=tmp_path / "cells.csv",
        curves=tmp_path / "curves.csv.gz",
    )
    table = pd.read_csv(tmp_path / "cells.csv", keep_default_na=False)
    assert list(table.setting_x) == ["[8]", "[16, 32]", "null", "null"]
    assert "setting_thresholds" not in table


@pytest.mark.parametrize(
    "network",
    [
        "def net(shape, classes, x: tuple[int, ...] = (16, 32), y=WIDE, *, z: int = 3): ...",
        "class net:\n    def __init__(self, shape, classes, x=[16, 32], y=WIDE, z=3.0): ...",
    ],
)
def test_literal_defaults_are_values(plugin, network):
    plugin(f"WIDE = 5\n@model('net')\n{network}\n")
    assert default_options("net") == {"x": [16, 32], "z": 3}


def test_a_variant_with_the_default_of_an_option_leaves_the_cell_out(plugin, tmp_path):
    """It would train the same network a second time."""
    grid = {"architecture": [{"x": [8]}, {"x": [16]}]}
    variants = {"name": "x_{architecture[x]}", "question": "How wide?", "cells": CELL, "grid": grid}
    config = configuration(plugin, tmp_path, "x: tuple[int, ...] = (8,)", ablations=[variants])
    assert [each.cells for each in config.ablations] == [[], [CELL]]


def test_a_tuple_is_given_as_a_tuple(plugin):
    plugin(
        "from torch import nn\n@model('net')\n"
        "def net(image_shape, num_classes, a: tuple[int, ...] = (8,), b=(8,), c: list[int] = [8]):\n"
        "    network = nn.Flatten()\n    network.given = (a, b, c)\n    return network\n"
    )
    network = build_model("net", (1, 8, 8), 10, a=[1, 2], b=[3], c=[4])
    assert network.given == ((1, 2), (3,), [4])


def test_a_cell_is_trained_and_counted_with_a_list(plugin, prepared, tmp_path, script):
    file = plugin(
        "from itertools import pairwise\nfrom torch import nn\n@model('net')\n"
        "def net(image_shape, num_classes, widths: list[int] | None = None, norm: str = 'batch'):\n"
        "    assert norm == '{off}'\n    sizes = [300, *(widths or []), num_classes]\n"
        "    return nn.Sequential(nn.Flatten(), *(nn.Linear(*each) for each in pairwise(sizes)))\n"
    )
    write(prepared, tmp_path / "overlay", "labels_p0.5", "cifar10", seed=0)
    settings = settings_with(epochs=1, architecture={"widths": [6, 5], "norm": "{off}"})
    options = {
        "cell": make_cell("net"), "settings": settings.model_dump_json(), "prepared": prepared,
        "overlay": tmp_path / "overlay", "output": tmp_path / "cell", "checkpoint": tmp_path / "state.safetensors",
    }  # fmt: skip
    command = [
        sys.executable,
        SCRIPTS / "train_cell.py",
        "--device=cpu",
        *(f"--{k}={v}" for k, v in options.items()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, VARIABLE: str(file)})
    assert done.returncode == 0, done.stderr
    summary = read_json(tmp_path / "cell" / "summary.json")
    assert summary["parameters"] == 301 * 6 + 7 * 5 + 6 * 4
    assert summary["provenance"]["settings"]["architecture"] == settings.architecture
    network = {"dataset": "cifar10", "model": "net"} | settings.model_dump(include={"input_size", "architecture"})
    write_json(tmp_path / "manifest.json", read_json(prepared / "manifest.json") | {"dataset": "cifar10"})
    options = {"manifests": tmp_path / "manifest.json", "output": tmp_path / "sizes.csv"}
    script("count_sizes", networks=packed([network]), **options)
    assert pd.read_csv(tmp_path / "sizes.csv").parameters.tolist() == [summary["parameters"]]
