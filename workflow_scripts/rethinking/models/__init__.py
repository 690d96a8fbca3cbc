"""The paper's networks, by name.

Each network lives in a module of its own that is imported when it is built, so that
planning a workflow needs no torch and the code behind one network can be told from
the code behind another.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rethinking.run.files import UserError

if TYPE_CHECKING:
    from torch import nn

# name -> (module, function that builds it)
MODELS = {
    "inception": ("inception", "inception"),
    "inception_no_bn": ("inception", "inception_no_bn"),
    "alexnet": ("alexnet", "alexnet"),
    "mlp_3x512": ("mlp", "mlp_3x512"),
    "mlp_1x512": ("mlp", "mlp_1x512"),
}
# name -> options of its architecture; without them a network is the paper's
OPTIONS = {"inception": ("batch_norm_affine",), "alexnet": ("local_response_norm",)}

# name -> 10^6 operations to train on an image of 28x28 pixels once (see peak)
MEGAFLOPS = {"inception": 1221, "inception_no_bn": 1221, "alexnet": 147, "mlp_3x512": 8.0, "mlp_1x512": 4.8}


def training_megaflops(name: str, input_size: int) -> float:
    """10^6 operations to train a network on an image once, about: enough to tell large cells from small ones."""
    return MEGAFLOPS[name] * (input_size / 28) ** 2


def build_model(name: str, image_shape: tuple[int, int, int], num_classes: int, **options: bool) -> nn.Module:
    """Build a network with torch's default initial weights (see ``initialisation`` for the others).

    Args:
        name: one of ``MODELS``.
        image_shape: (channels, height, width) as the network sees it, i.e. after cropping.
        num_classes: number of logits.
        options: some of ``OPTIONS[name]``: ``batch_norm_affine`` gives the batch normalisation a scale and a
            shift that are trained, ``local_response_norm=False`` leaves that normalisation out.

    Returns:
        A module that maps (batch, channels, height, width) to (batch, num_classes) logits.

    Raises:
        UserError: there is no network of that name, or it has no such option.
    """
    if name not in MODELS:
        raise UserError(f"unknown model '{name}'; known: {', '.join(MODELS)}")
    check_options(name, options)
    module, function = MODELS[name]
    build = getattr(importlib.import_module(f"rethinking.models.{module}"), function)
    return build(image_shape, num_classes, **options)


def check_options(name: str, options: Iterable[str]) -> None:
    """Raise a UserError if the architecture of the network ``name`` lacks one of these options."""
    known = OPTIONS.get(name, ())
    for option in options:
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise UserError(f"the network '{name}' has no option '{option}'; {has}")


def parameter_count(model: nn.Module) -> int:
    """Number of trainable parameters, as the paper's table 1 counts them."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
