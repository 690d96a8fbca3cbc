"""Initial weights. The paper does not name its own, so the scheme is a setting."""

import math

import torch
from torch import Tensor, nn

from rethinking.models.layers import hooked
from rethinking.run.files import UserError
from rethinking.streams import torch_seed

DEVIATION = 0.1  # of truncated_normal
DATA_DEPENDENT = "data_dependent"


def initialise(model: nn.Module, scheme: str, generator: torch.Generator) -> None:
    """Draw all weights of ``model`` again from ``generator``.

    Args:
        model: any network. The scheme is that of its 2-D convolutions and linear layers; all other layers with
            parameters are reset by their own ``reset_parameters``, from the seed of ``generator``.
        scheme: ``glorot_uniform`` (Glorot and Bengio 2010; the default of TensorFlow's contrib.layers),
            ``uniform_unit_scaling``, U(-sqrt(3 / fan_in), sqrt(3 / fan_in)) (the default of TensorFlow's get_variable in
            2016), ``he_normal`` (He et al. 2015), ``data_dependent``, which is the same until :func:`standardise` has seen
            images, ``truncated_normal`` (of the layer's ``deviation``, by default 0.1, cut off
            at two deviations: TensorFlow's inception package) or ``torch_default``, that of torch's layers:
            U(-1/sqrt(fan_in), 1/sqrt(fan_in)), for the biases too, a third of the variance of LeCun et al. (1998).
            In the others biases are zero.
        generator: CPU generator; the same one gives the same weights on any device.

    Raises:
        UserError: a layer has parameters of its own and no ``reset_parameters``, or is a 2-D convolution or linear layer
            with other parameters than weight and bias; the message names it.
    """
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d | nn.Linear):
            reset(name, module, generator.initial_seed())
            continue
        own = [key for key, _ in module.named_parameters(recurse=False)]
        if "weight" not in own or not {*own} <= {"weight", "bias"}:
            raise UserError(
                f"{named(name, module)} must have the parameter weight, perhaps bias, and no other, because these are "
                f"initialised and decayed, but it has {', '.join(own) or 'none'}; leave out spectral_norm and its like, and "
                "put a parameter of your own into another layer"
            )
        weight, bias = module.weight, module.bias
        receptive = weight[0, 0].numel()
        fan_in, fan_out = weight.shape[1] * receptive, weight.shape[0] * receptive
        with torch.no_grad():
            if bias is not None:
                bias.zero_()
            if scheme == "glorot_uniform":
                limit = math.sqrt(6 / (fan_in + fan_out))
                weight.uniform_(-limit, limit, generator=generator)
            elif scheme == "uniform_unit_scaling":
                limit = math.sqrt(3 / fan_in)
                weight.uniform_(-limit, limit, generator=generator)
            elif scheme in ("he_normal", DATA_DEPENDENT):
                weight.normal_(0, math.sqrt(2 / fan_in), generator=generator)
            elif scheme == "truncated_normal":
                deviation = getattr(module, "deviation", DEVIATION)
                nn.init.trunc_normal_(weight, 0.0, deviation, -2 * deviation, 2 * deviation, generator=generator)
            elif scheme == "torch_default":
                limit = 1 / math.sqrt(fan_in)
                weight.uniform_(-limit, limit, generator=generator)
                if bias is not None:
                    bias.uniform_(-limit, limit, generator=generator)
            else:
                raise ValueError(f"unknown initialisation '{scheme}'")


@torch.no_grad()
def standardise(model: nn.Module, images: Tensor) -> None:
    """Shift and scale the weights so that on some images all channels have mean 0 and variance 1 before their nonlinearity.

    These are the channels of 2-D convolutions and the outputs of linear layers, except for the layer that runs last, in
    the order in which they run. A layer without bias is scaled only, and a channel that is the same on all images shifted
    only. A network without batch normalisation then starts like one with it. From "Data-dependent initializations of
    convolutional neural networks" (ICLR 2016, arXiv 1511.06856), algorithm 1.

    Args:
        model: a network with initial weights, on the CPU.
        images: its inputs (n, channels, height, width).
    """
    layers = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    was_training = model.training
    order: list[nn.Module] = []
    with hooked(layers, lambda layer, _inputs, _outputs: order.append(layer)):
        model.eval()(images[:2])

    def adjust(layer: nn.Conv2d | nn.Linear, _inputs: object, outputs: Tensor) -> None:
        if layer not in left:  # it has run before
            return
        left.remove(layer)
        channels = 1 if isinstance(layer, nn.Conv2d) else outputs.dim() - 1
        deviation, mean = torch.std_mean(
            outputs, [dim for dim in range(outputs.dim()) if dim != channels], correction=0, keepdim=True
        )
        constant = deviation <= 1e-6 * outputs.abs().amax()  # but for rounding
        scale = torch.where(constant, 1, 1 / deviation)
        layer.weight.mul_(scale.reshape(-1, *[1] * (layer.weight.dim() - 1)))
        if layer.bias is not None:
            layer.bias.sub_(mean.flatten()).mul_(scale.flatten())
            outputs.sub_(mean)
        outputs.mul_(scale)  # in place, because those of large images take gigabytes

    left = set(order) - set(order[-1:])
    with hooked(left, adjust):
        model(images)
    model.train(was_training)


def reset(name: str, module: nn.Module, seed: int) -> None:
    """Let a layer draw its own parameters, if it has any; each layer has its own random numbers."""
    own = [key for key, _ in module.named_parameters(recurse=False)]
    if not own:
        return
    reset_parameters = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
    if reset_parameters is None:
        raise UserError(
            f"{named(name, module)} has parameters ({', '.join(own)}) but no method "
            "reset_parameters that draws them, so its initial weights would not follow from the seed; give it one"
        )
    # Layers draw from torch's own generator.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed(seed, "initial weights", name))
        reset_parameters()


def named(name: str, module: nn.Module) -> str:
    """A layer of a network in the text of an error."""
    where = f"the layer '{name}'" if name else "the network itself"
    return f"{where} ({type(module).__name__})"
