"""What scoring a video takes: parameters, FLOPs and time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode


class Costs:
    """Counts FLOPs on the first videos, and takes the time of all others.

    A multiplication and the addition that follows are two FLOPs, in convolutions and matrix
    products; everything else (norms, pooling, FFTs) is not counted. The time is that of decoding,
    cropping and the network, without the wait for the store.
    """

    def __init__(self) -> None:
        self.flops = 0.0
        """A video, all its views."""
        self._first: tuple[float, int] | None = None
        self._seconds, self._videos = 0.0, 0

    @contextmanager
    def of(self, videos: int) -> Iterator[None]:
        """Scoring so many videos, from bytes on the device to numbers on the host."""
        began = time.perf_counter()
        if self._first is None:
            with FlopCounterMode(display=False) as counter:
                yield
            self.flops = counter.get_total_flops() / videos
            self._first = time.perf_counter() - began, videos
        else:
            yield
            self._seconds += time.perf_counter() - began
            self._videos += videos

    @property
    def seconds(self) -> float:
        """A video; the first ones, which warm everything up, count only if there are no others."""
        if self._videos:
            return self._seconds / self._videos
        seconds, videos = self._first or (0.0, 1)
        return seconds / videos

    def summary(self, net: nn.Module, device: torch.device) -> dict[str, Any]:
        """For a score table's provenance."""
        return {
            "parameters": sum(p.numel() for p in net.parameters()),
            "flops": round(self.flops),
            "seconds_per_video": float(f"{self.seconds:.4g}"),
            "device": device_name(device),
        }


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"
