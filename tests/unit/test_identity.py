"""Identities of results, and those that a configuration asks for."""

import os
from dataclasses import replace

import pytest
import yaml

from rethinking import registry
from rethinking.cells import Cell
from rethinking.config.loading import load_config
from rethinking.run.code import SCRIPTS
from rethinking.run.files import UserError, write_text
from rethinking.run.identity import (
    Identity,
    content_digest,
    differences,
    recorded,
    recorded_digest,
    write_record,
)
from rethinking.run.plan import Plan

from .image_files import write_image

INNER = Identity({"limit": 5}, {"read": "1"})
IDENTITY = Identity(
    {"epochs": 2, "rate": 0.1}, {"a.py: f": "1", "b.py: g": "2"}, {"data": INNER, "results": "x"}
)


@pytest.mark.parametrize(
    ("other", "lines"),
    [
        (replace(IDENTITY, settings={"epochs": 3, "rate": 0.1}), ["epochs 2 -> 3"]),
        (replace(IDENTITY, settings={"epochs": 2}), ["rate 0.1 -> unknown"]),
        (replace(IDENTITY, code={"a.py: f": "1", "b.py: g": "3"}), ["code of b.py: g"]),
        # Other code has moved to another file.
        (replace(IDENTITY, code={"c.py: f": "1", "b.py: g": "3"}), ["code of b.py: g"]),
        (
            replace(IDENTITY, inputs={"data": replace(INNER, settings={"limit": 4}), "results": "x"}),
            ["limit 5 -> 4"],
        ),
        (replace(IDENTITY, inputs={"data": INNER, "results": "y"}), ["results: contents changed"]),
    ],
)
def test_identities_differ_by_each_part(other, lines):
    assert other.digest != IDENTITY.digest
    assert differences(IDENTITY, other) == lines


def test_names_and_order_play_no_part():
    moved = replace(IDENTITY, code={"z.py: g": "2", "a.py: h": "1"}, settings={"rate": 0.1, "epochs": 2})
    assert moved.digest == IDENTITY.digest
    assert differences(IDENTITY, moved) == []


def test_records(tmp_path):
    output = tmp_path / "folder" / "curve.csv"
    assert (recorded(output), recorded_digest(output)) == (None, None)
    write_text(output, "")
    write_record([output], IDENTITY)
    assert recorded(output) == IDENTITY
    assert recorded_digest(output) == IDENTITY.digest
    (record,) = (tmp_path / "folder" / ".identity").iterdir()
    for text in ("", "[]", "{}", '{"identity": 1, "settings": 2}'):
        record.write_text(text)
        assert recorded(output) is None


def test_contents_are_read_once_and_again_when_they_change(tmp_path, monkeypatch):
    folder, known = tmp_path / "images", tmp_path / "known.json"
    for number in range(3):
        write_image(folder / "train" / "a" / f"{number}.png", number)
    before = content_digest(folder, known)
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", None)
        assert content_digest(folder, known) == before
    path = folder / "train" / "a" / "1.png"
    content, time = path.read_bytes(), path.stat().st_mtime_ns
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(path, ns=(time, time))  # the same size and time as before
    assert content_digest(folder, known) != before
    path.write_bytes(content)
    assert content_digest(folder, known) == before
    path.rename(path.with_name("9.png"))
    assert content_digest(folder, known) != before


def test_a_source_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match=r"absent cannot be used"):
        content_digest(tmp_path / "absent", None)


# ---- what a configuration asks for


class Experiment:
    """The default configuration with changes."""

    def __init__(self, folder):
        with open(SCRIPTS.parent / "config.yaml") as file:
            self.values = yaml.safe_load(file)
        self.values |= {"results_dir": str(folder / "results"), "data_dir": str(folder / "data")}

    def plan(self, **datasets):
        self.values["datasets"] = self.values["datasets"] | datasets
        return Plan(load_config(self.values, []))


