"""What produced the networks behind the results, and how long it took, from their summaries."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

from rethinking.analysis.aggregation import flat_settings, read_summary
from rethinking.analysis.descriptions import describe_data, describe_divergence, setting_text
from rethinking.analysis.runs import Run, network_folders
from rethinking.paper.titles import DATASET_TITLES, MODEL_TITLES, SPLIT_TITLES
from rethinking.run.status_report import condense, ranges
from rethinking.tables.rendering import MISSING

# As describe_data writes the paper's data.
FULL_SCALE = ("CIFAR-10 (exact), 50,000 training images", "ImageNet (exact), 1,281,167 training images")
LONGEST_LIST = 4  # of ablations


@dataclass(frozen=True)
class Network(Run):
    """One trained network: the contents of its ``summary.json`` and the ablation that it belongs to, if any."""

    variant: str | None = None

    @property
    def origin(self) -> Mapping[str, Any]:
        """Its provenance."""
        return self.summary["provenance"]

    @property
    def finished(self) -> str:
        """When its training ended."""
        return self.origin["finished"].replace("T", " ").replace("+00:00", " UTC")


@dataclass(frozen=True)
class Fact:
    """One value of something that produced networks, with how many and which networks have it."""

    value: str
    count: int
    which: list[str]


def read_networks(results: Path, cells: Sequence[str], seeds: Sequence[int]) -> list[Network]:
    """The trained networks, in order.

    Args:
        results: the folder of the results.
        cells: folders in it, without the seeds: ``cells/<name>``, or ``ablations/<variant>/cells/<name>``.
        seeds: those to look for.

    Raises:
        UserError: a summary is damaged; the message names it.
    """
    return [
        Network(read_summary(folder / "summary.json"), variant=variant)
        for folder, variant in network_folders(results, cells, seeds)
    ]


# ---- what produced them


def overview(networks: Sequence[Network], asked_for: int) -> dict[str, list[str]]:
    """What a reader wants to know first, item -> lines; ``asked_for`` is the number of networks there should be."""
    diverged = sum(network.diverged for network in networks)
    count = f"{len(networks)} of {asked_for} trained" + (f", {diverged} of them diverged" if diverged else "")
    if not networks:
        return {"networks": [count]}
    seeds = sorted({network.cell.seed for network in networks})
    epochs = sorted({network.origin["settings"]["epochs"] for network in networks})
    finished = sorted(network.finished for network in networks)
    return {
        "networks": [count],
        "data": list(dict.fromkeys(describe_data(network.summary) for network in networks)),
        "schedules": [f"{', '.join(map(str, epochs))} epoch{'' if epochs == [1] else 's'}"],
        "seeds": [ranges(seeds)],
        "devices": list(dict.fromkeys(network.origin["device"] for network in networks)),
        "training time": [f"{total_time(networks)}, one network after the other"],
        "finished": [f"{finished[0]} to {finished[-1]}"],
    }


def below_full_scale(networks: Sequence[Network]) -> bool:
    """Whether any network saw images other than the paper's, or fewer; samples are smaller by design."""
    return any(
        describe_data({"data": data | data.get("drawn_from", {})}) not in FULL_SCALE
        for data in (network.summary["data"] for network in networks)
    )


def provenance(networks: Sequence[Network]) -> dict[str, dict[str, list[Fact]]]:
    """The distinct values of all that produced the networks, most frequent first: group -> item -> facts."""
    found: dict[tuple[str, str], dict[str, list[Network]]] = defaultdict(lambda: defaultdict(list))
    for network in networks:
        for group, item, value in origins(network):
            found[group, item][value].append(network)
    facts: dict[str, dict[str, list[Fact]]] = defaultdict(dict)
    for (group, item), values in found.items():
        facts[group][item] = [
            Fact(value, len(some), [*describe_cells(some, networks), *describe_variants(some, networks)])
            for value, some in sorted(values.items(), key=lambda pair: -len(pair[1]))
        ]
    return dict(facts)


