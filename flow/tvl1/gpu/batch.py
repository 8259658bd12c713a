"""One batch of pairs on one stream: frames in, all levels, flow or codes out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.tvl1.gpu.device import Device, Scalar
from flow.tvl1.gpu.layout import ALIGNMENT, PAIR_BYTES, THREADS, BatchLayout, block_bytes
from storage.codecs import Quantizer, code_thresholds

PIXEL_BLOCK = 256
TASKS_A_BLOCK = 1.5
"""Tasks that are ready for each block that runs: more spill out of the cache, fewer leave gaps."""

Result = NDArray[np.uint8 | np.float32]


class Batch:
    """Memory, a stream and pinned host arrays for batches of up to `layout.pairs` pairs.

    `submit` queues a batch and returns at once, `done` says whether it is there, and `result`
    waits for it. Without a quantiser the result is the flow itself.
    """

    def __init__(self, device: Device, layout: BatchLayout, quantizer: Quantizer | None) -> None:
        self.device, self.layout, self.quantizer = device, layout, quantizer
        self.memory = device.allocate(layout.bytes)
        self.stream = device.stream()
        height, width = layout.height, layout.width
        area = height * width
        self.frames = device.host_array(layout.frames * area).reshape(-1, height, width)
        dtype: np.dtype[Any] = np.dtype(np.float32 if quantizer is None else np.uint8)
        raw = device.host_array(layout.pairs * 2 * area * dtype.itemsize)
        self.output: Result = raw.view(dtype).reshape(-1, 2, height, width)
        sample = device.host_array(2 * area * 4) if quantizer is not None else self.output[:1]
        self.sample: NDArray[np.float32] = sample.view(np.float32).reshape(2, height, width)
        """Pixels of the first pair, where they were asked for or are the result anyway."""
        self.shared = block_bytes(layout.tile_rows)
        self.blocks = device.resident_blocks("solve_level", THREADS, self.shared)
        self.pairs = 0  # in the batch under way
        if quantizer is not None:
            thresholds = code_thresholds(quantizer)
            device.upload(self.stream, self._offset("thresholds"), thresholds)
            device.wait(self.stream)  # the array is not pinned, and goes now

    def submit(self, images: NDArray[np.uint8], sample: bool = False) -> None:
        """Queue the flow of consecutive frames, uint8 (N, H, W); they are copied.

        `sample`: the first pair comes back in pixels beside its codes. After an exception part of
        the work may be queued: the batch must be waited for before it is let go.
        """
        layout, frames = self.layout, len(images)
        pairs = self.pairs = frames - 1
        self.frames[:frames] = images
        self.device.upload(self.stream, self._offset("frames"), self.frames[:frames])
        area = layout.height * layout.width
        places = self._at("frames"), self._at("image0")
        self._each_pixel("grey_levels", area, frames, *places, *_ints(area))
        for level in range(1, len(layout.sizes)):
            self._shrink(level, frames)
        height, width = layout.sizes[-1]
        flow, other, spare = "flow0", "flow1", "flow2"
        area = height * width
        self._each_pixel("no_flow", area, pairs, self._at(flow), *_ints(area))
        for level in reversed(range(len(layout.sizes))):
            self._solve(level, flow, other)
            if level:
                self._grow(level, flow, other, spare)
                flow, other, spare = spare, flow, other
        self._finish(flow, other, sample)

    def done(self) -> bool:
        """Whether the batch last submitted is there."""
        return self.device.done(self.stream)

    def result(self) -> Result:
        """(pairs, 2, H, W) of the batch last submitted, when it is there; reused by the next."""
        self.device.wait(self.stream)
        return self.output[: self.pairs]

    def work(self) -> NDArray[np.float64]:
        """(pairs, 3) of the batch last submitted.

        Pixel-iterations that counted, all that were run, and the bytes that were moved for them.
        """
        state = np.empty((self.pairs, PAIR_BYTES // 8), np.float64)
        self.device.download(self.stream, state, self._offset("pairs"))
        self.device.wait(self.stream)
        return state[:, -3:]

    def _shrink(self, level: int, frames: int) -> None:
        (fine_h, fine_w), (height, width) = self.layout.sizes[level - 1 : level + 1]
        self._each_pixel(
            "shrink",
            height * width,
            frames,
            *(self._at(f"image{level - 1}"), self._at(f"image{level}")),
            *_ints(fine_w, fine_h, width, height),
            np.float64(1 / self.layout.params.scale_step),
            self._shift,
        )

    def _solve(self, level: int, flow: str, other: str) -> None:
        """All warps and iterations of one level; one launch for all pairs."""
        layout, params, pairs = self.layout, self.layout.params, self.pairs
        (height, width), tiling = layout.sizes[level], layout.tilings[level]
        image, taps = self._at(f"image{level}"), self._at("taps")
        size = _ints(width, height)
        self._each_pixel("add_gradients", height * width, pairs + 1, image, taps, *size)

        blocks = min(self.blocks, pairs * tiling.count)
        under_way = max(1, round(blocks * TASKS_A_BLOCK / tiling.count))
        queue = self._at("queue"), self._at("steps")
        state, places = self._at("pairs"), pairs * layout.most_steps
        coarsest = level == len(layout.sizes) - 1
        self.device.launch(
            self.stream,
            "start_level",
            (-(-places // PIXEL_BLOCK), 1),
            PIXEL_BLOCK,
            [*queue, *_ints(places), state, *_ints(pairs, under_way, blocks, coarsest)],
        )
        arguments: list[Scalar] = [
            *(*queue, state, *_ints(pairs), *size),
            *_ints(tiling.across, tiling.down, tiling.halo),
            *(image, taps),
            *(self._at(name) for name in (flow, other, "dual0", "dual1", "data", "errors")),
            *_ints(params.warps, params.outer, params.inner, params.median),
            *_ints(params.dialect == "opencv-cpu"),
            np.float64(params.epsilon**2 * height * width),
            np.float32(params.theta),
            np.float32(params.tau / params.theta),
            np.float32(params.lambda_ * params.theta),
        ]
        self.device.launch(self.stream, "solve_level", (blocks, 1), THREADS, arguments, self.shared)

    def _grow(self, level: int, flow: str, other: str, fine: str) -> None:
        (fine_h, fine_w), (height, width) = self.layout.sizes[level - 1 : level + 1]
        self._each_pixel(
            "grow_flow",
            fine_h * fine_w,
            self.pairs,
            self._at("pairs"),
            *(self._at(name) for name in (flow, other, fine)),
            *_ints(width, height, fine_w, fine_h),
            *(np.float64(width / fine_w), np.float64(height / fine_h), self._shift),
            np.float32(1 / self.layout.params.scale_step),
        )

    def _finish(self, flow: str, other: str, sample: bool) -> None:
        area = self.layout.height * self.layout.width
        source = [self._at(name) for name in ("pairs", flow, other)]
        result = self._at("data")  # no longer needed, and larger
        if self.quantizer is None:
            self._each_pixel("write_flow", area, self.pairs, *source, result, *_ints(area))
        else:
            codes = [*source, self._at("thresholds")]
            self._each_pixel("write_codes", area, self.pairs, *codes, result, *_ints(area))
        self.device.download(self.stream, self.output[: self.pairs], self._offset("data"))
        if sample and self.quantizer is not None:
            behind = self._offset("data") + -(-self.pairs * 2 * area // ALIGNMENT) * ALIGNMENT
            self._each_pixel("write_flow", area, 1, *source, np.uint64(behind), *_ints(area))
            self.device.download(self.stream, self.sample, behind)

    def _each_pixel(self, kernel: str, area: int, count: int, *arguments: Scalar) -> None:
        """Launch a kernel with one thread for each pixel of `count` images."""
        self.device.launch(
            self.stream, kernel, (-(-area // PIXEL_BLOCK), count), PIXEL_BLOCK, arguments
        )

    @property
    def _shift(self) -> np.float64:
        """Where a pixel's centre lies in it, by the preset's rule of resizing."""
        return np.float64(0.5 if self.layout.params.dialect == "opencv-cpu" else 0)

    def _offset(self, part: str) -> int:
        return self.memory.address + self.layout.offsets[part]

    def _at(self, part: str) -> np.uint64:
        return np.uint64(self._offset(part))


def _ints(*values: int) -> list[Scalar]:
    return [np.int32(value) for value in values]
