"""What the exam's pictures are made of: surfaces that repeat, still windows, colours without light.

A surface is a random texture that repeats without a seam, moved by a phase in the frequency
domain: any fraction of a pixel is exact, and a whole period brings back the same picture. Windows
stand still while the surface moves behind them, so no outline tells of the motion.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flow.video import to_grey

DARKEST, BRIGHTEST = 84, 171
"""Limits on luma, so that a colour of strength STRONGEST never clips."""
STRONGEST = 60.0
"""Most that a colour adds to red or blue."""
WAVELENGTH = 9.0
"""Of a texture, pixels."""
CONTRAST = 19.0
"""Deviation of a texture, grey levels."""

Floats = NDArray[np.floating]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Surface:
    """An isotropic random texture, mean 0 and deviation 1, of the period that its shape is."""

    spectrum: NDArray[np.complexfloating]
    shape: tuple[int, int]
    """Rows and columns after which it repeats."""

    @classmethod
    def draw(
        cls, rng: np.random.Generator, shape: tuple[int, int], wavelength: float = WAVELENGTH
    ) -> Surface:
        radius = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :])
        ring = np.exp(-0.5 * ((radius * wavelength - 1) / 0.35) ** 2)
        spectrum = np.fft.rfft2(rng.standard_normal(shape)) * ring
        spectrum[0, 0] = 0
        return cls(spectrum / np.fft.irfft2(spectrum, shape).std(), shape)

    def at(self, x: float, y: float, size: tuple[int, int]) -> Floats:
        """(rows, columns) of the surface after it has moved by x to the right and y downwards."""
        across = np.fft.rfftfreq(self.shape[1])[None, :] * x
        down = np.fft.fftfreq(self.shape[0])[:, None] * y
        # Half the sampling rate has no phase of its own; the ring leaves next to nothing there.
        tile = np.fft.irfft2(self.spectrum * np.exp(-2j * np.pi * (across + down)), self.shape)
        repeats = [-(-side // period) for side, period in zip(size, self.shape, strict=True)]
        return np.tile(tile, repeats)[: size[0], : size[1]]


def window(
    side: int, centre: tuple[float, float], radius: float, squareness: float = 2.0
) -> Floats:
    """(side, side): the share of each pixel that a still window covers, 0 to 1.

    `centre` is x, y in pixels; a squareness of 2 is a circle, more is squarer.
    """
    x = np.abs(np.arange(side)[None, :] - centre[0]) / radius
    y = np.abs(np.arange(side)[:, None] - centre[1]) / radius
    distance = (x**squareness + y**squareness) ** (1 / squareness)
    return np.clip((1 - distance) * radius + 0.5, 0, 1)


def drawn_window(rng: np.random.Generator, side: int, low: float, high: float) -> Floats:
    """A window of a random radius (between two shares of the side), place and outline."""
    radius = rng.uniform(low, high) * side
    reach = min(radius + 1, side / 2)
    centre = (rng.uniform(reach, side - reach), rng.uniform(reach, side - reach))
    return window(side, centre, radius, rng.uniform(2.0, 4.0))


def background(rng: np.random.Generator, side: int) -> Floats:
    """(side, side): luma of a weakly patterned wall."""
    coarse = Surface.draw(rng, (side, side), rng.uniform(24, 40)).at(0, 0, (side, side))
    fine = Surface.draw(rng, (side, side), rng.uniform(6, 12)).at(0, 0, (side, side))
    return rng.uniform(120, 136) + 9 * coarse + 5 * fine


def exposed(scenes: Floats, rng: np.random.Generator, grain: float = 1.5) -> Bytes:
    """Luma as a sensor gives it, uint8: noise of a deviation of `grain`, drawn for each scene."""
    return np.rint(np.clip(scenes + rng.normal(0, grain, scenes.shape), DARKEST, BRIGHTEST)).astype(
        np.uint8
    )


def painted(luma: Bytes, hue: float, strength: Floats | float) -> Bytes:
    """Colour that no grey sees: uint8 (T, H, W) -> RGB uint8 (T, H, W, 3).

    The grey that the flow engines compute from the result is `luma`, to the byte, whatever the
    colour: red and blue follow from hue (radians in the plane of Cb and Cr) and strength (0 to 1,
    (H, W) or (T, H, W)), and green is the number that brings the grey back. A level of green
    moves the grey by 0.587, so there always is one.
    """
    cb, cr = np.cos(hue), np.sin(hue)
    most = STRONGEST / max(1.772 * abs(cb), 1.402 * abs(cr))
    strength = np.broadcast_to(strength, luma.shape) * most
    wanted = luma.astype(np.float64)
    red, blue = np.rint(wanted + 1.402 * cr * strength), np.rint(wanted + 1.772 * cb * strength)
    green = np.rint((wanted - 0.299 * red - 0.114 * blue) / 0.587)
    rgb = np.stack([red, green, blue], axis=-1).astype(np.uint8)
    return with_grey(rgb, luma)


def two_colours(luma: Bytes, hues: tuple[float, float], strengths: tuple[Floats, Floats]) -> Bytes:
    """`painted` with two colours that lie in different places."""
    first, second = (painted(luma, *pair) for pair in zip(hues, strengths, strict=True))
    return np.where((strengths[1] > strengths[0])[..., None], second, first)


def with_grey(rgb: Bytes, luma: Bytes) -> Bytes:
    """The same with a level more or less of green where rounding has missed the grey."""
    for _ in range(3):
        rows = rgb.reshape(-1, rgb.shape[-2], 3)
        off = luma.astype(np.int16) - to_grey(rows).reshape(luma.shape)
        if not off.any():
            return rgb
        rgb = rgb.copy()
        rgb[..., 1] = (rgb[..., 1].astype(np.int16) + np.sign(off)).astype(np.uint8)
    raise ArithmeticError("no level of green gives the grey that was wanted")


def moving_up(
    rng: np.random.Generator,
    side: int,
    step: float,
    count: int,
    *,
    rows: int,
    wavelength: float = WAVELENGTH,
    share: tuple[float, float] = (0.3, 0.4),
    grain: float = 1.5,
) -> Bytes:
    """RGB (count, side, side, 3): a surface that moves up by `step` pixels a frame behind a still
    window, begun anywhere. It repeats after `rows`; the window's radius lies between two shares
    of the side."""
    size = (side, side)
    surface = Surface.draw(rng, (rows, side), wavelength)
    cover, wall = drawn_window(rng, side, *share), background(rng, side)
    begin = rng.uniform(0, rows)
    shown = np.stack([surface.at(0, begin - step * t, size) for t in range(count)])
    luma = exposed(wall + cover * (128 + CONTRAST * shown - wall), rng, grain)
    return painted(luma, rng.uniform(0, 2 * np.pi), 0.15 + 0.35 * cover)
