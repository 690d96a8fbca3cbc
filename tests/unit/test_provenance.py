"""The origin of networks and their run times, from constructed summaries."""

from contextlib import suppress

import pytest

from rethinking.cells import Cell
from rethinking.report.provenance import (
    below_full_scale,
    describe_cells,
    describe_variants,
    network_rows,
    overview,
    provenance,
    read_networks,
    run_times,
)
from rethinking.run.files import UserError

from ..summaries import make_data, make_network, make_summary, write_summary


def values(facts):
    return [(fact.value, fact.count, fact.which) for fact in facts]


def test_each_distinct_value_is_there_with_its_networks():
    facts = provenance(
        [
            make_network(),
            make_network("cifar10/random_labels/mlp_1x512/none/seed0"),
            make_network("cifar10/true_labels/alexnet/none/seed0", settings={"learning_rate": 0.1}),
            make_network("cifar10/true_labels/mlp_1x512/none/seed1", provenance={"git_commit": None}),
        ]
    )
    assert values(facts["Settings"]["learning_rate"]) == [("0.01", 3, ["MLP 1×512"]), ("0.1", 1, ["AlexNet"])]
    assert values(facts["Code"]["git commit"]) == [("1234567890abcdef", 3, ["seed 0"]), ("—", 1, ["seed 1"])]
    assert values(facts["Software and hardware"]["torch"]) == [("2.14.1", 4, ["all"])]
    assert values(facts["Data"]["CIFAR-10: images used"]) == [("CIFAR-10 (exact), 50,000 training images", 4, ["all"])]
    assert values(facts["Data"]["CIFAR-10: SHA-256 of cifar-10-binary.tar.gz"]) == [("6d958be0", 4, ["all"])]


def test_more_than_a_few_ablations_are_counted():
    networks = [make_network(variant=f"variant{number}") for number in range(6)]
    assert describe_variants(networks[:4], networks) == [f"ablation variant{number}" for number in range(4)]
    assert describe_variants(networks[:5], networks) == ["5 networks of 5 ablations"]
    assert describe_variants(networks, networks) == ["all ablations"]


def test_networks_with_nothing_of_their_own_are_named_the_fewer_of_two():
    names = [
        f"cifar10/{corruption}/{model}/none/seed0"
        for model in ("alexnet", "inception")
        for corruption in ("true_labels", "gaussian")
    ]
    networks = [make_network(name) for name in names]
    networks[1] = make_network(names[1], settings={"epochs": 30})
    assert values(provenance(networks)["Settings"]["epochs"]) == [
        ("100", 3, ["all but cifar10/gaussian/alexnet/none  seed 0"]),
        ("30", 1, ["cifar10/gaussian/alexnet/none  seed 0"]),
    ]


def test_options_of_an_architecture_are_items():
    networks = [make_network(settings={"architecture": {"biases": True}})]
    assert values(provenance(networks)["Settings"]["biases"]) == [("true", 1, ["all"])]


def test_networks_are_described_by_what_they_alone_have_in_common():
    networks = [
        make_network(f"cifar10/true_labels/{model}/{regularisers}/seed{seed}")
        for model in ("alexnet", "inception", "mlp_1x512")
        for regularisers in ("wd", "none")
        for seed in (0, 1)
    ]

    def described(chosen):
        return describe_cells([network for network in networks if chosen(network.cell)], networks)

    assert described(lambda cell: True) == ["all"]
    assert described(lambda cell: cell.model == "alexnet") == ["AlexNet"]
    assert described(lambda cell: cell.model != "alexnet") == ["Inception, MLP 1×512"]
    assert described(lambda cell: cell.seed == 1) == ["seed 1"]
    assert described(lambda cell: cell.regularisers) == ["regularisers wd"]


def test_ablations_stand_beside_the_cells_that_they_vary():
    networks = [
        make_network(),
        *(make_network(variant=f"variant{n}", settings={"epochs": n}) for n in range(6)),
    ]
    facts = provenance(networks)
    assert values(facts["Settings"]["epochs"])[:2] == [("100", 1, ["all"]), ("0", 1, ["ablation variant0"])]
    assert values(facts["Settings"]["learning_rate"]) == [("0.01", 7, ["all", "all ablations"])]


def test_the_most_frequent_value_comes_first():
    networks = [make_network(settings={"epochs": epochs}) for epochs in (5, 100, 100)]
    assert [fact.value for fact in provenance(networks)["Settings"]["epochs"]] == ["100", "5"]


