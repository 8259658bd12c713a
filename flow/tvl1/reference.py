"""TV-L1 in plain NumPy: the definition to which every engine is held. Slow, and short.

Minimises, over the flow (u, v) and an auxiliary flow that carries the data term,

    sum |grad u| + |grad v|  +  1/(2 theta) |aux - (u, v)|^2  +  lambda |I1(x + aux) - I0(x)|

by linearising I1 around the present flow (a warp), and alternating a pointwise step for the
auxiliary flow with a dual ascent for the total variation. Coarse to fine over a pyramid.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from flow.tvl1.frames import checked_frames
from flow.tvl1.params import TVL1

Plane = NDArray[np.float32]


open_queue = None


def status(params: TVL1 | None = None) -> str:
    """`ok`: NumPy is always there."""
    return "ok"


def version() -> str:
    return f"numpy {np.__version__}"


def devices() -> list[str]:
    return []


def compute(frames: NDArray[np.uint8], params: TVL1, threads: int = 1) -> NDArray[np.float32]:
    """uint8 (N, H, W) -> float32 (N-1, 2, H, W), x then y, in pixels; by one thread always."""
    frames = checked_frames(frames)
    return np.stack([flow_of_pair(*two, params) for two in pairwise(frames)])


def flow_of_pair(
    first: NDArray[np.uint8], second: NDArray[np.uint8], params: TVL1
) -> NDArray[np.float32]:
    """Flow from one frame to another: uint8 (H, W) twice -> float32 (2, H, W)."""
    sizes = params.level_sizes(*first.shape)
    levels = [(first.astype(np.float32), second.astype(np.float32))]
    for size in sizes[1:]:
        a, b = levels[-1]
        step = 1 / params.scale_step
        levels.append((resize(a, size, step, step, params), resize(b, size, step, step, params)))

    flow = np.zeros((2, *sizes[-1]), np.float32)
    for level in reversed(range(len(sizes))):
        flow = refine(*levels[level], flow, params)
        if level:
            (h, w), (fine_h, fine_w) = sizes[level], sizes[level - 1]
            fine = [resize(c, (fine_h, fine_w), h / fine_h, w / fine_w, params) for c in flow]
            flow = np.stack(fine) * np.float32(1 / params.scale_step)
    return flow


def resize(
    image: Plane, size: tuple[int, int], step_y: float, step_x: float, params: TVL1
) -> Plane:
    """Linear interpolation to `size`; a pixel of the result is `step` pixels of the source."""

    def taps(count: int, step: float, limit: int) -> tuple[NDArray[np.int64], ...]:
        shift = 0.5 if params.dialect == "opencv-cpu" else 0.0
        at = np.clip((np.arange(count) + shift) * step - shift, 0, limit - 1).astype(np.float32)
        low = np.floor(at).astype(np.int64)
        return low, np.minimum(low + 1, limit - 1), at - low

    y0, y1, fy = taps(size[0], step_y, image.shape[0])
    x0, x1, fx = taps(size[1], step_x, image.shape[1])
    wide = image[:, x0] * (1 - fx) + image[:, x1] * fx
    return (wide[y0] * (1 - fy)[:, None] + wide[y1] * fy[:, None]).astype(np.float32)


def refine(i0: Plane, i1: Plane, flow: NDArray[np.float32], params: TVL1) -> NDArray[np.float32]:
    """All warps of one pyramid level, from the flow (2, H, W) that the coarser level gave."""
    lt = np.float32(params.lambda_ * params.theta)
    theta, taut = np.float32(params.theta), np.float32(params.tau / params.theta)
    threshold = params.epsilon**2 * i0.size
    i1x, i1y = central_gradient(i1)
    dual = np.zeros((2, 2, *i0.shape), np.float32)  # (component, direction, H, W)

    for _ in range(params.warps):
        warped, gx, gy = warp((i1, i1x, i1y), flow, params)
        norm = np.maximum(gx * gx + gy * gy, np.finfo(np.float32).eps)
        constant = warped - gx * flow[0] - gy * flow[1] - i0
        stop = StoppingRule(threshold, params)
        for _ in range(params.outer):
            if stop.reached:
                break
            if params.median:
                flow = median(flow, params.median)
            for _ in range(params.inner):
                if stop.reached:
                    break
                rho = constant + (gx * flow[0] + gy * flow[1])
                # the least change that brings rho to 0, no longer than lambda theta |grad|
                step = np.clip(-rho / norm, -lt, lt)
                new = flow + step * np.stack([gx, gy]) + theta * divergence(dual)
                stop.look(new - flow)
                flow = new.astype(np.float32)
                gradient = forward_gradient(flow)
                length = np.sqrt((gradient * gradient).sum(axis=1, keepdims=True))
                dual = (dual + taut * gradient) / (1 + taut * length)
    return flow


class StoppingRule:
    """Whether the sum of squared updates has fallen to epsilon^2 a pixel."""

    def __init__(self, threshold: float, params: TVL1) -> None:
        self.threshold = threshold
        self.predicts = params.dialect == "opencv-cuda"
        self.iteration = 0
        self.predicted = 0.0
        self.reached = False

    def look(self, update: NDArray[np.float32]) -> None:
        """Tell it of one iteration; opencv-cuda measures only where it expects to be done."""
        odd = self.iteration % 2 == 1
        self.iteration += 1
        if self.predicts and not (odd and self.predicted < self.threshold):
            self.predicted -= self.threshold
            return
        self.predicted = float((update.astype(np.float64) ** 2).sum())
        self.reached = self.predicted <= self.threshold


def central_gradient(image: Plane) -> tuple[Plane, Plane]:
    """Half the difference of the two neighbours; at a border the border repeats."""
    wide = np.pad(image, 1, mode="edge")
    half = np.float32(0.5)
    return half * (wide[1:-1, 2:] - wide[1:-1, :-2]), half * (wide[2:, 1:-1] - wide[:-2, 1:-1])


def forward_gradient(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2, H, W) -> (2, 2, H, W): towards x, towards y; 0 at the far border."""
    gradient = np.zeros((2, 2, *flow.shape[1:]), np.float32)
    gradient[:, 0, :, :-1] = flow[:, :, 1:] - flow[:, :, :-1]
    gradient[:, 1, :-1] = flow[:, 1:] - flow[:, :-1]
    return gradient


