"""One step of SGD in two ways that give the same numbers: operation by operation, or replayed from a CUDA graph.

Small networks keep a GPU waiting for Python; a captured graph starts the whole step at once.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from rethinking import registry
from rethinking.cells import Cell
from rethinking.config.cell_settings import CellSettings
from rethinking.models import AUXILIARY_HEAD
from rethinking.registry import regulariser
from rethinking.run.files import UserError
from rethinking.run.hardware import is_out_of_memory
from rethinking.streams import torch_seed
from rethinking.training.optimisers import SGD, Optimiser, RMSProp

# images (batch, c, h, w) and labels (batch,) -> mean cross-entropy in nats and logits (batch, classes)
Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
WARM_UP_STEPS = 3


def build_step(name: str, model: nn.Module, optimiser: Optimiser, settings: CellSettings, device: torch.device) -> Step:
    """The training step for a device: captured on a GPU, operation by operation on a CPU.

    ``name`` is the network's; registered with ``capture=False`` it is not captured on a GPU either.
    """
    layout = memory_layout(model)

    def step(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        with autocast(device, settings):
            logits = model(images.contiguous(memory_format=layout)).float()
        loss = F.cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.detach(), logits.detach()

    if device.type != "cuda" or not registry.entry("model", name).options.get("capture", True):
        return step
    return CapturedStep(step, name, model, optimiser, settings.batch_size)


class CapturedStep:
    """A step that is captured at the first full batch and replayed from then on; smaller batches run eagerly.

    The next call overwrites what it returns.
    """

    def __init__(self, step: Step, name: str, model: nn.Module, optimiser: Optimiser, batch_size: int) -> None:
        self.name = name
        self.step, self.model, self.optimiser, self.batch_size = step, model, optimiser, batch_size
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """One step of training."""
        if len(labels) != self.batch_size:
            with rare_shape(True):
                return self.step(images, labels)
        if self.graph is None:
            self.capture(images, labels)
        self.images.copy_(images)
        self.labels.copy_(labels)
        self.graph.replay()
        return self.results

    def capture(self, images: Tensor, labels: Tensor) -> None:
        """Record the step on its own buffers, leaving weights, momentum and random numbers unchanged.

        Raises:
            UserError: the step cannot be captured, or it draws on the CPU and so would not draw again.
        """
        self.images, self.labels = images.clone(), labels.clone()
        state = [*self.model.parameters(), *self.model.buffers()]
        state += [tensor for kept in self.optimiser.state.values() for tensor in kept.values()]
        before = [tensor.detach().clone() for tensor in state]
        # Layers that draw, such as dropout, would otherwise continue where the steps of the warm-up stopped.
        random_state = torch.cuda.get_rng_state()
        # In the first steps libraries choose algorithms and allocate memory, which a graph cannot capture.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_STEPS):
                self.step(self.images, self.labels)
        torch.cuda.current_stream().wait_stream(stream)
        self.optimiser.zero_grad()
        self.graph = torch.cuda.CUDAGraph()
        drawn = host_draws()
        torch.cuda.synchronize()  # errors of the warm-up show here, not as ones of the capture
        try:
            with torch.cuda.graph(self.graph):
                self.results = self.step(self.images, self.labels)
        except RuntimeError as error:
            # Where the step fails, the end of the capture fails too, which says nothing of why.
            cause = error.__context__ or error
            if is_out_of_memory(cause):  # torch's, or that of CUDA where it makes the graph
                raise cause from None
            raise self.refusal(str(cause).partition("\n")[0]) from cause
        # The graph reads such tensors too: a table that a network makes at first use, say, and again at another batch size.
        self.held = tree_leaves([vars(module) for module in self.model.modules()])
        if host_draws() != drawn:
            raise self.refusal("it draws random numbers on the CPU, which every replay would repeat")
        with torch.no_grad():
            for tensor, value in zip(state, before, strict=True):
                tensor.copy_(value)
        torch.cuda.set_rng_state(random_state)

    def refusal(self, why: str) -> UserError:
        """What tells that this network is trained operation by operation alone."""
        return UserError(
            f"{registry.entry('model', self.name).place}: a step of the network '{self.name}' cannot be captured "
            f"in a CUDA graph ({why}); register it with capture=False"
        )


def host_draws() -> tuple:
    """How far the random numbers of the CPU are: those of Python, NumPy and torch."""
    _, keys, *place = np.random.get_state()  # noqa: NPY002  networks may draw from it
    return random.getstate(), keys.tolist(), place, torch.get_rng_state().tolist()


def memory_layout(model: nn.Module) -> torch.memory_format:
    """Channels last for networks with convolutions, which are then twice as fast; for others it is a needless copy."""
    convolutional = any(isinstance(module, nn.Conv2d) for module in model.modules())
    return torch.channels_last if convolutional else torch.contiguous_format


@regulariser("wd", heading=("weight", "decay"))
def build_optimiser(model: nn.Module, settings: CellSettings) -> Optimiser:
    """SGD with momentum or RMSProp; weight decay as an l2 penalty on the weights that the settings name.

    Raises:
        UserError: the network has no such weights.
    """
    # Other layers, such as normalisations, are not decayed.
    layers = {name: m for name, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    if settings.weight_decay_on == "hidden_linear":
        linear = [name for name, m in layers.items() if isinstance(m, nn.Linear)]
        hidden = [name for name in linear if not name.startswith(AUXILIARY_HEAD)][:-1]
        layers = {name: layers[name] for name in hidden}
    if settings.weight_decay and not layers:
        other = "give weight_decay_on: weights, or " if settings.weight_decay_on != "weights" else ""
        raise UserError(
            f"weight_decay_on is {settings.weight_decay_on}, but the network has no such weights (of 2-D convolutions "
            f"and linear layers); {other}leave 'wd' out"
        )
    decayed = {layer.weight for layer in layers.values()}
    decay = {p: settings.weight_decay if p in decayed else 0.0 for p in model.parameters() if p.requires_grad}
    if settings.rmsprop:
        return RMSProp(
            decay, settings.learning_rate, settings.momentum, settings.rmsprop.decay, settings.rmsprop.epsilon
        )
    return SGD(decay, settings.learning_rate, settings.momentum)


@regulariser("dropout", heading=("", "dropout"))
def seed_layers(cell: Cell, place: str) -> None:
    """Let layers that draw, such as dropout, have random numbers that follow from the cell and the place in training.

    So they are the same wherever training was interrupted.
    """
    torch.manual_seed(torch_seed(cell.seed, "layers", cell.stream_key, place))


def set_precision(precision: str, device: torch.device) -> None:
    """Set how products of float32 matrices are computed on a GPU; torch's defaults differ between layers."""
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision != "float32"
        torch.backends.cudnn.benchmark = True


@contextmanager
def rare_shape(rare: bool) -> Iterator[None]:
    """Let cuDNN take algorithms by its own rules for a batch of a ``rare`` size: a search takes longer than it would save."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = before and not rare
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before


def autocast(device: torch.device, settings: CellSettings) -> torch.autocast:
    """Arithmetic in the cell's precision. Weights are cast in every step, which a captured step requires."""
    return torch.autocast(
        device.type, dtype=torch.bfloat16, enabled=settings.precision == "bfloat16", cache_enabled=False
    )
