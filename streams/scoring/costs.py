"""What scoring a video takes: parameters, FLOPs and time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

GATES = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}


class Costs:
    """Counts FLOPs on the first videos, and takes the time of all others.

    A multiplication and the addition that follows are two FLOPs, in convolutions, matrix products
    and recurrent layers; everything else (norms, pooling, FFTs) is not counted. The time is that of
    decoding, cropping and the network, without the wait for the store.
    """

    def __init__(self) -> None:
        self.flops = 0.0
        """A video, all its views."""
        self._first: tuple[float, int] | None = None
        self._seconds, self._videos = 0.0, 0

    @contextmanager
    def of(self, videos: int, net: nn.Module | None = None) -> Iterator[None]:
        """Scoring so many videos, from bytes on the device to numbers on the host. Recurrent
        layers are counted where `net` is given."""
        began = time.perf_counter()
        if self._first is None:
            with FlopCounterMode(display=False) as counter, recurrent(net, counter) as more:
                yield
            self.flops = (counter.get_total_flops() + sum(more)) / videos
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


@contextmanager
def recurrent(net: nn.Module | None, counter: FlopCounterMode) -> Iterator[list[int]]:
    """FLOPs of recurrent layers beyond what `counter` sees of them: on some devices they are one
    operation, which it does not know, on others matrix products."""
    more: list[int] = []
    before: list[int] = []

    def enter(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        before.append(counter.get_total_flops())

    def leave(layer: nn.RNNBase, inputs: tuple[Any, ...], output: object) -> None:
        counted = counter.get_total_flops() - before.pop()
        more.append(recurrent_flops(layer, inputs[0]) - counted)

    layers = [m for m in (net.modules() if net is not None else ()) if isinstance(m, nn.RNNBase)]
    hooks = [layer.register_forward_pre_hook(enter) for layer in layers]
    hooks += [layer.register_forward_hook(leave) for layer in layers]
    try:
        yield more
    finally:
        for hook in hooks:
            hook.remove()


def recurrent_flops(layer: nn.RNNBase, x: Tensor | nn.utils.rnn.PackedSequence) -> int:
    """Of all steps of all sequences: 2 gates H (D + H) a step and layer, in each direction."""
    data = x.data if isinstance(x, nn.utils.rnn.PackedSequence) else x
    steps = data.numel() // layer.input_size
    directions = 2 if layer.bidirectional else 1
    out = layer.proj_size or layer.hidden_size
    gates = next(count for kind, count in GATES.items() if isinstance(layer, kind))
    total = 0
    for depth in range(layer.num_layers):
        given = layer.input_size if depth == 0 else out * directions
        a_step = gates * layer.hidden_size * (given + out) + layer.proj_size * layer.hidden_size
        total += 2 * a_step * directions
    return total * steps


def device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'' if threads == 1 else 's'}"
