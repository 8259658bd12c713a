"""Which steps of a video a sequence is made of: integers in, integers out.

Steps are numbered from 0. A window of `length` steps that are `stride` apart spans
(length - 1) * stride + 1 steps of the video. A video shorter than that is played back and forth
until it is long enough, and the window is taken from what is played.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError

Indices = NDArray[np.int64]
Ends = Literal["once", "twice"]
"""Playing back and forth, the first and the last step come once at a turn (0 1 2 1 0 1), or
twice (0 1 2 2 1 0 0 1). The homework leaves it open; `once` never shows a still moment."""


def back_and_forth(steps: int, length: int, ends: Ends = "once") -> Indices:
    """(length,) of 0 .. steps-1: forwards from 0, then backwards, and so on."""
    check_window(steps, length)
    if steps == 1:
        return np.zeros(length, np.int64)
    period = 2 * steps - 2 if ends == "once" else 2 * steps
    phase = np.arange(length, dtype=np.int64) % period
    backwards = (period if ends == "once" else period - 1) - phase
    return np.where(phase < steps, phase, backwards)


def span_of(length: int, stride: int) -> int:
    """Steps from the first to the last of a window, both counted."""
    return (length - 1) * stride + 1


def window_from(start: int, length: int, stride: int) -> Indices:
    return start + stride * np.arange(length, dtype=np.int64)


def random_window(
    steps: int, length: int, rng: np.random.Generator, *, stride: int = 1, ends: Ends = "once"
) -> Indices:
    """(length,): a window at a uniform start, every start from the first to the last possible.

    Of a video that is too short there is one window only, from its beginning.
    """
    check_window(steps, length, stride)
    free = steps - span_of(length, stride)
    if free < 0:
        return back_and_forth(steps, span_of(length, stride), ends)[::stride]
    return window_from(int(rng.integers(free + 1)), length, stride)


def spaced_windows(
    steps: int, length: int, count: int, *, stride: int = 1, ends: Ends = "once"
) -> Indices:
    """(count, length): windows at even distances, the first at 0, the last flush with the end.

    One window lies in the middle. Of a short video all windows are the same.
    """
    check_window(steps, length, stride)
    if count < 1:
        raise UserError(f"--windows {count} must be at least 1")
    free = steps - span_of(length, stride)
    if free < 0:
        short = back_and_forth(steps, span_of(length, stride), ends)[::stride]
        return np.tile(short, (count, 1))
    if count == 1:
        return window_from(free // 2, length, stride)[None]
    gaps = count - 1
    starts = [(2 * i * free + gaps) // (2 * gaps) for i in range(count)]  # rounded, half up
    return np.stack([window_from(start, length, stride) for start in starts])


def matching_steps(step: Indices, steps: int, other: int) -> Indices:
    """Of another source with `other` steps the ones at the same places in the video:
    floor((t + 1/2) other / steps). So one 3-D feature a clip stands beside each of its frames."""
    return np.minimum((2 * step + 1) * other // (2 * steps), other - 1)


def check_window(steps: int, length: int, stride: int = 1) -> None:
    if steps < 1:
        raise UserError(f"a video of {steps} steps has no window; leave it out of the list")
    if length < 1 or stride < 1:
        raise UserError(f"--length {length} and --stride {stride} must both be at least 1")
