"""Networks, by name: the paper's, each in a module of its own, and those of plug-ins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rethinking import registry
from rethinking.models.options import as_argument, check_options
from rethinking.run.files import UserError
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


def check_network(
    entry: registry.Entry, model: nn.Module, image_shape: tuple[int, int, int], num_classes: int, in_parts: bool = False
) -> None:
    """Try a network of a plug-in on two images, then on more, before hours of training.

    Args:
        entry: its registration.
        model: the network, on the CPU.
        image_shape, num_classes: as of :func:`build_model`.
        in_parts: whether its batches are cut into micro-batches.

    Raises:
        UserError: it gives other than logits (n, num_classes) for n images, or others each time in evaluation mode, a
            parameter plays no part in them, or training changes a buffer in a way that is lost or that depends on who
            works on which micro-batch; the message has the file and line of its registration, or of the error.
    """
    import copy

    import torch

    from rethinking.models.layers import batch_norms

    def wrong(what: str) -> UserError:
        return UserError(f"{entry.place}: {what}")

    if any(map(torch.nn.parameter.is_lazy, model.parameters())):
        raise wrong(f"the network '{entry.name}' has lazy layers; give each the size of its input")

    def logits_of(images: torch.Tensor) -> torch.Tensor:
        try:
            with blamed(entry.place):
                logits = tried(images)
        except UserError as error:
            raise UserError(f"{error}, on images {tuple(images.shape)}") from error
        shape = tuple(logits.shape) if hasattr(logits, "shape") else f"a {type(logits).__name__}"
        if shape != (wanted := (len(images), num_classes)):
            raise wrong(
                f"the network '{entry.name}' turns images {tuple(images.shape)} into {shape}, not logits {wanted}"
            )
        return logits

    images = torch.ones(2, *image_shape)
    with blamed(entry.place):
        tried = copy.deepcopy(model).train()
    buffers = {name: (buffer, buffer.clone()) for name, buffer in tried.named_buffers()}
    norms = batch_norms(tried)
    means = [id(each) for norm in norms for each in (norm.running_mean, norm.running_var, norm.num_batches_tracked)]
    logits = logits_of(images)
    for name, buffer in tried.named_buffers():
        # Averages of a network, and a captured step, hold the tensors that it had at the start.
        if name not in buffers or buffer is not buffers[name][0]:
            raise wrong(f"forward binds another tensor to the buffer '{name}'; change it in place, as copy_ does")
        if torch.equal(*buffers[name]):
            continue
        if name not in tried.state_dict():
            raise wrong(f"training changes the buffer '{name}', which no file keeps; leave persistent=False out")
        if in_parts and id(buffer) not in means:
            raise wrong(
                f"each micro-batch changes the buffer '{name}', so with several workers the numbers would be others; leave "
                "micro_batch out, or change no buffer but the statistics of BatchNorm1d and BatchNorm2d"
            )
    if not getattr(logits, "requires_grad", False):  # an array, say
        raise wrong(f"the network '{entry.name}' has no trainable parameter that its logits depend on")
    with blamed(entry.place):
        logits.float().sum().backward()
        tried.eval()
        with torch.no_grad():
            logits_of(torch.ones(16, *image_shape))  # with the batch mixed up, two can be right by chance
            same = torch.allclose(tried(images), tried(images), rtol=1e-3, atol=1e-5, equal_nan=True)
    unused = [name for name, p in tried.named_parameters() if p.requires_grad and p.grad is None]
    if unused:
        raise wrong(f"no logit depends on {', '.join(unused)} of the network '{entry.name}'")
    if not same:
        raise wrong(
            f"the network '{entry.name}' draws random numbers in evaluation mode too; use nn.Dropout, or "
            "F.dropout(x, p, self.training)"
        )


def parameter_count(model: nn.Module) -> int:
    """Number of trainable parameters, as the paper counts them: without an auxiliary head."""
    return sum(
        parameter.numel()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and not name.startswith(AUXILIARY_HEAD)
    )
