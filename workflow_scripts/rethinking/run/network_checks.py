"""A network of a plug-in is tried before hours of training."""

import copy
import re

import torch
from torch import Tensor, nn

from rethinking.entries import Entry
from rethinking.models.layers import batch_norms
from rethinking.run.files import UserError
from rethinking.run.plugins import blamed
from rethinking.training.steps import host_draws


def check_network(
    entry: Entry, model: nn.Module, image_shape: tuple[int, int, int], num_classes: int, in_parts: bool = False
) -> None:
    """Try a network of a plug-in on two images, then on more, before hours of training.

    Args:
        entry: its registration.
        model: the network, on the CPU.
        image_shape, num_classes: as of :func:`rethinking.models.build_model`.
        in_parts: whether its batches are cut into micro-batches.

    Raises:
        UserError: it gives other than logits (n, num_classes) for n images, or others each time in evaluation mode, a
            parameter plays no part in them, a trainable tensor that is no parameter does, training changes a buffer in
            a way that is lost or that depends on who works on which micro-batch, or earlier passes count in them by
            something else than parameters and buffers; the message has the file and line of its registration, or of the
            error.
    """

    def wrong(what: str) -> UserError:
        return UserError(f"{entry.place}: {what}")

    if any(map(nn.parameter.is_lazy, model.parameters())):
        raise wrong(f"the network '{entry.name}' has lazy layers; give each the size of its input")

    def logits_of(network: nn.Module, images: Tensor) -> Tensor:
        try:
            with blamed(entry.place):
                logits = network(images)
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
        tried = copy.deepcopy(model)
        tried.train()
    buffers = {name: (buffer, buffer.clone()) for name, buffer in tried.named_buffers()}
    norms = batch_norms(tried)
    means = [id(each) for norm in norms for each in (norm.running_mean, norm.running_var, norm.num_batches_tracked)]
    logits = logits_of(tried, images)
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
    # What forward makes itself, as to follow the gradient of the images, is another tensor in a second pass.
    known, again = {id(each) for each in tried.parameters()}, leaves(logits_of(tried, torch.ones_like(images)))
    if others := [leaf for each, leaf in leaves(logits).items() if each in again and each not in known]:
        raise wrong(
            f"the network '{entry.name}' uses trainable tensors that are not among its parameters, and so would never be "
            f"trained; the largest has the shape {tuple(max(others, key=torch.numel).shape)}. Keep layers in nn.ModuleList "
            "or nn.Sequential, not in a list or dict, and tensors in nn.Parameter"
        )
    # What files keep and a captured step restores must be all that counts of earlier passes.
    if made := tried.state_dict().keys() - model.state_dict().keys():
        raise wrong(
            f"forward makes {', '.join(sorted(made))} of the network '{entry.name}'; make it in the constructor"
        )
    with blamed(entry.place):
        fresh = copy.deepcopy(model)
        fresh.load_state_dict(tried.state_dict())
    with torch.random.fork_rng(devices=[]):
        drawn = host_draws()[:-1]
        for training in (False, True):
            both = []
            for network in (tried, fresh):
                network.train(training)
                torch.manual_seed(0)
                with torch.set_grad_enabled(training):
                    both.append(logits_of(network, torch.rand(2, *image_shape) * 2 - 1))
            if host_draws()[:-1] != drawn:
                raise wrong(
                    f"the network '{entry.name}' draws from the generators of Python or NumPy, which no seed of a cell sets; "
                    "draw with torch"
                )
            if not torch.allclose(*both, rtol=1e-4, atol=1e-6, equal_nan=True):
                with blamed(entry.place):
                    changed = ", ".join(sorted(differing(tried, fresh)))
                raise wrong(
                    f"the logits of the network '{entry.name}' depend on what earlier passes leave outside parameters and "
                    f"buffers{f' (its attributes that change: {changed})' * bool(changed)}, which no file keeps, such as a "
                    "count or a generator of its own; keep it in a buffer that is changed in place, as copy_ does, and draw "
                    "with torch's global generator"
                )
    with blamed(entry.place):
        tried.eval()
        with torch.no_grad():
            logits_of(tried, torch.ones(16, *image_shape))  # with the batch mixed up, two can be right by chance
            same = torch.allclose(tried(images), tried(images), rtol=1e-3, atol=1e-5, equal_nan=True)
    unused = [name for name, p in tried.named_parameters() if p.requires_grad and p.grad is None]
    if unused:
        raise wrong(f"no logit depends on {', '.join(unused)} of the network '{entry.name}'")
    if not same:
        raise wrong(
            f"the network '{entry.name}' draws random numbers in evaluation mode too; use nn.Dropout, or "
            "F.dropout(x, p, self.training)"
        )


def differing(model: nn.Module, other: nn.Module) -> list[str]:
    """The attributes, without parameters, buffers and modules, that differ between two networks of one kind."""

    def shown(module: nn.Module, name: str) -> str:
        return re.sub(r" at 0x\w+", "", repr(vars(module).get(name)))

    twins = dict(other.named_modules())
    return [
        f"{place}.{name}".removeprefix(".")
        for place, module in model.named_modules()
        for name in vars(module).keys() - vars(nn.Module()).keys()
        if place in twins and shown(module, name) != shown(twins[place], name)
    ]


def leaves(output: Tensor) -> dict[int, Tensor]:
    """The tensors that a backward pass from this one ends at, by their ``id``."""
    found: dict[int, Tensor] = {}
    seen, pending = set(), [output.grad_fn]
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if type(node).__name__ == "AccumulateGrad":
            found[id(node.variable)] = node.variable
        pending += [each for each, _ in node.next_functions]
    return found
