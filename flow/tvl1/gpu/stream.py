"""A video as a stream of batches: one is computed while the next is filled or emptied."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from flow.tvl1 import TVL1
from flow.tvl1.gpu.batch import Batch, Result
from flow.tvl1.gpu.device import Device, DeviceMemoryError
from flow.tvl1.gpu.layout import BatchLayout, choose_pairs
from storage.codecs import Quantizer
from storage.errors import UserError

log = logging.getLogger(__name__)

SLOTS = 2
"""Batches in memory at once: while one is computed, the other is filled or emptied."""


def stream_flow(
    device: Device,
    frames: NDArray[np.uint8],
    params: TVL1,
    quantizer: Quantizer | None,
    batch: int | None = None,
) -> Iterator[Result]:
    """uint8 (N, H, W) -> (n, 2, H, W) results of consecutive pairs, in order.

    Without a quantiser results are float32 pixels, with one its uint8 codes. `batch` is the most
    pairs at a time; by default the device's free memory decides.
    """
    if batch is not None and batch < 1:
        raise UserError(f"batch is {batch}; it must be at least 1 pair")
    count, height, width = frames.shape
    if batch is None:
        batch = choose_pairs(params, height, width, device.tile_rows, device.free_memory(), SLOTS)
    slots = _Slots(device, params, (height, width), min(batch, count - 1), quantizer)
    busy: deque[Batch] = deque()
    start = 0
    try:
        while start < count - 1:
            slot = slots.idle(busy)
            if slot is None:
                yield busy[0].result()
                slot = busy.popleft()
            stop = min(start + slot.layout.pairs, count - 1)
            slot.submit(frames[start : stop + 1])
            busy.append(slot)
            start = stop
        while busy:
            yield busy[0].result()
            busy.popleft()
    finally:
        for slot in busy:  # its memory must not be given away while the device writes there
            device.wait(slot.stream)


class _Slots:
    """The batches in memory: allocated when needed, smaller where the device has no room."""

    def __init__(
        self,
        device: Device,
        params: TVL1,
        size: tuple[int, int],
        pairs: int,
        quantizer: Quantizer | None,
    ) -> None:
        self.device, self.quantizer = device, quantizer
        self.most = SLOTS
        while True:
            self.layout = BatchLayout(params, *size, pairs, device.tile_rows)
            try:
                self.slots = [Batch(device, self.layout, quantizer)]
                return
            except DeviceMemoryError:
                if pairs == 1:
                    raise UserError(
                        f"{device.name} has {device.free_memory() / 2**20:.0f} MiB free; one pair "
                        f"of {size[1]}x{size[0]} needs {self.layout.bytes / 2**20:.0f} MiB: free "
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
                self.slots.append(Batch(self.device, self.layout, self.quantizer))
                return self.slots[-1]
            except DeviceMemoryError:
                self.most = len(self.slots)
                log.info(f"{self.device.name} is short of memory: one batch at a time")
        return None
