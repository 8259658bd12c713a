"""Requests as a stream of batches: one is computed while the next is filled or emptied."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from flow.tvl1 import TVL1, FlowRequest
from flow.tvl1.gpu.batch import Batch
from flow.tvl1.gpu.device import Device, DeviceMemoryError
from flow.tvl1.gpu.layout import BatchLayout, choose_pairs
from storage.codecs import Quantizer
from storage.errors import UserError

log = logging.getLogger(__name__)

SLOTS = 2
"""Batches in memory at once: while one is computed, the other is filled or emptied."""


class _Part(NamedTuple):
    """Some pairs of a request, in a batch."""

    batch: Batch
    request: FlowRequest
    start: int
    stop: int


class FlowQueue:
    """`flow.tvl1.EngineQueue` on a device; requests may be of any frame size, codes or pixels.

    `batch` is the most pairs at a time; by default the device's free memory decides. Leave it as a
    context manager, or `close` it: its memory must not be given away while the device writes there.
    """

    def __init__(
        self, device: Device, params: TVL1, quantizer: Quantizer | None, batch: int | None = None
    ) -> None:
        if batch is not None and batch < 1:
            raise UserError(f"batch is {batch}; it must be at least 1 pair")
        self.device, self.params, self.quantizer, self.batch = device, params, quantizer, batch
        self._waiting: deque[FlowRequest] = deque()
        self._begun = 0  # pairs of the first waiting request that are in batches
        self._busy: deque[_Part] = deque()
        self._refused: list[FlowRequest] = []
        self._slots: _Slots | None = None

    def __enter__(self) -> FlowQueue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what the device does, and let go of its memory."""
        for part in self._busy:
            with suppress(Exception):  # what failed there was raised already, or nobody waits
                self.device.wait(part.batch.stream)
        self._busy.clear()
        self._waiting.clear()
        self._slots = None

    def put(self, request: FlowRequest) -> None:
        """See `EngineQueue.put`."""
        self._waiting.append(request)
        self._fill()

    def finished(self, wait: bool = False) -> list[FlowRequest]:
        """See `EngineQueue.finished`."""
        self._fill()
        done, self._refused = self._refused, []
        while self._busy:
            part = self._busy[0]
            if not (wait and not done) and not part.batch.done():
                break
            request = part.request
            request.out[part.start : part.stop] = part.batch.result()
            if part.start == 0 and request.sample is not None:
                request.sample[:] = part.batch.sample
            self._busy.popleft()
            self._fill()
            if part.stop == len(request.out):
                done.append(request)
        return done

    def _fill(self) -> None:
        """Give the device what there is room for."""
        while self._waiting:
            request, start = self._waiting[0], self._begun
            try:
                batch = self._idle_batch(request)
            except UserError as error:
                request.error = error
                self._refused.append(request)
                self._waiting.popleft()
                continue
            if batch is None:
                return
            stop = min(start + batch.layout.pairs, len(request.out))
            # Before the submission: should that fail, `close` waits for what it has queued.
            self._busy.append(_Part(batch, request, start, stop))
            sample = start == 0 and request.sample is not None
            batch.submit(request.frames[start : stop + 1], sample)
            self._begun = stop
            if stop == len(request.out):
                self._waiting.popleft()
                self._begun = 0

    def _idle_batch(self, request: FlowRequest) -> Batch | None:
        """A batch that is free for the request; None while one must be waited for."""
        _, height, width = request.frames.shape
        quantizer = self.quantizer if request.out.dtype == np.uint8 else None
        busy = [part.batch for part in self._busy]
        key = (height, width, quantizer)
        slots, pairs = self._slots, len(request.out)
        if slots is None or slots.key != key or slots.layout.pairs < min(pairs, slots.limit):
            if slots is not None and slots.key == key:
                if busy:  # they were allocated for a shorter request
                    return None
                limit = slots.limit
            else:
                limit = self.batch or choose_pairs(
                    *(self.params, height, width, self.device.tile_rows),
                    *(self.device.free_memory(), SLOTS),
                )
            self._slots = slots = None
            try:
                slots = self._slots = _Slots(self.device, self.params, key, limit, pairs)
            except DeviceMemoryError:
                if busy:  # those of another size hold the memory
                    return None
                raise
        return slots.idle(busy)


class _Slots:
    """Batches for one frame size: allocated when needed, smaller where the device has no room."""

    def __init__(
        self,
        device: Device,
        params: TVL1,
        key: tuple[int, int, Quantizer | None],
        limit: int,
        pairs: int,
    ) -> None:
        """`limit`: the most pairs in a batch; `pairs` of the request, if it has fewer."""
        self.device, self.key, self.limit = device, key, limit
        self.most = SLOTS
        height, width, self.quantizer = key
        pairs = min(pairs, limit)
        while True:
            self.layout = BatchLayout(params, height, width, pairs, device.tile_rows)
            try:
                self.slots = [Batch(device, self.layout, self.quantizer)]
                return
            except DeviceMemoryError as error:
                if pairs == 1:
                    raise self._too_little() from error
                pairs //= 2
                self.limit = pairs
                log.info(f"{device.name} is short of memory: batches of {pairs} pairs from here on")

    def _too_little(self) -> Exception:
        height, width, _ = self.key
        what = (
            f"{self.device.name} has {self.device.free_memory() / 2**20:.0f} MiB free; one pair "
            f"of {width}x{height} needs {self.layout.bytes / 2**20:.0f} MiB"
        )
        if self.layout.bytes > self.device.memory:
            return UserError(f"{what}: extract at a smaller --size, or use --engine cpu")
        return DeviceMemoryError(
            f"{what}: free some of it, extract at a smaller --size, or use --engine cpu"
        )

    def idle(self, busy: list[Batch]) -> Batch | None:
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
