"""Parameters of networks and training images of their data sets: the networks have more of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from rethinking.analysis.aggregation import columns, frame
from rethinking.analysis.descriptions import describe_data
from rethinking.models import build_model, device_for_shapes, parameter_count

if TYPE_CHECKING:
    from torch import nn

COLUMNS = columns(
    ("str", "dataset model"),
    ("Int64", "input_size outputs parameters paper_parameters train_images paper_train_images"),
    ("float64", "parameters_per_image paper_parameters_per_image"),
    ("str", "data"),
)
OUTPUTS = 1000  # classes of ImageNet
# Our name of a network or the paper's -> torchvision's, if it is not ours, and height and width of its images.
IMAGENET_NETWORKS = {
    "inception_v3": (None, 299),
    "AlexNet": ("alexnet", 224),
    "ResNet-18": ("resnet18", 224),
    "ResNet-152": ("resnet152", 224),
    "VGG-11": ("vgg11", 224),
    "VGG-19": ("vgg19", 224),
}


def count_sizes(
    networks: Iterable[Mapping[str, Any]],
    manifests: Mapping[str, Mapping[str, Any]],
    paper: Mapping[tuple[str, str], Mapping[str, int]],
) -> pd.DataFrame:
    """Parameters p of each network and training images n of its data set, with the paper's values.

    Args:
        networks: ``dataset``, ``model``, ``input_size`` and ``architecture`` of each, in the order of the rows.
        manifests: data set -> that of the prepared data set; networks of other data sets are left out.
        paper: (data set, model) -> sizes, as :func:`rethinking.paper.sizes` has them.

    Returns:
        :data:`COLUMNS`; the ratios are p / n.
    """
    import torch  # imported here, because rendering the table needs no torch

    rows = []
    for network in networks:
        dataset, size = network["dataset"], network["input_size"]
        if dataset not in manifests:
            continue
        manifest = manifests[dataset]
        with torch.device(device_for_shapes(network["model"])):
            shape = (manifest["image_shape"][0], size, size)
            model = build_model(network["model"], shape, manifest["num_classes"], **network["architecture"])
        published = paper.get((dataset, network["model"]), {})
        row = count(model, manifest["train"]["count"], published) | {"outputs": manifest["num_classes"]}
        data = describe_data({"data": manifest})
        rows.append(row | {"dataset": dataset, "model": network["model"], "input_size": size, "data": data})
    return frame(rows, COLUMNS)


def count(model: nn.Module, images: int | None, published: Mapping[str, int]) -> dict[str, Any]:
    """The sizes of a network and its training set, their ratio, and the paper's."""
    ours = {"parameters": parameter_count(model), "train_images": images}
    row = {}
    for whose, sizes in (("", ours), ("paper_", published)):
        row |= {f"{whose}{key}": value for key, value in sizes.items()}
        if sizes.get("train_images"):
            row[f"{whose}parameters_per_image"] = sizes["parameters"] / sizes["train_images"]
    return row


def count_imagenet(
    data: Mapping[str, Any] | None, paper: Mapping[tuple[str, str], Mapping[str, int]], own: bool
) -> pd.DataFrame:
    """The networks on ImageNet among the paper's sizes in ``paper/data/zhang2017.json``, built and counted.

    Args:
        data: the manifest of ImageNet; None if it is not prepared. With fewer classes its images say nothing of these
            networks, which have an output for each of all.
        paper: as for :func:`count_sizes`.
        own: whether the network that is trained here, Inception V3, is among them.

    Returns:
        As :func:`count_sizes`; all other networks are torchvision's.
    """
    import torch
    from torchvision import models

    # Not by its name, because its code counts here without any cell of it.
    from rethinking.models.inception_v3 import inception_v3

    images = data["train"]["count"] if data and data["num_classes"] == OUTPUTS else None
    rows = []
    for name, (function, size) in IMAGENET_NETWORKS.items():
        if not function and not own:
            continue
        with torch.device("meta"):
            network = getattr(models, function)(weights=None) if function else inception_v3((3, size, size), OUTPUTS)
        row = count(network, images, paper["imagenet", name])
        rows.append(row | {"dataset": "imagenet", "model": name, "input_size": size, "outputs": OUTPUTS})
    return frame(rows, COLUMNS)
