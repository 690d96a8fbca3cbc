"""The short form of cells: braces, ranges, cells of other sections, grids; and messages on mistakes."""

import re

import pytest
import yaml

from rethinking.config.loading import load_config
from rethinking.config.patterns import expand_braces
from rethinking.run.files import UserError

from ..default_config import FILE, default_values, load

MLP = "cifar10/true_labels/mlp_1x512/none"
WD = "cifar10/{true,random}_labels/alexnet/wd"


# The line of its cells.
FIG1C = FILE.read_text().splitlines().index("fig1c: {cells: fig1b}") + 1


def faults(tmp_path, **sections):
    """The lines about a file with these sections, without the file's name."""
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(sections))
    with pytest.raises(UserError) as error:
        load_config(default_values() | sections, [str(FILE), str(file)])
    first, *lines = str(error.value).splitlines()
    assert first == "the configuration is not valid:"
    return [re.sub(rf"^  {re.escape(str(file))}(:\d+)?: ", "", line) for line in lines]


def cells(*patterns):
    return {"cells": list(patterns)}


# --- expansion ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("plain", ["plain"]),
        ("{a,b}-{1,2}", ["a-1", "b-1", "a-2", "b-2"]),  # the first varies fastest
        ("a{,_b}", ["a", "a_b"]),
        ("{ a , b }", ["a", "b"]),
        ("p{0.0..1.0..0.25}", ["p0.0", "p0.25", "p0.5", "p0.75", "p1.0"]),
        ("p{0.1..0.7..0.2}", ["p0.1", "p0.3", "p0.5", "p0.7"]),
        ("p{0.0..0.5..0.2}", ["p0.0", "p0.2", "p0.4"]),
        ("p{0.00..2.00..1.00}", ["p0.0", "p1.0", "p2.0"]),
        ("p{0.00001..0.00002..0.00001}", ["p0.00001", "p0.00002"]),
        ("n{8..11}", ["n8", "n9", "n10", "n11"]),
        ("n{5..5}", ["n5"]),
        ("n{0..1000..500,7}", ["n0", "n500", "n1000", "n7"]),
    ],
)
def test_braces(pattern, names):
    assert expand_braces(pattern) == names


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{a,b", "no partner"),
        ("a}", "no partner"),
        ("{a,{b,c}}", "is inside other braces"),
        ("{0.0..1.0}", "needs a step"),
        ("{0..0.5}", "needs a step"),
        ("{1.0..0.0..0.1}", "must go up"),
        ("{0..1..0}", "must go up"),
        ("{3..1..-1}", "must go up"),
        ("{0..10000000000}", "more than 10000 numbers"),
        ("{1..1000}{1..1000}", "more than 10000 names"),
    ],
)
def test_braces_that_mean_nothing(pattern, message):
    with pytest.raises(ValueError, match=message):
        expand_braces(pattern)


def test_a_section_follows_the_one_that_it_names():
    config = load(fig1b=cells(MLP))
    assert config.fig1c.cells == [MLP]
    assert load(fig1b=cells()).fig1c.cells == []


def test_sections_add_what_is_not_listed_yet():
    other = MLP.replace("true", "random")
    config = load(table1=cells(MLP), fig1b=cells(MLP, other), fig1c=cells(MLP, "fig1b", "table1"))
    assert config.fig1c.cells == [MLP, other]


def test_a_grid_leaves_out_the_cells_that_have_its_value_already():
    entry = {"name": "x_{weight_decay:g}", "question": "?", "grid": {"weight_decay": [0.0005, 0.004]}}
    names = [f"cifar10/true_labels/{model}/wd" for model in ("alexnet", "mlp_1x512")]
    left = {each.name: each.cells for each in load(ablations=[entry | cells(*names)]).ablations}
    assert left == {"x_0.0005": names[:1], "x_0.004": names[1:]}


def test_grid_is_a_variant_for_each_combination():
    entry = {"name": "{epochs}_{momentum:.2f}_{weight_decay_on}", "question": "?", "cells": WD}
    entry |= {"set": {"weight_decay_on": "weights"}, "grid": {"epochs": [1, 2], "momentum": [0, 0.5]}}
    variants = load(ablations=[entry]).ablations
    assert [each.name for each in variants] == [
        "1_0.00_weights",
        "2_0.00_weights",
        "1_0.50_weights",
        "2_0.50_weights",
    ]
    assert [(each.set.epochs, each.set.momentum) for each in variants] == [(1, 0), (2, 0), (1, 0.5), (2, 0.5)]
    assert {each.set.weight_decay_on for each in variants} == {"weights"}
    assert all(each.cells == expand_braces(WD) for each in variants)