def divergence(dual: NDArray[np.float32]) -> NDArray[np.float32]:
    """(2, 2, H, W) -> (2, H, W): the negative adjoint of the inner forward gradient."""
    total = dual[:, 0] + dual[:, 1]
    total[:, :, 1:] -= dual[:, 0, :, :-1]
    total[:, 1:] -= dual[:, 1, :-1]
    return total


def warp(planes: tuple[Plane, ...], flow: NDArray[np.float32], params: TVL1) -> tuple[Plane, ...]:
    """Each plane (H, W) read at x + flow(x) with a bicubic kernel of 4 x 4 taps."""
    height, width = flow.shape[1:]
    zero_outside = params.dialect == "opencv-cpu"
    x = np.arange(width, dtype=np.float32) + flow[0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[1]
    # further out than this nothing changes, and the integers below stay small
    x, y = np.clip(x, -4, width + 3), np.clip(y, -4, height + 3)
    a = -0.75 if zero_outside else -0.5
    x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    wx, wy = (cubic_weights(at - low, a) for at, low in ((x, x0), (y, y0)))

    sums = [np.zeros(flow.shape[1:], np.float32) for _ in planes]
    weights = np.zeros(flow.shape[1:], np.float32)
    for j in range(4):
        for i in range(4):
            row, column = y0 + (j - 1), x0 + (i - 1)
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            row, column = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
            weight = wy[j] * wx[i]
            if zero_outside:
                weight = np.where(inside, weight, 0).astype(np.float32)
            else:
                weights += weight
            for total, plane in zip(sums, planes, strict=True):
                total += weight * plane[row, column]
    return tuple(sums) if zero_outside else tuple(total / weights for total in sums)


def cubic_weights(fraction: Plane, a: float) -> list[Plane]:
    """Keys' kernel at the four taps -1, 0, 1, 2 around a point `fraction` past tap 0."""

    def near(d: Plane) -> Plane:
        return ((a + 2) * d - (a + 3)) * d * d + 1

    def far(d: Plane) -> Plane:
        return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a

    t = fraction.astype(np.float32)
    return [w.astype(np.float32) for w in (far(1 + t), near(t), near(1 - t), far(2 - t))]


def median(flow: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """(2, H, W): the median of the side x side pixels around each; the border repeats."""
    reach = side // 2
    wide = np.pad(flow, ((0, 0), (reach, reach), (reach, reach)), mode="edge")
    windows = sliding_window_view(wide, (side, side), axis=(1, 2)).reshape(*flow.shape, side**2)
    return np.partition(windows, side**2 // 2, axis=-1)[..., side**2 // 2]
