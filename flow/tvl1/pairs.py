"""OpenCV's flow methods take one pair at a time; here they take a video, on several threads."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

Pair = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]
"""From two frames (H, W) to flow (H, W, 2)."""


def pairwise(
    frames: NDArray[np.uint8], make_pair: Callable[[], Pair], threads: int
) -> NDArray[np.float32]:
    """Flow of every pair of neighbours by an OpenCV method, shared out among threads.

    `make_pair` is called once a thread, since OpenCV's methods keep state. OpenCV's own threads
    are no help to it: pairs are independent and its loops are short.
    """
    out = np.empty((len(frames) - 1, 2, *frames.shape[1:]), np.float32)

    def compute_share(share: NDArray[np.intp]) -> None:
        pair = make_pair()
        for i in share:
            out[i] = pair(frames[i], frames[i + 1]).transpose(2, 0, 1)

    shares = np.array_split(np.arange(len(out)), min(threads, len(out)))
    if len(shares) == 1:
        compute_share(shares[0])
    else:
        with ThreadPoolExecutor(len(shares)) as pool:
            list(pool.map(compute_share, shares))
    return out
