"""config.yaml: each setting that the paper concerns is labelled with its evidence, and agrees with it."""

import re

import pytest
import yaml

from rethinking import paper
from rethinking.cells import Cell
from rethinking.models import build_model, parameter_count

from ..default_config import FILE, default_values, load, settings
from .paper_cells import FIG1A

PAPER = paper.read("zhang2017")
FACTS = PAPER["settings"]
PAGE = (FILE.parent / "docs" / "settings.md").read_text()


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
    assert schedules == [(0.999, True) if "0.999" in row.get("note", "") else (0.95, False) for row in PAPER["table4"]]


@pytest.mark.parametrize("fact", ["epochs", "weight_decay", "initialisation"])
def test_what_the_paper_leaves_open_is_not_called_stated(fact):
    assert FACTS[fact]["status"] == "unknown"
    # ImageNet has the settings of a package that the paper names.
    found = {
        label
        for path, (label, _) in LABELS.items()
        if path[-1].startswith(fact) and path[0] != "overrides" and "inception_v3" not in path
    }
    assert found == {"guessed"}


def test_a_fact_is_unknown_if_and_only_if_it_has_no_value():
    assert {name for name, fact in FACTS.items() if fact["value"] is None} == {
        name for name, fact in FACTS.items() if fact["status"] == "unknown"
    }


def test_the_count_of_parameters_does_not_decide_between_a_shift_and_none():
    counts = {
        option: parameter_count(build_model("inception", (3, 28, 28), 10, **{option: True} if option else {}))
        for option in ("", "batch_norm_shift", "batch_norm_affine")
    }
    assert counts[""] == counts["batch_norm_shift"] == PAPER["sizes"][0]["params"] < counts["batch_norm_affine"]
    assert LABELS["models", "inception", "architecture", "batch_norm_affine"][0] == "guessed"


@pytest.mark.parametrize(
    ("row", "path"),
    [
        ("number of epochs", ("training", "epochs")),
        ("batch size", ("training", "batch_size")),
        ("learning rate without batch normalisation", ("models", "inception_no_bn", "learning_rate")),
        (
            "scale and shift of batch normalisation",
            ("models", "inception", "architecture", "batch_norm_affine"),
        ),
        ("initial weights", ("models", "alexnet", "initialisation")),
        ("weight decay of AlexNet", ("models", "alexnet", "weight_decay")),
        ("weight decay of the other networks", ("models", "inception", "weight_decay")),
        ("arithmetic", ("training", "precision")),
        ("thresholds of theorem 1", ("expressivity", "offset")),
    ],
)
def test_the_page_on_settings_has_the_labels_of_the_configuration(row, path):
    assert re.findall(rf"^\| {row} \| (\w+) \|", PAGE, re.MULTILINE) == [LABELS[path][0]]


def test_the_page_on_settings_calls_the_channels_of_random_pixels_guessed():
    assert FACTS["random_pixels_channels"]["status"] == "unknown"
    ((label, text),) = re.findall(r"\| channels of .* random pixels \| (\w+) \| (.+) \|", PAGE)
    assert label == "guessed"
    assert "`random_values`" in text


def test_alexnet_takes_the_weight_decay_that_the_evidence_speaks_for():
    alexnet = settings(load(), "cifar10/true_labels/alexnet/wd")
    assert (alexnet.weight_decay, alexnet.weight_decay_on) == (0.004, "hidden_linear")
    assert str(alexnet.weight_decay) in FACTS["weight_decay"]["evidence"]


def test_imagenette_has_a_batch_and_a_rate_of_its_own():
    """1600 images are a sixth of it, and 0.045 was seen to diverge with ten classes."""
    ten, all_of_it = (settings(load(), f"{name}/true_labels/inception_v3/none") for name in ("imagenette", "imagenet"))
    assert (ten.batch_size, ten.micro_batch, ten.learning_rate, ten.epochs) == (32, 32, 0.005, 250)
    assert (all_of_it.batch_size, all_of_it.learning_rate) == (1600, 0.045)


def test_fig1a_has_the_five_corruptions_of_one_network():
    assert load().fig1a.cells == [f"cifar10/{corruption}/inception/none" for corruption in FIG1A]


def test_cells_are_listed_once_for_each_seed():
    config = load(seeds=[4, 2])
    cells, names = config.cells("table1", "fig1a"), [*config.table1.cells, *config.fig1a.cells]
    assert len(set(names)) < len(names)  # some are in both
    assert len(cells) == len(set(cells)) == 2 * len(set(names))
    assert [str(cell) for cell in cells[:2]] == [f"{config.table1.cells[0]}/seed{seed}" for seed in (4, 2)]
