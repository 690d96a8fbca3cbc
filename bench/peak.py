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
    """Operations per second of the fastest of several square matrix products, as large as there is time for.

    On a CPU with torch's current number of threads, on a GPU with torch's current float32 arithmetic.
    """
    size, largest = 128, 8192 if device.type == "cuda" else 2048
    fastest, until = 0.0, time.perf_counter() + seconds
    took = 0.0  # by the last product; the next size takes eight times as long
    while time.perf_counter() < until:
        # A CPU without products in bfloat16 would take minutes for the largest.
        if size < largest and 8 * took < seconds / 8:
            size *= 2
            a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
            seconds_of_product(a, b)
        took = seconds_of_product(a, b)
        fastest = max(fastest, 2 * size**3 / took)
    return fastest


def seconds_of_product(a: torch.Tensor, b: torch.Tensor) -> float:
    """How long a product of two matrices takes."""
    started = time.perf_counter()
    torch.mm(a, b)
    if a.is_cuda:
        torch.cuda.synchronize(a.device)
    return time.perf_counter() - started
