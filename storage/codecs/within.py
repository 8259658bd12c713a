"""The default coding: JPEGs made for flow, whose loss is bounded pair by pair.

JPEG's own tables are made for eyes and spend their bytes on what is seen in photographs. Here every
coefficient of the 8 x 8 transform has nearly the same step, from 1 at the mean to 2 at the finest
pattern: at equal bytes that loses a fifth to a third less of what moves. How large the step is
follows from the pair, without trying: finer where one code more is much motion, as in fast motion
under companded codes, and finer where little of the picture moves, for there it costs few bytes. A
mean over the picture alone would let small moving people pay for the still ground around them.

The numbers were fitted to 123 clips at two sizes, so that on as many as possible moving pixels lose
no more than with rounded codes in JPEGs of quality 95, at two thirds of their bytes
(docs/store.md). The bound then holds whatever the pair is: where a step misses it, finer ones are
tried.

Pairs of older stores may be JPEGs of half the size; `PairReader` reads them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from storage.codecs.items import Codes, Lossless, PairReader
from storage.codecs.pictures import LARGEST_SIDE, encode_jpeg_by_table
from storage.codecs.quantize import Quantizer

MOVING = 0.5
"""Pixels of motion above which a pixel counts as moving."""
MOVING_BOUND = 2.0
"""Moving pixels may lose so many times what all pixels may: most of them lie at edges of motion."""
FACTOR, OF_LEVEL, OF_SHARE = 0.83, -0.78, 0.09
LEAST_SHARE = 1e-3
USUAL = 0.08
"""The bound that the fit was made for; another one scales the steps."""
FINEST, COARSEST = 1.0, 40.0
STEPS_AN_OCTAVE = 6
"""Steps come in so many sizes, so that the pairs of a chunk share the heads of their files."""
AN_OCTAVE_PART = 2 ** (-1 / STEPS_AN_OCTAVE)
RISE = 1 + np.add.outer(np.arange(8), np.arange(8)) / 14


class Within(PairReader):
    """A JPEG whose mean end-point error is at most `pixels` over the pair, and at most twice that
    over what moves; lossless where no JPEG is."""

    def __init__(self, pixels: float, quantizer: Quantizer) -> None:
        if not 0 <= pixels < np.inf:
            raise ValueError(f"{pixels} is no number of pixels")
        self.pixels = pixels
        self.table = quantizer.table
        self.per_code = np.gradient(quantizer.table).astype(np.float32)
        """Of each code: what one code more is, pixels."""

    def encode(self, item: Codes) -> bytes:
        _, height, width = item.shape
        codes = np.ascontiguousarray(item)
        if self.pixels and max(2 * height, width) <= LARGEST_SIDE:
            pair = Pair(codes, self.table)
            step = self.step(codes, pair.moves)
            while step >= FINEST:
                data = encode_jpeg_by_table(codes.reshape(2 * height, width), table_of(step))
                if data is None:
                    break
                self.decode(data, pair.decoded)
                every, moving = pair.loss()
                excess = max(every, moving / MOVING_BOUND) / self.pixels
                if excess <= 1:
                    return data
                step = min(step * AN_OCTAVE_PART, on_grid(step / excess))
        return Lossless().encode(codes)

    def step(self, codes: Codes, moves: Codes) -> float:
        """The step of a pair's coefficients, in codes. `moves`: (H, W), not 0 where it moves."""
        import cv2

        share = max(cv2.countNonZero(moves) / moves.size, LEAST_SHARE)
        rows = [cv2.LUT(plane[::4], self.per_code) for plane in codes]  # they tell as much as all
        per_code = cv2.mean(cv2.magnitude(*rows), np.ascontiguousarray(moves[::4]))[0] / np.sqrt(2)
        if not per_code:
            per_code = float(self.per_code[np.abs(self.table - MOVING).argmin()])
        step = FACTOR * self.pixels / USUAL * per_code**OF_LEVEL * share**OF_SHARE
        return on_grid(float(np.clip(step, FINEST, COARSEST)))


class Pair:
    """A pair while it is coded, and what it loses."""

    def __init__(self, codes: Codes, table: NDArray[np.float32]) -> None:
        """`table`: code -> pixels."""
        import cv2

        self.table = table
        self.decoded = np.empty_like(codes)
        self.flow = [cv2.LUT(plane, table) for plane in codes]
        self.moves = (cv2.magnitude(*self.flow) > MOVING).view(np.uint8)

    def loss(self) -> tuple[float, float]:
        """The mean end-point error of `decoded`: over all pixels, and over those that move."""
        import cv2

        planes = zip(self.decoded, self.flow, strict=True)
        error = cv2.magnitude(*(cv2.subtract(cv2.LUT(p, self.table), flow) for p, flow in planes))
        return float(cv2.mean(error)[0]), float(cv2.mean(error, self.moves)[0])


def on_grid(step: float) -> float:
    """The nearest of the steps that there are."""
    return float(2.0 ** (np.rint(STEPS_AN_OCTAVE * np.log2(max(step, 1e-6))) / STEPS_AN_OCTAVE))


def table_of(step: float) -> NDArray[np.uint8]:
    """uint8 (8, 8): the steps of all coefficients."""
    return np.clip(np.rint(step * RISE), 1, 255).astype(np.uint8)