def test_run_times_by_model_and_device():
    rows = run_times(
        [
            make_network(wall_seconds=60.0),
            make_network("cifar10/random_labels/mlp_1x512/none/seed0", wall_seconds=5400.0, images_per_second=3000.0),
            make_network("cifar10/true_labels/mlp_1x512/none/seed1", provenance={"device": "H100"}),
            make_network("cifar10/true_labels/inception/none/seed0", status="diverged", images_per_second=0.0),
        ]
    )
    assert [(row["model"], row["device"], row["count"], row["diverged"]) for row in rows] == [
        ("Inception", "cpu", 1, 1),
        ("MLP 1×512", "H100", 1, 0),
        ("MLP 1×512", "cpu", 2, 0),
    ]
    assert rows[0]["speed"] == rows[0]["speed_range"] == "—"
    assert (rows[2]["median"], rows[2]["range"], rows[2]["total"]) == (
        "0:45:30",
        "0:01:00 to 1:30:00",
        "1:31:00",
    )
    assert (rows[2]["speed"], rows[2]["speed_range"]) == ("2,000", "1,000 to 3,000")


def test_overview_counts_what_is_trained_and_diverged():
    networks = [make_network(), make_network("cifar10/true_labels/mlp_1x512/none/seed4", status="diverged")]
    facts = overview(networks, asked_for=6)
    assert facts["networks"] == ["2 of 6 trained, 1 of them diverged"]
    assert facts["seeds"] == ["0, 4"]
    assert facts["training time"] == ["0:02:00, one network after the other"]
    assert facts["schedules"] == ["100 epochs"]
    assert overview([make_network(settings={"epochs": 1})], asked_for=1)["schedules"] == ["1 epoch"]


def test_networks_are_listed_with_their_variant_and_the_place_of_divergence():
    network = make_network(variant="larger", status="diverged", diverged_epoch=3, diverged_step=812)
    (row,) = network_rows([network])
    assert row["cell"] == f"ablations/larger/{network.cell}"
    assert row["status"] == "diverged (seed0: epoch 3, step 812)"


@pytest.fixture
def results(tmp_path):
    """A folder with seed 1 of a cell and of a variant of it."""
    name = "cifar10/true_labels/mlp_1x512/none"
    for folder in ("cells", "ablations/short/cells"):
        write_summary(tmp_path / folder, make_summary(f"{name}/seed1"))
    return tmp_path


def test_networks_that_are_there_are_read(results):
    name = "cifar10/true_labels/mlp_1x512/none"
    networks = read_networks(results, [f"cells/{name}", f"ablations/short/cells/{name}"], [0, 1])
    assert [(network.variant, str(network.cell)) for network in networks] == [
        (None, f"{name}/seed1"),
        ("short", f"{name}/seed1"),
    ]


def test_damaged_summary_is_named(results):
    path = results / "cells/cifar10/true_labels/mlp_1x512/none/seed1/summary.json"
    path.write_text("{}")
    with pytest.raises(UserError, match=str(path)):
        read_networks(results, ["cells/cifar10/true_labels/mlp_1x512/none"], [1])


@pytest.mark.parametrize("key", make_summary()["provenance"])
def test_what_is_shown_of_an_origin_is_asked_of_each_summary(tmp_path, key):
    """Nothing but a refusal by name comes of a summary that lacks it."""
    summary = make_summary()
    del summary["provenance"][key]
    write_summary(tmp_path, summary)
    with suppress(UserError):
        provenance(read_networks(tmp_path, [Cell.parse(summary["cell"]).name], [0]))


@pytest.mark.parametrize(
    ("dataset", "count", "provenance", "below"),
    [
        ("cifar10", 50_000, None, False),
        ("imagenet", 1_281_167, None, False),
        ("cifar10", 50_000, "JPEG copy", True),
        ("imagenet", 320, None, True),
    ],
)
def test_full_scale_is_the_papers_data(dataset, count, provenance, below):
    classes = 1000 if dataset == "imagenet" else 10
    data = make_data(dataset, count, count, provenance=provenance, num_classes=classes)
    data["test"] = dict.fromkeys(("count", "full_count"), 50_000 if dataset == "imagenet" else 10_000)
    network = make_network(data=data)
    assert below_full_scale([network]) == below
