"""The weights of a trained network, from its folder."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from rethinking.run.files import reading

# How far probabilities that are computed again in float32 may be from those of training, in the mean: ten times what the
# rounding of the precision of training does to networks as the paper's, and far less than most damage.
ROUNDING = {"float32": 1e-4, "tf32": 2e-3, "bfloat16": 2e-2}


def load_weights(
    model: nn.Module, folder: Path, precision: str, inputs: Tensor, labels: Tensor, places: np.ndarray
) -> None:
    """Give a network in evaluation mode the weights of one that is finished, ``weights.safetensors`` in its folder.

    Args:
        model: on the device of the inputs.
        folder: of the cell.
        precision: in which the cell was trained.
        inputs: (m, channels, height, width), some of its training images, for which the network must give its labels the
            probabilities that training recorded.
        labels: (m,) as given in training.
        places: (m,) of these images in the training set.

    Raises:
        UserError: the weights are missing, another network's or damaged; the message names the file.
    """
    recorded = read_predictions(folder, ["train_confidence"])["train_confidence"][places]
    with reading(path := folder / "weights.safetensors"):
        tensors = load_file(path)
        model.load_state_dict(tensors)
        parameters = dict(model.named_parameters(remove_duplicate=False))
        # A buffer can be a mask of infinities.
        wrong = {name: ~value.isfinite() if name in parameters else value.isnan() for name, value in tensors.items()}
        if names := [name for name, values in wrong.items() if values.any()]:
            raise ValueError(f"not all values of {', '.join(names)} are finite")
        # A disk can also leave zeros.
        with torch.no_grad():
            logits = torch.cat([model(block).double() for block in inputs.split(1000)])
        found = F.softmax(logits, 1).gather(1, labels[:, None])[:, 0].cpu().numpy()
        if not (distance := np.abs(found - recorded).mean()) <= ROUNDING[precision]:
            raise ValueError(
                f"training images have other probabilities than in training, by {distance:.1g} in the mean"
            )


def read_predictions(folder: Path, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Arrays of a cell's ``predictions.npz``; errors as in :func:`rethinking.run.files.reading`."""
    with reading(path := folder / "predictions.npz"), np.load(path) as arrays:
        return {name: arrays[name] for name in names}
