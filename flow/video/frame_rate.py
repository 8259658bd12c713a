"""A steady frame rate out of whatever rate a video has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction

from flow.video.reader import Frame, VideoError
from storage.errors import UserError

SLOWEST, FASTEST = 0.001, 1000.0
"""Frames a second."""
LONGEST_STILL = 600
"""Seconds; a longer gap between two frames is a damaged time stamp, not a slide."""


def check_rate(fps: float | None) -> None:
    """Refuse a rate that no video can be brought to."""
    if fps is not None and not SLOWEST <= fps <= FASTEST:
        raise UserError(f"--fps {fps:g} is not between {SLOWEST:g} and {FASTEST:g}")


def resample(frames: Iterable[Frame], fps: float | None) -> Iterator[Frame]:
    """Output frame k is the frame on show at k / fps: the last one that is not later.

    Frames repeat when `fps` is above the source's rate and are left out when it is below; none
    is mixed. Without `fps` every frame passes as it is, variable frame rate or not.
    """
    if fps is None:
        yield from frames
        return
    tick = 1 / Fraction(fps).limit_denominator(1001)  # 29.97 is 30000/1001, or near enough
    shown: Frame | None = None
    index, number = 0, -1
    last_gap = Fraction(0)
    for frame in frames:
        number += 1
        if shown is not None:
            last_gap = frame.time - shown.time
            if last_gap > LONGEST_STILL:
                leap = f"time stamps leap by {float(last_gap):.0f} s"
                raise VideoError("damaged", leap, number)
            while index * tick < frame.time:
                yield Frame(shown.rgb, index * tick)
                index += 1
        shown = frame
    if shown is None:
        return
    # The last frame is on show as long as the one before it; a lone frame once.
    end = shown.time + last_gap
    while index * tick < end or index == 0:
        yield Frame(shown.rgb, index * tick)
        index += 1
