"""The moving pictures of the sample data: a round window on a patterned surface that moves.

State of a surface: where it lies, how it is turned, how far it is zoomed. A picture is a function
of that state, and the state at any one moment is spread evenly whatever the motion: places and
angles because the texture is an endless random field, the zoom because the texture is made of
octaves that fade in and out (a picture of it says where it is within an octave, never which way
it goes). The window itself stands still. So no single picture says anything about the motion.

Brightness and colour come from two independent fields. An appearance only decides the colour, so
the brightness, all that flow ever sees, says nothing about the appearance.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from scripts.samples.sample_classes import Appearance, Motion

TILE = 256
"""Side of a random field in texels; it repeats without a seam."""
TEXELS = 16.0
"""Wavelength of a field in texels."""
WAVELENGTH = 9.0
"""Wavelength of the middle octave on the screen, in pixels."""
REACH = 1.5
"""Octaves on either side of the middle at which a layer has faded out."""

DARKEST, STRONGEST = 84, 60
"""Limits on luma, and on what colour adds to red or blue: red, green and blue stay between 0 and
255 (with some room for the codec), so no clipping carries colour over into brightness."""

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def random_field(rng: np.random.Generator, wavelength: float) -> Floats:
    """float32 (TILE, TILE): seamless isotropic noise of one wavelength, mean 0, deviation 1."""
    frequency = np.fft.fftfreq(TILE)
    radius = np.hypot(frequency[:, None], frequency[None, :])
    ring = np.exp(-0.5 * ((radius * wavelength - 1) / 0.35) ** 2)
    field = np.fft.ifft2(np.fft.fft2(rng.standard_normal((TILE, TILE))) * ring).real
    return (field / field.std()).astype(np.float32)


@dataclass(frozen=True)
class Place:
    """What the clips of one group share: background, its tint, the light."""

    brightness: float
    background: Bytes
    """(H + 2 M, W + 2 M): luma, with a margin for the shaking camera."""
    tint: tuple[float, float]
    """Cb and Cr of the background, around 0."""

    MARGIN = 8

    @classmethod
    def draw(cls, rng: np.random.Generator, height: int, width: int) -> Place:
        rows, columns = height + 2 * cls.MARGIN, width + 2 * cls.MARGIN
        fine = random_field(rng, rng.uniform(6, 12))
        coarse = random_field(rng, rng.uniform(40, 90))
        luma = rng.uniform(118, 140) + 9 * fine + 14 * coarse
        angle, strength = rng.uniform(0, 2 * np.pi), rng.uniform(4, 14)
        repeats = (-(-rows // TILE), -(-columns // TILE))
        return cls(
            brightness=rng.uniform(0.92, 1.08),
            background=np.tile(np.clip(luma, 82, 178), repeats)[:rows, :columns].astype(np.uint8),
            tint=(strength * np.cos(angle), strength * np.sin(angle)),
        )


@dataclass(frozen=True)
class Window:
    """What one clip draws for itself: the window, the surface behind it, its speed, the shake.

    Every class gets a clip from the same window, so nothing here can give a class away.
    """

    place: Place
    centre: tuple[float, float]
    """x, y in pixels."""
    radius: float
    squareness: float
    """Exponent of the outline: 2 is a circle, more is squarer."""
    speed: float
    """Pixels a frame; for turning and zooming, at 0.8 of the radius."""
    angle: float
    zoom: float
    """In octaves."""
    surface: Floats
    """(TILE, TILE, 2): the fields of brightness and of colour."""
    offsets: Floats
    """(octaves, 2): where in the fields each octave begins."""
    shake: Floats
    """(T, 2): how far the camera is off at each frame, pixels."""
    grain: tuple[int, ...]
    """(T,): a seed for the sensor noise of each frame."""
    hue: float
    """Radians by which this clip's colours are off."""

    @classmethod
    def draw(cls, rng: np.random.Generator, place: Place, frames: int) -> Window:
        rows, columns = (side - 2 * Place.MARGIN for side in place.background.shape)
        radius = rng.uniform(0.31, 0.40) * min(rows, columns)
        reach = radius + 2
        return cls(
            place=place,
            centre=(rng.uniform(reach, columns - reach), rng.uniform(reach, rows - reach)),
            radius=radius,
            squareness=rng.uniform(2.0, 4.0),
            speed=rng.uniform(0.9, 2.0),
            angle=rng.uniform(0, 2 * np.pi),
            zoom=rng.uniform(0, 1),
            surface=np.dstack([random_field(rng, TEXELS), random_field(rng, 1.8 * TEXELS)]),
            offsets=rng.uniform(0, TILE, (64, 2)).astype(np.float32),
            shake=rng.normal(0, 0.15, (frames, 2)).astype(np.float32),
            grain=tuple(int(seed) for seed in rng.integers(0, 2**31, frames)),
            hue=rng.uniform(-0.25, 0.25),
        )

    def render(self, motion: Motion) -> tuple[Bytes, Floats, Floats]:
        """A clip without its colours.

        Returns luma uint8 (T, H, W), the field of colour float32 (T, H, W) with deviation 1, and
        the share of each pixel that the window covers, float32 (T, H, W).
        """
        frames = len(self.shake)
        parts = [self.picture(motion, moment) for moment in range(frames)]
        luma, field, cover = (np.stack(part) for part in zip(*parts, strict=True))
        return luma.astype(np.uint8), field, cover

    def picture(self, motion: Motion, moment: int) -> tuple[Bytes, Floats, Floats]:
        """One frame. A motion of direction -1 is its partner played backwards, to the byte."""
        frames = len(self.shake)
        if motion.direction < 0:
            moment = frames - 1 - moment
        gone = self.speed * (moment - (frames - 1) / 2)
        swing = gone / (0.8 * self.radius)
        jolt_x, jolt_y = (float(value) for value in self.shake[moment])
        margin = Place.MARGIN
        rows, columns = (side - 2 * margin for side in self.place.background.shape)

        x = np.arange(columns, dtype=np.float32)[None, :] - np.float32(self.centre[0] + jolt_x)
        y = np.arange(rows, dtype=np.float32)[:, None] - np.float32(self.centre[1] + jolt_y)
        cover = self.outline(x, y)
        brightness, field = self.look_at_surface(
            x - motion.step[0] * gone,
            y - motion.step[1] * gone,
            self.angle + motion.turn * swing,
            self.zoom + motion.zoom * swing / np.log(2),
        )
        shift = np.array([[1, 0, margin - jolt_x], [0, 1, margin - jolt_y]])
        background = cv2.warpAffine(
            self.place.background.astype(np.float32),
            shift,
            (columns, rows),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        )
        scene = background + cover * (136 - 18 * self.rim(x, y) + 20 * brightness - background)
        noise = np.random.default_rng(self.grain[moment]).normal(0, 1.5, scene.shape)
        luma = np.clip(self.place.brightness * scene + noise, DARKEST, 255 - DARKEST)
        return np.rint(luma).astype(np.uint8), field, cover

    def distance(self, x: Floats, y: Floats) -> Floats:
        """0 in the middle of the window, 1 on its outline."""
        p = self.squareness
        size = np.abs(x / self.radius) ** p + np.abs(y / self.radius) ** p
        return (size ** (1 / p)).astype(np.float32)

    def outline(self, x: Floats, y: Floats) -> Floats:
        """How much of each pixel the window covers, 0 to 1, for places relative to its centre."""
        return np.clip((1 - self.distance(x, y)) * self.radius + 0.5, 0, 1)

    def rim(self, x: Floats, y: Floats) -> Floats:
        """Shade towards the outline, 0 to 1; it stands still with the window."""
        return np.minimum(self.distance(x, y), 1) ** 6

    def look_at_surface(
        self, x: Floats, y: Floats, angle: float, zoom: float
    ) -> tuple[Floats, Floats]:
        """The fields of brightness and colour at places (x, y) of a turned, zoomed surface."""
        x, y = np.broadcast_arrays(x, y)
        along = (np.cos(angle) * x + np.sin(angle) * y).astype(np.float32)
        across = (np.cos(angle) * y - np.sin(angle) * x).astype(np.float32)
        total = np.zeros((*x.shape, 2), np.float32)
        power = 0.0
        for octave in range(int(np.ceil(-REACH - zoom)), int(np.floor(REACH - zoom)) + 1):
            size = octave + zoom
            weight = np.cos(np.pi * size / (2 * REACH)) ** 2
            texels = np.float32(TEXELS / WAVELENGTH * 2.0**-size)
            begin = self.offsets[octave % len(self.offsets)]
            layer = cv2.remap(
                self.surface,
                (along * texels + begin[0]) % TILE,
                (across * texels + begin[1]) % TILE,
                cv2.INTER_CUBIC,
                borderMode=cv2.BORDER_WRAP,
            )
            total += np.float32(weight) * layer
            power += weight**2
        total /= np.float32(np.sqrt(power))
        return total[..., 0], total[..., 1]

    def colour(self, appearance: Appearance, field: Floats, cover: Floats) -> Bytes:
        """Cb and Cr of a clip, uint8 (T, 2, H / 2, W / 2), from what `render` returned."""
        share = appearance.pattern(field)
        angle = appearance.hue + self.hue
        most = STRONGEST / max(1.772 * abs(np.cos(angle)), 1.402 * abs(np.sin(angle)))
        strength = cover * most * (0.1 + 0.9 * share)
        rest = 1 - cover
        planes = np.stack(
            [
                strength * np.cos(angle) + rest * self.place.tint[0],
                strength * np.sin(angle) + rest * self.place.tint[1],
            ],
            axis=1,
        )
        t, _, rows, columns = planes.shape
        halved = planes.reshape(t, 2, rows // 2, 2, columns // 2, 2).mean((3, 5))
        return np.rint(128 + halved).astype(np.uint8)
