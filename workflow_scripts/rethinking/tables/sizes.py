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
