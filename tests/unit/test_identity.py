"""Identities of results, and those that a configuration asks for."""

import hashlib
import itertools
import json
import os
from dataclasses import replace

import pytest

from rethinking import registry
from rethinking.cells import Cell
from rethinking.config.configuration import Config
from rethinking.config.loading import load_config
from rethinking.run.contents import content_digest
from rethinking.run.digests import digest_once
from rethinking.run.files import UserError, read_json, write_json, write_text
from rethinking.run.identity import (
    Identity,
    damages,
    differences,
    is_made,
    made_from,
    read_record,
    record_path,
    recorded,
    stamp,
    write_record,
)
from rethinking.run.made import Source
from rethinking.run.plan import Plan

from ..default_config import default_values
from ..faults import flip
from .image_files import write_image

INNER = Identity({"limit": 5}, {"read": "1"})
IDENTITY = Identity({"epochs": 2, "rate": 0.1}, {"a.py: f": "1", "b.py: g": "2"}, {"data": INNER, "results": "x"})


@pytest.mark.parametrize(
    ("other", "lines"),
    [
        (replace(IDENTITY, settings={"epochs": 3, "rate": 0.1}), ["epochs 2 -> 3"]),
        (replace(IDENTITY, settings={"epochs": 2}), ["rate 0.1 -> unknown"]),
        # A setting that a new version has.
        (replace(IDENTITY, settings={**IDENTITY.settings, "rmsprop": None}), ["rmsprop unknown -> null"]),
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


def test_it_counts_which_input_is_which():
    one, other = ({"train": first, "test": second} for first, second in (("x", "y"), ("y", "x")))
    assert Identity({}, inputs=one).digest != Identity({}, inputs=other).digest


def test_names_and_order_play_no_part():
    moved = replace(IDENTITY, code={"z.py: g": "2", "a.py: h": "1"}, settings={"rate": 0.1, "epochs": 2})
    assert moved.digest == IDENTITY.digest
    assert differences(IDENTITY, moved) == []


def test_records(tmp_path):
    output = tmp_path / "folder" / "curve.csv"
    assert recorded(output) is None
    write_text(output, "")
    write_record([output], IDENTITY)
    assert recorded(output) == IDENTITY
    assert read_record(output)["identity"] == IDENTITY.digest
    (record,) = (tmp_path / "folder" / ".identity").iterdir()
    whole = json.loads(record.read_text())
    assert is_made([output], IDENTITY)
    for text in ("", "[]", "{}", '{"identity": 1, "settings": 2}'):
        record.write_text(text)
        assert recorded(output) is None
        assert not is_made([output], IDENTITY)
    for key, value in itertools.product(whole, (None, 1, "a", ["b"], {"c": None}, {"c": ["d"]})):
        record.write_text(json.dumps(whole | {key: value}))
        if found := recorded(output):
            differences(found, IDENTITY)
        damages([output], read_record(output))
        # A stamp is no part of the identity, and sizes of other files tell nothing.
        decides = key not in ("stamp", "of") and not (key == "sizes" and isinstance(value, dict))
        assert is_made([output], IDENTITY) != decides


@pytest.mark.parametrize("refused", ["curve.csv", ".identity/curve.csv.json"])
def test_a_refusal_of_the_disk_makes_no_result_stale(tmp_path, refused):
    output = tmp_path / "curve.csv"
    write_text(output, "")
    write_record([output], IDENTITY)
    assert is_made([output], IDENTITY)
    (tmp_path / refused).unlink()
    assert not is_made([output], IDENTITY)
    (tmp_path / refused).symlink_to(tmp_path / refused)  # for a disk or file server that fails
    with pytest.raises(OSError, match="symbolic links"):
        is_made([output], IDENTITY)


def test_contents_are_read_once_and_again_when_they_change(tmp_path, monkeypatch):
    folder, known = tmp_path / "images", tmp_path / "known.json"
    for number in range(3):
        write_image(folder / "train" / "a" / f"{number}.png", number)
    before = content_digest("own", "plugin", folder, known)
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", None)
        assert content_digest("own", "plugin", folder, known) == before
    path = folder / "train" / "a" / "1.png"
    time = path.stat().st_mtime_ns
    flip(path)
    os.utime(path, ns=(time, time))  # the same size and time as before
    assert content_digest("own", "plugin", folder, known) != before
    flip(path)
    assert content_digest("own", "plugin", folder, known) == before
    path.rename(path.with_name("1b.png"))  # in the same place of the order
    assert content_digest("own", "plugin", folder, known) != before


def test_a_source_that_is_gone_is_known_by_its_data_set_or_named(tmp_path, monkeypatch):
    folder, known = tmp_path / "both", tmp_path / "known.json"
    folder.mkdir()
    (folder / "train-images-idx3-ubyte").write_text("counts by its name")
    (folder / "notes.txt").write_text("no part of MNIST")
    (tmp_path / "link").symlink_to(folder)
    sets = [("mnist", "archive"), ("own", "plugin"), ("mine", "plugin"), ("mnist", "plugin")]
    before = [content_digest(*each, folder, known) for each in sets]
    assert before[0] != before[1]
    with monkeypatch.context() as patch:
        patch.setattr("hashlib.file_digest", None)
        assert [content_digest(*each, folder, known) for each in sets] == before
        assert content_digest(*sets[0], tmp_path / "link", known) == before[0]
    folder.rename(tmp_path / "gone")
    assert [content_digest(*each, folder, known) for each in sets] == before
    with pytest.raises(UserError, match=r"both does not exist; correct datasets\.other\.path in the config"):
        content_digest("other", "plugin", folder, known)
    with pytest.raises(UserError, match=r"elsewhere does not exist; correct datasets\.own\.path in the config"):
        content_digest("own", "plugin", tmp_path / "elsewhere", known)


@pytest.mark.parametrize("entry", [None, 5, [], ["m"], ["m", None], [["m"], "x"], {"m": "x"}, "mx"])
def test_a_damaged_entry_of_known_digests_is_replaced(tmp_path, entry):
    known = tmp_path / "known.json"
    write_json(known, {"k": entry, "other": ["m", "y"]})
    assert digest_once(known, "k", "m", lambda: "x") == "x"
    assert read_json(known) == {"k": ["m", "x"], "other": ["m", "y"]}
    write_json(known, {f"archive mnist {tmp_path}/gone": entry})
    with pytest.raises(UserError, match="does not exist"):
        content_digest("mnist", "archive", tmp_path / "gone", known)


def test_a_download_is_current_only_with_its_digest(tmp_path):
    file = tmp_path / "archive.tar"
    source = Source(str(file), [], digest=hashlib.md5(b"as published").hexdigest(), cache=tmp_path / "known.json")
    assert not source.current
    for content in (b"by hand", b"as published", b"published before"):
        file.write_bytes(content)
        assert source.current == (content == b"as published")


# ---- what a configuration asks for


@pytest.fixture
def plan(tmp_path):
    """The plan of the default configuration with so many digits; null is all."""

    def with_digits(train_limit=None):
        values = default_values() | {
            "results_dir": str(tmp_path / "results"),
            "data_dir": str(tmp_path / "data"),
        }
        values["datasets"]["digits"]["train_limit"] = train_limit
        return Plan(load_config(values, []))

    return with_digits


MLP = Cell.parse("digits/true_labels/mlp_1x512/none/seed0")


def test_data_of_other_limits_lie_elsewhere(plan):
    one, other = plan(60), plan(40)
    assert one.prepared("digits").folder != other.prepared("digits").folder
    assert one.overlay("digits", "true_labels", 0).folder != other.overlay("digits", "true_labels", 0).folder
    assert one.cell(MLP).folder == other.cell(MLP).folder
    assert one.cell(MLP).identity.digest != other.cell(MLP).identity.digest


def test_a_sample_counts_its_size_and_its_data(plan):
    one, other = plan(60), plan(40)
    digests = {
        made.identity.digest
        for made in (one.sample("digits", 10), one.sample("digits", 20), other.sample("digits", 10))
    }
    assert len(digests) == 3


def test_a_download_and_a_local_copy_of_it_are_the_same_data(plan, tmp_path, monkeypatch):
    """Cells need not be trained again for those who have the archive already."""
    archive = tmp_path / "cifar-10-binary.tar.gz"
    archive.touch()
    downloaded = plan()
    assert downloaded.downloaded("cifar10").endswith("/cifar-10-binary.tar.gz")
    (published,) = registry.entry("dataset", "cifar10").call().downloads
    values = downloaded.config.datasets["cifar10"].model_copy(update={"source": "archive", "path": str(archive)})
    datasets = downloaded.config.datasets | {"cifar10": values}
    monkeypatch.setattr("rethinking.run.plan.content_digest", lambda *_: published.digest)
    copied = Plan(downloaded.config.model_copy(update={"datasets": datasets}))
    assert copied.prepared("cifar10").identity == downloaded.prepared("cifar10").identity


def test_settings_are_resolved_once_for_all_seeds_of_a_cell(plan, monkeypatch):
    """With thousands of seeds every start would wait for them."""
    planned, resolved, resolve = plan(), [], Config.settings
    monkeypatch.setattr(Config, "settings", lambda *of: resolved.append(of) or resolve(*of))
    made = [planned.cell(Cell.from_name("cifar10/true_labels/alexnet/none", seed)) for seed in range(3)]
    assert len(resolved) == 1
    assert len({each.identity.digest for each in made}) == 3


def test_stored_pixels_and_classes_of_local_images_count(plan, monkeypatch):
    monkeypatch.setattr("rethinking.run.plan.content_digest", lambda *_: "contents")
    config = plan().config

    def made(**changes):
        local = config.datasets["imagenet"].model_copy(update={"source": "local", "path": "images", **changes})
        return Plan(config.model_copy(update={"datasets": config.datasets | {"imagenet": local}})).prepared("imagenet")

    sizes = [made(stored_size=size).identity.digest for size in (None, 32)]
    classes = [made(classes=names).identity.digest for names in (["n1", "n2"], ["n1", "n3"])]
    assert len({*sizes, *classes}) == 4
    # What is checked again once it has been read, so that limits are those of their splits.
    name, source, path, _, names, limits, _ = made(train_limit=9, test_limit=4, classes=["n1"]).source
    assert (name, source, path, [*names], limits) == ("imagenet", "local", "images", ["n1"], [9, 4])


def test_code_that_reads_images_from_files_counts_where_there_are_files(plan, monkeypatch):
    monkeypatch.setattr("rethinking.run.plan.content_digest", lambda *_: "contents")
    config = plan().config
    local = config.datasets["imagenet"].model_copy(update={"source": "local", "path": "images"})
    both = Plan(config.model_copy(update={"datasets": config.datasets | {"imagenet": local}}))
    cell = Cell.parse("imagenet/true_labels/inception_v3/none/seed0")
    for made, reads in ((both.cell(MLP), False), (both.cell(cell), True), (both.complexity(cell), True)):
        assert ("training/batches_imagenet.py: ImageBatches" in made.identity.code) == reads


def test_what_a_corruption_is_registered_with_counts(plan):
    config = plan().config

    def digests():
        names = ("random_labels", "random_labels_replaced0", "true_signs_n100", "gaussian")
        return {name: Plan(config).overlay("digits", name, 0).identity.digest for name in names}

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


@pytest.mark.parametrize(("asks", "stale"), [("rng", True), ("draws", False)])
def test_bounds_count_where_they_name_the_draws(plan, plugin, asks, stale):
    config = plan().config

    def digest(bounds):
        plugin(f"@corruption('noisy_p{{p:{bounds}}}')\ndef noisy(labels, {asks}, p: float): return labels\n")
        return Plan(config).overlay("digits", "noisy_p0.4", 0).identity.digest

    assert (digest("0.0..0.5") != digest("0.0..1.0")) == stale


def test_which_measure_has_which_name_counts(plan, plugin):
    config = plan().config

    def digest(first, second):
        measures = (
            f"@measure('{first}')\ndef f(network): return 1\n",
            f"@measure('{second}')\ndef g(network): return 2\n",
        )
        plugin("".join(measures))
        return Plan(config).complexity(MLP).identity.digest

    assert digest("one", "two") == digest("one", "two") != digest("two", "one")


def test_measures_count_the_images_that_they_take(plan):
    config = plan().config
    fewer = config.complexity.model_copy(update={"images": config.complexity.images // 2})
    digests = [
        Plan(each).complexity(MLP).identity.digest for each in (config, config.model_copy(update={"complexity": fewer}))
    ]
    assert digests[0] != digests[1]


def test_stability_compares_the_network_without_a_replacement_with_the_one_with_it(plan):
    """In this order: the scripts take the first for the one before."""
    needs = plan().stability(Cell.parse("digits/true_labels_replaced0/mlp_1x512/none/seed0")).needs
    assert [each.folder.split("/digits/")[1].split("/")[0] for each in needs] == [
        "true_labels",
        "true_labels_replaced0",
    ]


def test_fits_and_comparisons_need_the_errors_that_their_settings_are_chosen_from(plan):
    made, name = plan(), "mnist_gabor"
    assert made.config.linear_models.model(name).validated
    assert made.fit(name, 0).needs == made.comparison(name, 0).needs == [made.validation(name)]


def test_code_that_is_found_by_a_name_counts(plan, plugin):
    config = plan().config
    plugin("@regulariser('dark')\ndef dark(images): return images\n@measure('mine')\ndef mine(network): return 1\n")
    dark, made = Cell.parse("digits/true_labels/mlp_1x512/dark/seed0"), Plan(config)
    for result, definition in (
        (made.cell(dark), "study.py: dark"),
        (made.complexity(MLP), "study.py: mine"),
        (made.overlay("digits", "random_labels_replaced0", 0), "corruption/labels.py: replace_labels"),
    ):
        assert definition in result.identity.code


def test_the_theory_counts_its_seed_and_its_data(plan):
    config, name = plan().config, "mnist_gabor"

    def digests(**changes):
        made = Plan(config.model_copy(update=changes))
        results = (
            made.expressivity(0),
            made.descent(0),
            made.validation(name),
            made.fit(name, 0),
            made.comparison(name, 0),
        )
        return [each.identity.digest for each in results]

    fewer = {each: data.model_copy(update={"train_limit": 100}) for each, data in config.datasets.items()}
    pairs = zip(digests(), digests(datasets=fewer), strict=True)
    assert all(before != after for before, after in pairs)
    # It lies in one file, whatever the seed.
    assert digests()[2] != digests(seeds=[7])[2]


def make_files(made, folder):
    """The empty files of a result."""
    for file in made.outputs:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()


def test_what_is_recorded_is_current_until_something_else_is_asked_for(plan, tmp_path):
    made = plan(60).cell(MLP)
    make_files(made, tmp_path)
    assert not made.current
    write_record(made.outputs, made.identity)
    assert plan(60).cell(MLP).current
    assert not plan(61).cell(MLP).current
    (tmp_path / made.outputs[2]).write_text("x")  # another size than when it was made
    assert not plan(60).cell(MLP).current
    (tmp_path / made.outputs[2]).unlink()
    assert not plan(60).cell(MLP).current


def test_a_result_is_current_only_with_what_it_needs(plan, tmp_path):
    measured = plan().complexity(MLP)
    for made in (measured, *measured.needs):
        make_files(made, tmp_path)
        write_record(made.outputs[:1], made.identity)
    assert plan().complexity(MLP).current  # of which network is not known
    (tmp_path / measured.needs[0].outputs[0]).unlink()
    assert not plan().complexity(MLP).current


def test_a_result_is_current_only_with_what_it_was_made_from(plan, tmp_path):
    """A network that is trained again has the same identity, and on a GPU other numbers."""
    measured = plan().complexity(MLP)
    (network,) = measured.needs
    for made in (network, measured):
        make_files(made, tmp_path)
    write_record(network.outputs, network.identity, [])
    write_record(measured.outputs, measured.identity, [stamp(network.outputs[0])])
    assert plan().complexity(MLP).current
    assert made_from(measured.outputs[0], network.outputs[:1])
    (tmp_path / network.outputs[1]).write_text("other weights")
    write_record(network.outputs, network.identity, [])
    assert plan().cell(MLP).current
    assert not plan().complexity(MLP).current
    assert not made_from(measured.outputs[0], network.outputs[:1])


def test_results_of_earlier_versions_are_current_until_their_network_is_trained_again(plan, tmp_path):
    measured = plan().complexity(MLP)
    (network,) = measured.needs
    for made in (network, measured):
        make_files(made, tmp_path)
        write_record(made.outputs, made.identity)
        record = record_path(made.outputs[0])
        write_json(record, {key: value for key, value in read_json(record).items() if key not in ("stamp", "of")})
    assert plan().complexity(MLP).current
    assert made_from(measured.outputs[0], network.outputs[:1])
    write_record(network.outputs, network.identity)
    assert plan().cell(MLP).current
    assert not plan().complexity(MLP).current
    assert not made_from(measured.outputs[0], network.outputs[:1])
