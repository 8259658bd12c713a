"""What every engine takes: grey frames, checked once, with an error that says what to do."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flow.tvl1.params import MIN_SIDE
from storage.errors import UserError


def checked_frames(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Refuse what is not uint8 (N >= 2, H >= 16, W >= 16); give it back C-contiguous."""
    if not isinstance(frames, np.ndarray):
        raise UserError(
            f"frames are a {type(frames).__name__}; give a NumPy array, uint8 (N, H, W)"
        )
    if frames.dtype != np.uint8:
        raise UserError(
            f"frames are {frames.dtype}; TV-L1 takes uint8 grey levels: "
            "scale to 0..255 and use .astype(numpy.uint8)"
        )
    if frames.ndim != 3:
        raise UserError(
            f"frames have shape {frames.shape}; TV-L1 takes grey frames (N, H, W): "
            "convert colour to grey and stack the frames along the first axis"
        )
    count, height, width = frames.shape
    if count < 2:
        raise UserError(f"{count} frame(s) given; flow needs at least 2")
    if min(height, width) < MIN_SIDE:
        raise UserError(
            f"frames are {width}x{height}; TV-L1 needs at least {MIN_SIDE}x{MIN_SIDE}: "
            "resize them (extract: --size)"
        )
    return np.ascontiguousarray(frames)
