"""Networks, by name: the paper's, each in a module of its own, and those of plug-ins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rethinking import registry
from rethinking.models.options import as_argument, check_options
from rethinking.run.plugins import blamed

if TYPE_CHECKING:
    from torch import nn

AUXILIARY_HEAD = "AuxLogits."  # with which the names of its parts begin; only training uses it


def training_megaflops(name: str, input_size: int) -> float:
    """Approximate cost of training a network on one image once, in 10^6 operations; it tells large cells from small ones.

    A registration gives those on an image of 28x28 pixels; a network that gives none counts as the largest.
    """
    costs = {entry.name: entry.options.get("megaflops") for entry in registry.entries("model")}
    return (costs[name] or max(filter(None, costs.values()))) * (input_size / 28) ** 2


def build_model(name: str, image_shape: tuple[int, int, int], num_classes: int, **options: Any) -> nn.Module:
    """Build a network with torch's default initial weights (see ``initialisation`` for the others).

    Args:
        name: a registered name.
        image_shape: (channels, height, width) as the network sees it, i.e. after cropping.
        num_classes: number of logits.
        options: of its architecture: arguments of the registered function with a default.

    Returns:
        A module that maps (batch, channels, height, width) to (batch, num_classes) logits.

    Raises:
        UserError: there is no network of that name, it has no such option, or a plug-in returns none.
    """
    check_options(name, options)
    entry = registry.entry("model", name)
    function = entry.resolve()
    options = {option: as_argument(value, entry.optional[option]) for option, value in options.items()}
    with blamed(entry.place if entry.own else None):
        model = function(image_shape, num_classes, **options)
    if not hasattr(model, "named_parameters"):
        raise entry.fault(f"returns {model!r}, not a torch.nn.Module")
    return model


def device_for_shapes(name: str) -> str:
    """Where a network is built of which only shapes are wanted.

    The library's are built without numbers. Those of plug-ins are not, because a constructor may read numbers.
    """
    return "cpu" if registry.entry("model", name).own else "meta"


def parameter_count(model: nn.Module) -> int:
    """Number of trainable parameters, as the paper counts them: without an auxiliary head."""
    return sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and not name.startswith(AUXILIARY_HEAD)
    )