@pytest.fixture
def experiment(tmp_path):
    return Experiment(tmp_path)


def digits(**values):
    return {"source": "embedded", "input_size": 7, **values}


MLP = Cell.parse("digits/true_labels/mlp_1x512/none/seed0")


def test_data_of_other_limits_lie_elsewhere(experiment):
    one, other = (experiment.plan(digits=digits(train_limit=n)) for n in (60, 40))
    assert one.prepared("digits").folder != other.prepared("digits").folder
    assert one.overlay("digits", "true_labels", 0).folder != other.overlay("digits", "true_labels", 0).folder
    assert one.cell(MLP).folder == other.cell(MLP).folder
    assert one.cell(MLP).identity.digest != other.cell(MLP).identity.digest


def test_what_a_corruption_is_registered_with_counts(experiment):
    config = experiment.plan(digits=digits()).config

    def digests():
        plan = Plan(config)
        names = ("random_labels", "random_labels_replaced0", "true_signs_n100", "gaussian")
        return {name: plan.overlay("digits", name, 0).identity.digest for name in names}

    before = digests()
    for name, options, stale in (
        # The labels beside a replaced example are corrupted like those without.
        ("random_labels", {"p": 0.5}, {"random_labels", "random_labels_replaced0"}),
        ("random_labels_replaced{number:0..}", {"base": "true_labels"}, {"random_labels_replaced0"}),
        ("true_signs_n{n:1..}", {"sample": None}, {"true_signs_n100"}),
    ):
        registered = registry.everything()["corruption"]
        try:
            registered[name] = replace(registered[name], options={**registered[name].options, **options})
            registry.find.cache_clear()
            after = digests()
        finally:
            registry.load([])
        assert {each for each in before if after[each] != before[each]} == stale, name


def test_what_is_recorded_is_current_until_something_else_is_asked_for(experiment, tmp_path):
    plan = experiment.plan(digits=digits(train_limit=60))
    made = plan.cell(MLP)
    for file in made.outputs:
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert not made.current
    write_record(made.outputs[:1], made.identity)
    assert experiment.plan().cell(MLP).current
    assert not experiment.plan(digits=digits(train_limit=61)).cell(MLP).current
    assert experiment.plan(digits=digits(train_limit=60)).cell(MLP).current
    write_record(made.outputs, made.identity)
    assert experiment.plan(digits=digits(train_limit=60)).cell(MLP).current
    (tmp_path / made.outputs[2]).write_text("x")  # another size than when it was made
    assert not experiment.plan().cell(MLP).current
    (tmp_path / made.outputs[2]).unlink()
    assert not experiment.plan().cell(MLP).current


def test_a_result_is_current_only_with_what_it_needs(experiment, tmp_path):
    plan = experiment.plan(digits=digits())
    measured = plan.complexity(MLP)
    for made in (measured, *measured.needs):
        for file in made.outputs:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        write_record(made.outputs[:1], made.identity)
    assert experiment.plan().complexity(MLP).current
    (tmp_path / measured.needs[0].outputs[0]).unlink()
    assert not experiment.plan().complexity(MLP).current


def test_a_path_that_does_not_exist_is_named(experiment, tmp_path):
    plan = experiment.plan(cifar10={"source": "archive", "path": str(tmp_path / "absent"), "input_size": 28})
    with pytest.raises(
        UserError, match=r"absent does not exist; correct datasets\.cifar10\.path in the config"
    ):
        plan.prepared("cifar10")


def test_a_copy_at_another_place_is_the_same_data(experiment, tmp_path):
    digests = set()
    for name in ("one", "two"):
        path = tmp_path / name / "c.tar"
        path.parent.mkdir()
        path.write_bytes(b"images")
        source = {"source": "archive", "path": str(path), "input_size": 28}
        digests.add(experiment.plan(cifar10=source).prepared("cifar10").identity.digest)
    assert len(digests) == 1
