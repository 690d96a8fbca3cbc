"""The weights of a trained network, from its folder."""

from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from rethinking.cells import CELL_FILES
from rethinking.run.files import reading
from rethinking.run.identity import check_contents


def load_weights(model: nn.Module, folder: Path) -> None:
    """Give a network the weights of one that is finished, ``weights.safetensors`` in its folder.

    Raises:
        UserError: they are missing, another network's or damaged, also if a value is not finite, or a file of the network is
            not as training left it; the message names it, or the folder.
    """
    check_contents([folder / name for name in CELL_FILES])
    with reading(path := folder / "weights.safetensors"):
        tensors = load_file(path)
        model.load_state_dict(tensors)
        parameters = dict(model.named_parameters(remove_duplicate=False))
        # A buffer can be a mask of infinities.
        wrong = {name: ~value.isfinite() if name in parameters else value.isnan() for name, value in tensors.items()}
        if names := [name for name, values in wrong.items() if values.any()]:
            raise ValueError(f"not all values of {', '.join(names)} are finite")
