"""A video as a stream of batches: one batch is computed while the next is being decoded."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import length_hint

import numpy as np
from numpy.typing import NDArray

from flow.tvl1 import MIN_SIDE, TVL1
from flow.tvl1.gpu.batch import Batch, Result
from flow.tvl1.gpu.device import Device, DeviceMemoryError
from flow.tvl1.gpu.layout import Plan, choose_pairs
from storage.codecs import Quantizer
from storage.errors import UserError

log = logging.getLogger(__name__)

SLOTS = 2
"""Batches in memory at once: while one is computed, the other is filled or emptied."""


def stream_flow(
    device: Device,
    frames: Iterable[NDArray[np.uint8]],
    params: TVL1,
    quantizer: Quantizer | None,
    *,
    step: int = 1,
    backward: bool = False,
    batch: int | None = None,
) -> Iterator[Result]:
    """uint8 (H, W) frames -> (n, 2, H, W) results of consecutive pairs, in order.

    Pair i is of frames i and i + step (`backward`: from the later to the earlier). Without a
    quantiser results are float32 pixels, with one its uint8 codes. Frames are taken from the
    iterator as they are needed, and memory does not grow with their number. `batch` is the most
    pairs at a time; by default the device's free memory decides.
    """
    if step < 1:
        raise UserError(f"step is {step}; it must be at least 1")
    if batch is not None and batch < 1:
        raise UserError(f"batch is {batch}; it must be at least 1 pair")
    numbered = enumerate(frames)
    opening = [_checked(frame, n, None) for n, frame in islice(numbered, step + 1)]
    if len(opening) <= step:
        raise UserError(
            f"{len(opening)} frame(s) given; flow over {step} frame(s) needs at least {step + 1}"
        )
    height, width = opening[0].shape
    for n, frame in enumerate(opening):
        _checked(frame, n, (height, width))
    if batch is None:
        free = device.free_memory()
        batch = choose_pairs(params, height, width, step, device.tile_rows, free, SLOTS)
        batch = min(batch, max(1, length_hint(frames, step + batch) - step))
    slots = _Slots(device, params, (height, width), step, batch, quantizer, backward)
    busy: deque[Batch] = deque()
    carried: list[NDArray[np.uint8]] = opening
    ended = False
    try:
        while not ended:
            slot = slots.idle(busy)
            if slot is None:
                yield busy[0].result()
                slot = busy.popleft()
            count = len(carried)
            slot.frames[:count] = carried
            for n, frame in islice(numbered, slot.plan.frames - count):
                slot.frames[count] = _checked(frame, n, (height, width))
                count += 1
            ended = count < slot.plan.frames
            # the next batch begins with the last `step` frames of this one
            carried = list(slot.frames[count - step : count].copy())
            if count > step:
                slot.submit(count - step)
                busy.append(slot)
        while busy:
            yield busy[0].result()
            busy.popleft()
    finally:
        for slot in busy:  # its memory must not be given away while the device writes there
            device.wait(slot.stream)


class _Slots:
    """The batches in memory: made when they are needed, smaller where the device has no room."""

    def __init__(
        self,
        device: Device,
        params: TVL1,
        size: tuple[int, int],
        step: int,
        pairs: int,
        quantizer: Quantizer | None,
        backward: bool,
    ) -> None:
        self.device, self.quantizer, self.backward = device, quantizer, backward
        self.most = SLOTS
        while True:
            self.plan = Plan(params, *size, pairs, step, device.tile_rows)
            try:
                self.slots = [Batch(device, self.plan, quantizer, backward)]
                return
            except DeviceMemoryError:
                if pairs == 1:
                    raise UserError(
                        f"{device.name} has {device.free_memory() / 2**20:.0f} MiB free; one pair "
                        f"of {size[1]}x{size[0]} needs {self.plan.bytes / 2**20:.0f} MiB: free "
                        "some of it, extract at a smaller --size, or use --engine cpu"
                    ) from None
                pairs //= 2
                log.info(f"{device.name} is short of memory: batches of {pairs} pairs from here on")

    def idle(self, busy: deque[Batch]) -> Batch | None:
        """A batch that is not busy; None when one must be waited for."""
        for slot in self.slots:
            if slot not in busy:
                return slot
        if len(self.slots) < self.most:
            try:
                self.slots.append(Batch(self.device, self.plan, self.quantizer, self.backward))
                return self.slots[-1]
            except DeviceMemoryError:
                self.most = len(self.slots)
                log.info(f"{self.device.name} is short of memory: one batch at a time")
        return None


def _checked(
    frame: NDArray[np.uint8], number: int, size: tuple[int, int] | None
) -> NDArray[np.uint8]:
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8 or frame.ndim != 2:
        what = f"{getattr(frame, 'dtype', type(frame).__name__)} {getattr(frame, 'shape', '')}"
        raise UserError(f"frame {number} is {what}; TV-L1 takes grey frames, uint8 (H, W)")
    if min(frame.shape) < MIN_SIDE:
        raise UserError(
            f"frame {number} is {frame.shape[1]}x{frame.shape[0]}; TV-L1 needs at least "
            f"{MIN_SIDE}x{MIN_SIDE}: resize the frames (extract: --size)"
        )
    if size is not None and frame.shape != size:
        raise UserError(
            f"frame {number} is {frame.shape[1]}x{frame.shape[0]} and the first was "
            f"{size[1]}x{size[0]}; all frames of a video must have one size"
        )
    return frame
