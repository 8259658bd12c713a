"""Whether a step fits into memory, said before the first one.

What a forward pass keeps for the gradient is counted exactly, on torch's meta device, which has
shapes and no numbers; weights, gradients, momentum and averaged weights are added. What is needed
beyond that (work space of convolutions, samples that are read ahead) is not known beforehand, so a
step that is let pass may still fail; one that is refused cannot fit.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from storage.errors import UserError
from streams.training.optimisation import Optimisation
from streams.training.recipes import Recipe
from streams.training.stream_task import stream_net

FLOAT = 4
"""Bytes of a float32."""
COUNTED = 2
"""Samples that are counted, and divided by: some batch norms take no less."""


def check_memory(recipe: Recipe, classes: int, device: torch.device, world: int = 1) -> None:
    """Raise UserError where a training step cannot fit into the device's free memory."""
    free = free_bytes(device)
    if free is None:
        return
    need = step_bytes(recipe, classes, world)
    if device.type == "cuda" and recipe.optim.amp != "off":
        need //= 2  # most of it may be kept in half precision
    if need > free:
        optim, input_ = recipe.optim, recipe.input
        raise UserError(
            f"a step needs {need / 2**30:.1f} GiB at least, and {free / 2**30:.1f} GiB are free on "
            f"{device}: raise --accumulate {optim.accumulate}, or lower --batch {optim.batch}, "
            f"--size {recipe.crop.size}, --length {input_.steps} or --segments "
            f"{recipe.sampling.segments}"
        )


def step_bytes(recipe: Recipe, classes: int, world: int = 1) -> int:
    """Bytes that one step of a process holds at once, at least."""
    optim = recipe.optim
    with torch.device("meta"):
        net = stream_net(recipe, classes).train()
    size = recipe.crop.size
    shape = (COUNTED, recipe.sampling.segments, recipe.input.channels, size, size)
    sample = kept_bytes(net, shape) / COUNTED
    videos = optim.batch / (optim.accumulate * world)
    weights = sum(p.numel() for p in net.parameters()) * FLOAT
    return round(videos * sample) + weights * copies_of_weights(optim)


def kept_bytes(net: nn.Module, shape: tuple[int, ...]) -> int:
    """What a forward pass of a network on the meta device keeps for the gradient, but its
    weights."""
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        net(torch.empty(shape, device="meta"))
    for parameter in net.parameters():
        kept.pop(parameter.untyped_storage()._cdata, None)
    return sum(storage.nbytes() for storage in kept.values())


def copies_of_weights(optim: Optimisation) -> int:
    """Weights, gradients, what the optimiser remembers, and averaged weights."""
    return 2 + (2 if optim.optimiser == "adamw" else 1) + (1 if optim.ema else 0)


def free_bytes(device: torch.device) -> int | None:
    """None where it cannot be known."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    meminfo = Path("/proc/meminfo")
    if device.type != "cpu" or not meminfo.exists():
        return None
    for line in meminfo.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
