"""One batch of pairs on one stream: frames in, all levels, flow or codes out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.tvl1.gpu.device import Device, Scalar
from flow.tvl1.gpu.layout import PAIR_BYTES, THREADS, Plan, block_bytes
from storage.codecs import Quantizer, code_thresholds

PIXEL_BLOCK = 256
TASKS_A_BLOCK = 1.5
"""Tasks that are ready for each block that runs: more spill out of the cache, fewer leave gaps."""

Result = NDArray[np.uint8 | np.float32]


class Batch:
    """Memory, a stream and pinned host arrays for batches of up to `plan.pairs` pairs.

    `submit` queues a batch and returns at once; `result` waits for it. Without a quantiser the
    result is the flow itself.
    """

    def __init__(
        self, device: Device, plan: Plan, quantizer: Quantizer | None, backward: bool = False
    ) -> None:
        self.device, self.plan, self.quantizer, self.backward = device, plan, quantizer, backward
        self.memory = device.allocate(plan.bytes)
        self.stream = device.stream()
        area = plan.height * plan.width
        self.frames = device.host_array(plan.frames * area).reshape(
            plan.frames, plan.height, plan.width
        )
        """uint8 (frames, H, W), pinned: where the caller puts the frames of the next batch."""
        dtype: np.dtype[Any] = np.dtype(np.float32 if quantizer is None else np.uint8)
        raw = device.host_array(plan.pairs * 2 * area * dtype.itemsize)
        self.output: Result = raw.view(dtype).reshape(plan.pairs, 2, plan.height, plan.width)
        self.shared = block_bytes(plan.tile_rows)
        self.blocks = device.resident_blocks("solve_level", THREADS, self.shared)
        self.pairs = 0  # in the batch under way
        if quantizer is not None:
            thresholds = code_thresholds(quantizer)
            device.upload(self.stream, self._offset("thresholds"), thresholds)
            device.wait(self.stream)  # the array is not pinned, and goes now

    def submit(self, pairs: int) -> None:
        """Queue the flow of the first `pairs` pairs in `self.frames`."""
        plan, self.pairs = self.plan, pairs
        frames = pairs + plan.step
        self.device.upload(self.stream, self._offset("frames"), self.frames[:frames])
        area = plan.height * plan.width
        images = self._at("frames"), self._at("image0")
        self._each_pixel("grey_levels", area, frames, *images, *_ints(area))
        for level in range(1, len(plan.sizes)):
            self._shrink(level, frames)
        height, width = plan.sizes[-1]
        flow, other, spare = "flow0", "flow1", "flow2"
        area = height * width
        self._each_pixel("no_flow", area, pairs, self._at(flow), *_ints(area))
        for level in reversed(range(len(plan.sizes))):
            self._solve(level, flow, other)
            if level:
                self._grow(level, flow, other, spare)
                flow, other, spare = spare, flow, other
        self._finish(flow, other)

    def result(self) -> Result:
        """(pairs, 2, H, W) of the batch last submitted, when it is there; a copy."""
        self.device.wait(self.stream)
        return self.output[: self.pairs].copy()

    def account(self) -> NDArray[np.float64]:
        """(pairs, 3) of the batch last submitted: pixel-iterations that counted, all that were
        run, and the bytes that these tasks loaded and stored."""
        state = np.empty((self.pairs, PAIR_BYTES // 8), np.float64)
        self.device.download(self.stream, state, self._offset("pairs"))
        self.device.wait(self.stream)
        return state[:, -3:]

    def _shrink(self, level: int, frames: int) -> None:
        (fine_h, fine_w), (height, width) = self.plan.sizes[level - 1 : level + 1]
        self._each_pixel(
            "shrink",
            height * width,
            frames,
            *(self._at(f"image{level - 1}"), self._at(f"image{level}")),
            *_ints(fine_w, fine_h, width, height),
            np.float64(1 / self.plan.params.scale_step),
            self._shift,
        )

    def _solve(self, level: int, flow: str, other: str) -> None:
        """All warps and iterations of one level; one launch for all pairs."""
        plan, params, pairs = self.plan, self.plan.params, self.pairs
        (height, width), tiling = plan.sizes[level], plan.tilings[level]
        image, taps = self._at(f"image{level}"), self._at("taps")
        size = _ints(width, height)
        self._each_pixel("add_gradients", height * width, pairs + plan.step, image, taps, *size)

        blocks = min(self.blocks, pairs * tiling.count)
        under_way = max(1, round(blocks * TASKS_A_BLOCK / tiling.count))
        queue = self._at("queue"), self._at("steps")
        state, places = self._at("pairs"), pairs * plan.most_steps
        coarsest = level == len(plan.sizes) - 1
        self.device.launch(
            self.stream,
            "start_level",
            (-(-places // PIXEL_BLOCK), 1),
            PIXEL_BLOCK,
            [*queue, *_ints(places), state, *_ints(pairs, under_way, blocks, coarsest)],
        )
        frames = (plan.step, 0) if self.backward else (0, plan.step)
        arguments: list[Scalar] = [
            *(*queue, state, *_ints(pairs), *size),
            *_ints(tiling.across, tiling.down, tiling.halo),
            *(image, taps, *_ints(*frames)),
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
        (fine_h, fine_w), (height, width) = self.plan.sizes[level - 1 : level + 1]
        self._each_pixel(
            "grow_flow",
            fine_h * fine_w,
            self.pairs,
            self._at("pairs"),
            *(self._at(name) for name in (flow, other, fine)),
            *_ints(width, height, fine_w, fine_h),
            *(np.float64(width / fine_w), np.float64(height / fine_h), self._shift),
            np.float32(1 / self.plan.params.scale_step),
        )

    def _finish(self, flow: str, other: str) -> None:
        area = self.plan.height * self.plan.width
        source = [self._at(name) for name in ("pairs", flow, other)]
        result = self._at("data")  # no longer needed, and larger
        if self.quantizer is None:
            self._each_pixel("write_flow", area, self.pairs, *source, result, *_ints(area))
        else:
            source.append(self._at("thresholds"))
            self._each_pixel("write_codes", area, self.pairs, *source, result, *_ints(area))
        self.device.download(self.stream, self.output[: self.pairs], self._offset("data"))

    def _each_pixel(self, kernel: str, area: int, count: int, *arguments: Scalar) -> None:
        """Launch a kernel with one thread for each pixel of `count` images."""
        self.device.launch(
            self.stream, kernel, (-(-area // PIXEL_BLOCK), count), PIXEL_BLOCK, arguments
        )

    @property
    def _shift(self) -> np.float64:
        """Where a pixel's centre lies in it, by the preset's rule of resizing."""
        return np.float64(0.5 if self.plan.params.dialect == "opencv-cpu" else 0)

    def _offset(self, part: str) -> int:
        return self.memory.address + self.plan.offsets[part]

    def _at(self, part: str) -> np.uint64:
        return np.uint64(self._offset(part))


def _ints(*values: int) -> list[Scalar]:
    return [np.int32(value) for value in values]
