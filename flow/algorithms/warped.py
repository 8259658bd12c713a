"""Warped flow, the third input of TSN: what moves once the camera's own motion is taken out.

For each pair of frames `camera` estimates the camera's motion. The second frame is warped back by
it, and flow is computed again. Where the camera stands still, or its motion is unknown, the plain
flow is kept as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from flow.algorithms.camera import FrameFeatures, camera_motion
from flow.tvl1 import checked_frames

ComputeFlow = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def warped_flow(
    frames: NDArray[np.uint8],
    compute: ComputeFlow,
    *,
    plain: NDArray[np.float32] | None = None,
    outcomes: Counter[str] | None = None,
    threads: int = 1,
) -> NDArray[np.float32]:
    """uint8 (N, H, W) -> float32 (N-1, 2, H, W): flow from each frame to the next, camera held.

    `compute` gives the plain flow of frames, of the same shapes; `plain` is that of `frames`,
    where the caller has it already. `outcomes` counts the pairs whose camera was moving, still,
    or unknown. With `threads` pairs are shared out; `compute` is then called from each of them.
    """
    frames = checked_frames(frames)
    out = np.array(compute(frames) if plain is None else plain, np.float32)
    features = [FrameFeatures(frame) for frame in frames]

    def hold(pair: int) -> str:
        camera = camera_motion(features[pair], features[pair + 1], out[pair])
        if camera.steady is not None:
            out[pair] = compute(np.stack([frames[pair], camera.steady]))[0]
        return camera.outcome

    # Neighbouring pairs share a frame's features, which two threads may both compute: that costs
    # a little time and changes nothing.
    if threads == 1:
        outcome_of_pairs = list(map(hold, range(len(out))))
    else:
        with ThreadPoolExecutor(threads) as pool:
            outcome_of_pairs = list(pool.map(hold, range(len(out))))
    if outcomes is not None:
        outcomes.update(outcome_of_pairs)
    return out
