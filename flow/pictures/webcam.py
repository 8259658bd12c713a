"""A camera as a source of frames, for as long as is asked for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from flow.extraction import Picture, Recipe
from flow.video import Frame, resample, to_grey
from storage.errors import UserError


class Camera(Protocol):
    """The part of cv2.VideoCapture that is used."""

    def read(self) -> tuple[bool, Any]: ...

    def get(self, what: int) -> float: ...

    def release(self) -> None: ...


def open_camera(index: int) -> Camera:
    """cv2.VideoCapture of a camera that is there, or a UserError."""
    cameras = sorted(path.name for path in Path("/dev").glob("video*"))
    if sys.platform == "linux" and f"video{index}" not in cameras:
        there = f"there are {', '.join(cameras)}" if cameras else "there is none"
        raise UserError(f"no camera {index} here (/dev/video{index}); {there}")
    camera = cv2.VideoCapture(index)
    if not camera.isOpened():
        camera.release()
        raise UserError(f"camera {index} cannot be opened; is another program using it?")
    return camera


class Webcam:
    """The frames of a camera, stamped with the time at which they came."""

    def __init__(
        self,
        index: int,
        recipe: Recipe,
        seconds: float,
        *,
        open_it: Callable[[int], Camera] = open_camera,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not 0 < seconds <= 86400:
            raise UserError(f"--seconds {seconds:g} is not between 0 and 86400")
        self.index, self.recipe, self.seconds = index, recipe, seconds
        self.faults: list[UserError] = []
        self.about: dict[str, Any] = {"name": f"camera {index}"}
        self.decoded = 0
        self._clock = clock
        self._camera = open_it(index)
        rate = self._camera.get(cv2.CAP_PROP_FPS)
        self.fps = recipe.fps or (rate if 0 < rate <= 1000 else 30.0)

    def pictures(self) -> Iterator[Picture]:
        """Resized frames at the recipe's rate, until the time is over."""
        try:
            for frame in resample(self._frames(), self.recipe.fps):
                rgb = self.recipe.resize.apply(frame.rgb)
                yield Picture(rgb, to_grey(rgb))
        finally:
            self._camera.release()

    def _frames(self) -> Iterator[Frame]:
        begin = self._clock()
        while True:
            there, bgr = self._camera.read()
            now = self._clock() - begin
            if not there:
                raise UserError(f"camera {self.index} gave no frame {self.decoded}")
            if now >= self.seconds:
                return
            self.decoded += 1
            rgb: NDArray[np.uint8] = np.ascontiguousarray(bgr[..., ::-1])
            yield Frame(rgb, Fraction(now).limit_denominator(1_000_000))