def test_numbers_that_are_text_can_be_in_names():
    """PyYAML takes 1e-3 for text, and --config passes all numbers as text; text stays as it is written."""
    entry = {"name": "{learning_rate:g}_{epochs:02d}_{initialisation:.9}_{momentum}", "question": "?", "cells": MLP}
    entry |= {"set": {"momentum": "5e-1"}, "grid": yaml.safe_load("{learning_rate: [1e-3, 3e-5], epochs: ['7']}")}
    entry["grid"]["initialisation"] = ["he_normal"]
    variants = load(ablations=[entry]).ablations
    assert {each.name: each.set.learning_rate for each in variants} == {
        "0.001_07_he_normal_5e-1": 0.001,
        "3e-05_07_he_normal_5e-1": 0.00003,
    }


def test_expansion_changes_none_of_the_values():
    values = default_values()
    load_config(values, [])
    assert values == default_values()


# --- mistakes -------------------------------------------------------------------------------------

PATTERN = "cifar10/{true,ture}_labels/{mlp_3x512,mlp_1x512}/none"
GRID = {"name": "x_{epochs}", "question": "?", "cells": WD, "grid": {"epochs": [1, 2]}}


@pytest.mark.parametrize(
    ("sections", "line"),
    [
        ({"table1": cells(MLP, WD, PATTERN)}, f"table1.cells[2] '{PATTERN}': unknown corruption 'ture_labels'; did you mean 'true_labels'?"),
        ({"table1": {"cells": PATTERN}}, f"table1.cells '{PATTERN}': unknown corruption 'ture_labels'; did you mean 'true_labels'?"),
        ({"table1": cells(MLP.replace("true", "ture"))}, "table1.cells[0]: cell 'cifar10/ture_labels/mlp_1x512/none': unknown"),
        ({"table1": cells("cifar10/true_labels/alexnet/{wd,wd+crop}")},
         "table1.cells[0] 'cifar10/true_labels/alexnet/{wd,wd+crop}': write its regularisers as 'crop+wd'"),
        ({"table1": cells("cifar10/{true/alexnet/none")}, "table1.cells[0] 'cifar10/{true/alexnet/none': a brace has no partner"),
        ({"table1": cells(MLP, "cifar10/{random,true}_labels/mlp_1x512/none")},
         f"table1.cells[1] 'cifar10/{{random,true}}_labels/mlp_1x512/none': cell '{MLP}' is listed twice"),
        ({"table1": cells("tabel4")}, "table1.cells[0] 'tabel4': no section with cells has this name; did you mean 'table4'?"),
        ({"fig1b": cells("fig1c")}, f"  {FILE}:{FIG1C}: fig1c.cells 'fig1b': goes in a circle: fig1b -> fig1c -> fig1b"),
        ({"overrides": [{"cells": "cifar10/{true,ture}_labels/*/*", "set": {"epochs": 1}}]},
         "overrides[0].cells 'cifar10/{true,ture}_labels/*/*': 'ture_labels' in 'cifar10/ture_labels/*/*' matches none of"),
        ({"ablations": [GRID | {"name": "y", "grid": {"epochs": [1]}}, GRID | {"cells": cells(MLP, PATTERN)["cells"]}]},
         f"ablations[1].cells[1] '{PATTERN}': unknown corruption 'ture_labels'; did you mean 'true_labels'?"),
        ({"ablations": [GRID | {"grid": {"epochs": [1, 0]}}]}, "ablations[0].grid.epochs: Input should be greater than or equal to 1"),
        ({"ablations": [GRID | {"grid": {"epoch": [1]}, "name": "x"}]}, "ablations[0].grid.epoch: unknown key; did you mean 'epochs'?"),
        ({"ablations": [GRID | {"grid": {"epochs": []}}]}, "ablations[0].grid.epochs: List should have at least 1 item"),
        ({"ablations": [GRID | {"grid": {"epochs": 1}}]}, "ablations[0].grid.epochs: takes a list; write [1]"),
        ({"ablations": [GRID | {"name": "x_{epoch}"}]},
         "ablations[0]: the name 'x_{epoch}' cannot be made from its values; it can hold {epochs}"),
        ({"ablations": [GRID | {"name": "x_{epochs:d}", "grid": {"epochs": ["1e2", 50]}}]},
         "ablations[0].grid.epochs: Input should be a valid integer, unable to parse string as an integer, not '1e2', which YAML takes for text; write 100"),
        ({"ablations": [GRID | {"name": "x_{momentum:d}", "grid": {"momentum": ["5e-1"]}}]},
         "ablations[0]: the name 'x_{momentum:d}' cannot be made from its values; it can hold {momentum}"),
        ({"ablations": [GRID | {"name": "x_{width}", "grid": {"architecture": [{"width": 64}], "momentum": [0.5]}}]},
         "ablations[0]: the name 'x_{width}' cannot be made from its values; it can hold {momentum}, {architecture[width]}"),
        ({"ablations": [{"name": "x", "question": "?", "cells": WD, "set": {"weight_decay": 0.004}}]},
         "ablations[0]: 'x' changes nothing of cifar10/true_labels/alexnet/wd, cifar10/random_labels/alexnet/wd, whose weight_decay is 0.004; leave"),
        ({"ablations": [{"name": "x", "question": "?", "cells": WD, "set": {"architecture": {"local_response_norm": True}}}]},
         "ablations[0]: 'x' changes nothing of cifar10/true_labels/alexnet/wd, "),
        # No one has set it, but it is false anyway.
        ({"ablations": [{"name": "x", "question": "?", "cells": WD.replace("alexnet", "inception"), "set": {"architecture": {"batch_norm_shift": False}}}]},
         "ablations[0]: 'x' changes nothing of cifar10/true_labels/inception/wd, "),
        # They mean nothing there; of a grid, no variant does.
        ({"ablations": [GRID | {"name": "{reduction}", "grid": {"reduction": ["exact", "fast"]}}]},
         "ablations[0]: 'fast' changes nothing of cifar10/true_labels/alexnet/wd, cifar10/random_labels/alexnet/wd, whose reduction counts only with a micro_batch; leave"),
        ({"overrides": [{"cells": WD, "set": {"learning_rate_decay": 1.0}}],
          "ablations": [{"name": "x", "question": "?", "cells": WD, "set": {"decay_every": 3, "momentum": 0.9}}]},
         "ablations[0]: 'x' changes nothing of cifar10/true_labels/alexnet/wd, cifar10/random_labels/alexnet/wd, whose momentum is 0.9 and decay_every counts only with a learning_rate_decay below 1; "),
        ({"overrides": [{"cells": "cifar10/*/mlp_1x512/wd", "set": {"weight_decay": 0}}],
          "ablations": [{"name": "x", "question": "?", "cells": WD.replace("alexnet", "mlp_1x512"), "set": {"weight_decay_on": "hidden_linear"}}]},
         "ablations[0]: 'x' changes nothing of cifar10/true_labels/mlp_1x512/wd, cifar10/random_labels/mlp_1x512/wd, whose weight_decay_on counts only with a weight_decay above 0; "),
        ({"ablations": [GRID | {"name": "x"}]}, "ablations: the name 'x' appears twice; give each variant its own, from a grid by its"),
        ({"ablations": [GRID | {"grid": {}}]}, "ablations[0].name: "),
        ({"ablations": [GRID | {"name": "x", "grid": {}}]}, "ablations[0]: 'set' names no setting"),
        ({"ablations": [{"name": "x", "question": "?", "cells": WD, "set": 3}]}, "ablations[0].set: takes keys of its own"),
        ({"overrides": [{"cells": WD, "set": {"architecture": {"batch_norm_affine": True}}}]},
         "overrides[0]: the network 'alexnet' has no option 'batch_norm_affine'"),
        ({"table1": {"cells": 5}}, "table1.cells: takes a list; a value of it: Input should be a valid string, not 5"),
        ({"table1": {"cells": [5]}}, "table1.cells[0]: Input should be a valid string, not 5"),
        ({"table1": 5}, "table1: "),
        ({"overrides": 5}, "overrides: takes a list; a value of it: takes keys of its own (cells, "),
        ({"overrides": [5]}, "overrides[0]: "),
    ],
)  # fmt: skip
def test_mistakes_name_what_was_written_and_what_would_be_right(tmp_path, sections, line):
    found = faults(tmp_path, **sections)
    assert [each for each in found if each.startswith(line)], found


def test_mistake_in_a_section_is_reported_once(tmp_path):
    """Figure 1c and the measures of complexity take the cells of figure 1b."""
    assert len(faults(tmp_path, fig1b=cells("cifar10/ture_labels/alexnet/none"))) == 1
    assert len(faults(tmp_path, fig1b=cells("cifar10/{a/alexnet/none"))) == 1
    for nothing, written in (([], "[]"), (None, "null")):
        line = f"fig1b: takes keys of its own (cells), not {written}; write {{cells: []}}"
        assert faults(tmp_path, fig1b=nothing) == [line]
