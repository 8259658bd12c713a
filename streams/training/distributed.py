"""Several processes that train one model: started by `torchrun`, or one alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed as dist

from storage.errors import UserError


@dataclass(frozen=True)
class Ranks:
    """Which process this is, of how many, on which device."""

    rank: int
    world: int
    device: torch.device

    @property
    def first(self) -> bool:
        """The process that logs, saves and draws."""
        return self.rank == 0

    def total(self, values: list[float]) -> list[float]:
        """The sums over all processes, in each of them."""
        if self.world == 1:
            return values
        numbers = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(numbers)
        return [float(v) for v in numbers]

    def wait(self) -> None:
        if self.world > 1:
            dist.barrier()


def pick_device(name: str, local_rank: int) -> torch.device:
    """`auto` is the GPU of this rank where there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UserError(f"--device {name!r} is not known; try auto, cpu, cuda or cuda:1") from None
    if device.type != "cuda":
        return device
    if not torch.cuda.is_available():
        raise UserError(f"--device {name}: this PyTorch sees no GPU; --device cpu works without")
    index = local_rank if device.index is None else device.index
    if index >= torch.cuda.device_count():
        raise UserError(f"--device cuda:{index}: there are {torch.cuda.device_count()} GPUs")
    return torch.device("cuda", index)


@contextmanager
def ranks(device: str = "auto") -> Iterator[Ranks]:
    """Join the other processes if `torchrun` started several."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if world == 1:
        yield Ranks(0, 1, chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Ranks(dist.get_rank(), world, chosen)
    finally:
        dist.destroy_process_group()
