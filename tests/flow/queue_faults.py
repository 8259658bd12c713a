"""An engine's queue for tests of the processes around it, which fails where it is told to."""

from __future__ import annotations

import os
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from host_device import HostDevice
from numpy.typing import NDArray

from flow.tvl1.engine import FlowRequest
from flow.tvl1.gpu import engine as gpu
from flow.tvl1.gpu.stream import FlowQueue
from flow.tvl1.params import TVL1
from storage.codecs.quantize import Quantizer
from storage.errors import UserError

QUANTIZER = Quantizer()


def flow_of(frames: NDArray[np.uint8]) -> NDArray[np.float32]:
    """No flow at all, but it depends on every pixel of both frames."""
    first, second = frames[:-1].astype(np.float32), frames[1:].astype(np.float32)
    return np.stack([(second - first) / 16, (second + first) / 64], axis=1)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and when."""

    stage: str = ""
    """start, put or result."""
    kind: str = ""
    """raise, stall or die."""
    times: int = 0
    marks: str = ""
    """A folder with a file for each time that it went wrong: processes come and go."""
    sparing: int = 0
    """It does not happen to the first so many requests of a process."""

    def strike(self, stage: str, number: int = 1 << 30) -> None:
        if stage != self.stage or number < self.sparing:
            return
        struck = len(os.listdir(self.marks))
        if struck >= self.times:
            return
        Path(self.marks, str(struck)).touch()
        if self.kind == "die":
            os._exit(139)
        if self.kind == "stall":
            time.sleep(600)
        raise RuntimeError(f"an illegal\nmemory access at {stage}")


class TestQueue:
    """Computes `flow_of`, one request at a time; frames 32 pixels wide are too much for it."""

    __test__ = False

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.requests: deque[FlowRequest] = deque()
        self.number = 0

    def put(self, request: FlowRequest) -> None:
        self.fault.strike("put", self.number)
        self.requests.append(request)

    def finished(self, wait: bool = False) -> list[FlowRequest]:
        if not self.requests:
            return []
        self.fault.strike("result", self.number)
        self.number += 1
        request = self.requests.popleft()
        flow = flow_of(request.frames)
        if request.frames.shape[2] == 32:
            request.error = UserError("one pair of 32 pixels is too much")
        elif request.out.dtype == np.uint8:
            request.out[:] = QUANTIZER.quantize(flow)
        else:
            request.out[:] = flow
        if request.sample is not None:
            request.sample[:] = flow[0]
        return [request]


def open_test_queue(fault: Fault) -> tuple[TestQueue, str]:
    """In the engine's process."""
    fault.strike("start")
    return TestQueue(fault), "test 1.0"


class FailingDevice(HostDevice):
    """The stand-in for a GPU, whose third solving fails as CUDA does, and all that comes after."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(tile_rows=2)
        self.fault = fault
        self.solved = 0

    def launch(self, stream: object, kernel: str, *rest: Any, **named: Any) -> None:
        self.solved += kernel == "solve_level"
        if self.solved > 2:
            self.fault.strike("put")
        super().launch(stream, kernel, *rest, **named)


def open_gpu_queue(fault: Fault, params: TVL1) -> tuple[FlowQueue, str]:
    """The GPU engine itself, over the stand-in."""
    return gpu.open_queue(params, QUANTIZER, device=FailingDevice(fault)), "stand-in"
