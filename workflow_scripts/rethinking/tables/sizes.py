"""The table of sizes: the networks have more parameters than there are training images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from rethinking.analysis.aggregation import describe_data
from rethinking.models import build_model, parameter_count

COLUMNS = {
    "dataset": "str",
    "model": "str",
    "input_size": "Int64",
    "parameters": "Int64",
    "paper_parameters": "Int64",
    "train_images": "Int64",
    "paper_train_images": "Int64",
    "parameters_per_image": "float64",
    "paper_parameters_per_image": "float64",
    "data": "str",
}
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
        if network["dataset"] not in manifests:
            continue
        manifest = manifests[network["dataset"]]
        size, images = network["input_size"], manifest["train"]["count"]
        # On the meta device: shapes without numbers.
        with torch.device("meta"):
            shape = (manifest["image_shape"][0], size, size)
            model = build_model(network["model"], shape, manifest["num_classes"], **network["architecture"])
        parameters = parameter_count(model)
        published = paper.get((network["dataset"], network["model"]), {})
        rows.append(
            {
                "dataset": network["dataset"],
                "model": network["model"],
                "input_size": size,
                "parameters": parameters,
                "paper_parameters": published.get("parameters"),
                "train_images": images,
                "paper_train_images": published.get("train_images"),
                "parameters_per_image": parameters / images,
                "paper_parameters_per_image": published["parameters"] / published["train_images"]
                if published
                else None,
                "data": describe_data({"data": manifest}),
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def count_imagenet(
    images: int | None, paper: Mapping[tuple[str, str], Mapping[str, int]], own: bool
) -> pd.DataFrame:
    """The networks on ImageNet whose sizes the paper lists, built and counted.

    Args:
        images: training images of ImageNet; None if it is not prepared.
        paper: as for :func:`count_sizes`.
        own: whether the network that is trained here, Inception V3, is among them.

    Returns:
        As :func:`count_sizes`; all other networks are torchvision's.
    """
    import torch
    from torchvision import models

    rows = []
    for name, (function, size) in IMAGENET_NETWORKS.items():
        if not function and not own:
            continue
        with torch.device("meta"):
            network = (
                getattr(models, function)(weights=None)
                if function
                else build_model(name, (3, size, size), 1000)
            )
        parameters = parameter_count(network)
        published = paper["imagenet", name]
        rows.append(
            {
                "dataset": "imagenet",
                "model": name,
                "input_size": size,
                "parameters": parameters,
                "paper_parameters": published["parameters"],
                "train_images": images,
                "paper_train_images": published["train_images"],
                "parameters_per_image": parameters / images if images else None,
                "paper_parameters_per_image": published["parameters"] / published["train_images"],
                "data": None,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
