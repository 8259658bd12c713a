"""Where a picture is cropped: integer boxes in the stored picture, which the device resizes.

Sizes are parts of the picture's short side, so that the same rule serves a store of any size:
crop 224 of short side 256 is the box of 7/8 of the short side, resized to the network's input.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from storage.errors import UserError
from streams.settings import NEWER

CropRule = Literal["corners", "random", "area", "centre"]


class Box(NamedTuple):
    """Rows top .. top+height-1 and columns left .. left+width-1 of a stored picture."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Crop:
    """What part of the picture the network sees, and at what size."""

    size: int = 224
    """Side of the network's square input, pixels."""
    test_share: float = 0.875
    """Side of a testing crop as a part of the short side: 224 of 256."""
    crops: CropRule = "corners"
    """Training crops. corners: the 4 corners or the centre, at one of --scales (TSN). random:
    --test-share, anywhere (2014). area: 25 to 100 % of the area, aspect 3:4 to 4:3. centre."""
    scales: tuple[float, ...] = (1.0, 0.875, 0.75, 0.66)
    """Sides of the corner crops as parts of the short side; width and height differ by at most one
    place in this list."""
    flip: bool = True
    """Mirror every other training sample (flow's x is negated); not where left and right are two
    classes."""
    pairs: Literal["neighbour", "even"] = field(default="neighbour", metadata=NEWER)
    """How width and height of corner crops are drawn. even: each pair of scales at most one place
    apart alike, as TSN does. neighbour: the height, then one of its neighbours, which draws the
    ends of the list more often."""
    jitter: float = field(default=0.0, metadata=NEWER)
    """Standard deviation of the colour jitter of training frames, along ImageNet's principal
    colours (0.1 in AlexNet; 0: none)."""

    def __post_init__(self) -> None:
        if self.size < 8:
            raise UserError(f"--size {self.size} is below 8 pixels")
        if not 0 < self.test_share <= 1 or not all(0 < scale <= 1 for scale in self.scales):
            raise UserError("--test-share and --scales must lie in (0, 1]")
        if self.jitter < 0:
            raise UserError(f"--jitter {self.jitter} must not be negative")
        if not self.scales:
            raise UserError("--scales needs at least one number")


def side(height: int, width: int, share: float) -> int:
    """A part of the short side in whole pixels, at least one."""
    return max(1, round(share * min(height, width)))


def place(height: int, width: int, box_height: int, box_width: int, where: int) -> Box:
    """0 upper left, 1 upper right, 2 lower left, 3 lower right, 4 centre."""
    down, right = height - box_height, width - box_width
    top, left = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)][where]
    return Box(top, left, box_height, box_width)


def centre_box(height: int, width: int, share: float) -> Box:
    length = side(height, width, share)
    return place(height, width, length, length, 4)


def five_boxes(height: int, width: int, share: float) -> list[Box]:
    """The corners and the centre; with their mirror images, the ten crops of testing."""
    length = side(height, width, share)
    return [place(height, width, length, length, where) for where in range(5)]


def three_boxes(height: int, width: int) -> list[Box]:
    """Squares of the whole short side: at both ends of the long side, and in the middle."""
    length = min(height, width)
    return [place(height, width, length, length, where) for where in (0, 4, 3)]


def training_box(height: int, width: int, crop: Crop, rng: np.random.Generator) -> Box:
    """One random box by the crop's rule."""
    if crop.crops == "centre":
        return centre_box(height, width, crop.test_share)
    if crop.crops == "random":
        length = side(height, width, crop.test_share)
        top = int(rng.integers(height - length + 1))
        return Box(top, int(rng.integers(width - length + 1)), length, length)
    if crop.crops == "area":
        return area_box(height, width, rng)
    tall, wide = (side(height, width, crop.scales[i]) for i in scale_pair(crop, rng))
    return place(height, width, tall, wide, int(rng.integers(5)))


def scale_pair(crop: Crop, rng: np.random.Generator) -> tuple[int, int]:
    """Places in the list of scales of a corner crop's height and width."""
    count = len(crop.scales)
    if crop.pairs == "even":
        pairs = [(i, j) for i in range(count) for j in range(count) if abs(i - j) <= 1]
        return pairs[int(rng.integers(len(pairs)))]
    first = int(rng.integers(count))
    near = [i for i in (first - 1, first, first + 1) if 0 <= i < count]
    return first, near[int(rng.integers(len(near)))]


def area_box(height: int, width: int, rng: np.random.Generator) -> Box:
    """Torchvision's RandomResizedCrop in (0.25, 1) of the area; after 10 misses the centre."""
    for _ in range(10):
        area = height * width * rng.uniform(0.25, 1)
        aspect = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        wide, tall = round(float(np.sqrt(area * aspect))), round(float(np.sqrt(area / aspect)))
        if 0 < wide <= width and 0 < tall <= height:
            top = int(rng.integers(height - tall + 1))
            return Box(top, int(rng.integers(width - wide + 1)), tall, wide)
    return centre_box(height, width, 1.0)
