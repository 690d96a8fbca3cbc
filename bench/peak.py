"""How much of the hardware training uses: operations of a network, and the peak of the device."""

from __future__ import annotations

import copy
import time

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


def training_flops(model: nn.Module, image_shape: tuple[int, int, int]) -> float:
    """Floating-point operations per image of a forward and backward pass.

    Products in convolutions and linear layers count, two operations per multiplication and addition;
    the gradient for the images, which nobody needs, is not computed and does not count.

    Args:
        model: any network; it is not changed.
        image_shape: (channels, height, width) as the network sees it.
    """
    batch = 2
    abstract = copy.deepcopy(model).to("meta").train()  # shapes alone, nothing is computed
    with FlopCounterMode(display=False) as counter:
        abstract(torch.empty(batch, *image_shape, device="meta")).sum().backward()
    return counter.get_total_flops() / batch


def peak_flops(device: torch.device, dtype: torch.dtype, seconds: float = 0.5) -> float:
    """Operations per second of the fastest of several large square matrix products.

    On a CPU with torch's current number of threads, on a GPU with torch's current float32 arithmetic.
    """
    size = 8192 if device.type == "cuda" else 2048
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    product = a @ b
    fastest, until = float("inf"), time.perf_counter() + seconds
    while (started := time.perf_counter()) < until:
        torch.mm(a, b, out=product)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        fastest = min(fastest, time.perf_counter() - started)
    return 2 * size**3 / fastest