def origins(network: Network) -> Iterator[tuple[str, str, str]]:
    """What produced one network: group, item and value."""
    data, origin = network.summary["data"], network.origin

    def show(value: Any) -> str:
        return MISSING if value is None else setting_text(value)

    title = DATASET_TITLES[data["dataset"]]
    yield "Data", f"{title}: images used", describe_data(network.summary)
    for name, digest in data["source"].get("files", {}).items():
        yield "Data", f"{title}: SHA-256 of {name}", show(digest)
    for split, name in SPLIT_TITLES.items():
        yield "Data", f"{title}: SHA-256 of the {name} images", show(data[split].get("images_sha256"))
    yield "Settings", "seed", str(network.cell.seed)
    for key, value in flat_settings(network.summary).items():
        yield "Settings", key, setting_text(value)
    for key in ("git_commit", "code_fingerprint"):
        yield "Code", key.replace("_", " "), show(origin[key])
    for library, version in {"python": origin["python"], **origin["libraries"]}.items():
        yield "Software and hardware", library, version
    for key in ("device", "threads"):
        yield "Software and hardware", key, show(origin[key])


def describe_cells(some: Sequence[Network], networks: Sequence[Network]) -> list[str]:
    """Which of the networks outside ablations these are: a property that only they share, or their names."""
    ordinary = [network for network in networks if not network.variant]
    cells = {network.cell for network in some if not network.variant}
    others = {network.cell for network in ordinary} - cells
    if not cells:
        return []
    if not others:
        return ["all"]
    for title, describe in (
        ("", lambda cell: MODEL_TITLES[cell.model]),
        ("", lambda cell: DATASET_TITLES[cell.dataset]),
        ("", lambda cell: cell.corruption.replace("_", " ")),
        ("regularisers ", lambda cell: "+".join(cell.regularisers) or "none"),
        ("seed ", lambda cell: str(cell.seed)),
    ):
        values = set(map(describe, cells))
        if not values & set(map(describe, others)):
            return [title + ", ".join(sorted(values))]
    few, start = (others, "all but ") if len(cells) > len(others) else (cells, "")
    first, *rest = condense(network for network in ordinary if network.cell in few)
    return [start + first, *rest]


def describe_variants(some: Sequence[Network], networks: Sequence[Network]) -> list[str]:
    """The ablations that some of these networks belong to."""
    variants = list(dict.fromkeys(network.variant for network in some if network.variant))
    if len(variants) <= LONGEST_LIST:
        return [f"ablation {variant}" for variant in variants]
    count, everything = (sum(bool(network.variant) for network in each) for each in (some, networks))
    return ["all ablations" if count == everything else f"{count} networks of {len(variants)} ablations"]


# ---- how long it took


def run_times(networks: Sequence[Network]) -> list[dict[str, Any]]:
    """Training times and speeds as text, one row per model and device."""
    groups = defaultdict(list)
    for network in networks:
        groups[network.cell.model, network.origin["device"]].append(network)
    order = list(MODEL_TITLES)
    rows = []
    for (model, device), some in sorted(groups.items(), key=lambda pair: (order.index(pair[0][0]), pair[0][1])):
        times = [network.summary["wall_seconds"] for network in some]
        speeds = [network.summary["images_per_second"] for network in some]
        speeds = [each for each in speeds if each]  # 0 where there were no training steps
        rows.append(
            {
                "model": MODEL_TITLES[model],
                "device": device,
                "count": len(some),
                "diverged": sum(network.diverged for network in some),
                "median": duration(median(times)),
                "range": f"{duration(min(times))} to {duration(max(times))}",
                "total": total_time(some),
                "speed": speed(median(speeds) if speeds else None),
                "speed_range": f"{speed(min(speeds))} to {speed(max(speeds))}" if speeds else MISSING,
            }
        )
    return rows


def network_rows(networks: Sequence[Network]) -> list[dict[str, Any]]:
    """One row per network for the list of all networks."""
    return [
        {
            "cell": f"ablations/{network.variant}/{network.cell}" if network.variant else str(network.cell),
            "status": f"diverged ({describe_divergence(network.summary)})" if network.diverged else "finished",
            "epochs": network.summary["epochs"],
            "time": duration(network.summary["wall_seconds"]),
            "speed": speed(network.summary["images_per_second"]),
            "device": network.origin["device"],
            "commit": network.origin["git_commit"] or MISSING,
            "finished": network.finished,
        }
        for network in networks
    ]


def total_time(networks: Sequence[Network]) -> str:
    """The training times of networks, added up."""
    return duration(sum(network.summary["wall_seconds"] for network in networks))


def duration(seconds: float) -> str:
    """For example ``0:04:14`` or ``1 day, 3:04:05``."""
    return str(timedelta(seconds=round(seconds)))


def speed(images_per_second: float | None) -> str:
    """A whole number of images per second."""
    return f"{images_per_second:,.0f}" if images_per_second else MISSING
