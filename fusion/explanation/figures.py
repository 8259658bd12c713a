"""What an explanation is made of: sections of figures."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.codecs import encode_png

Picture = NDArray[np.uint8]
"""(H, W, 3), red, green, blue."""


@dataclass(frozen=True)
class Figure:
    """One picture, still or moving."""

    name: str
    """Of its file, without .png."""
    png: bytes
    alt: str
    caption: str
    width: int
    """Pixels at which it is shown."""


@dataclass(frozen=True)
class Section:
    """Figures under one heading."""

    title: str
    note: str = ""
    lead: str = ""
    """A line of figures in words: class, prediction."""
    figures: list[Figure] = field(default_factory=list)
    inner: bool = False
    """Whether it belongs to the section before it."""


@dataclass(frozen=True)
class Explanation:
    """Everything that the page shows."""

    title: str
    subtitle: str
    sections: list[Section]
    facts: dict[str, Any]
    """How it came about, as JSON values."""
    numbers: dict[str, Any]
    """What programs read: JSON values."""


def still(name: str, picture: Picture, alt: str, caption: str, width: int = 0) -> Figure:
    return Figure(name, encode_png(picture), alt, caption, width or picture.shape[1])


def moving(
    name: str, pictures: Sequence[Picture], alt: str, caption: str, milliseconds: int = 160
) -> Figure:
    """A PNG that moves (APNG): every browser plays it, and a viewer that does not shows its first
    picture."""
    from PIL import Image

    frames = [Image.fromarray(np.ascontiguousarray(picture)) for picture in pictures]
    body = io.BytesIO()
    frames[0].save(
        body, "PNG", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0
    )
    return Figure(name, body.getvalue(), alt, caption, pictures[0].shape[1])


def file_name(number: int, text: str, what: str) -> str:
    """`003-Biking_v_Biking_g01_c01-guided`: names that sort, and that no file system refuses."""
    short = re.sub(r"[^A-Za-z0-9_-]+", "_", text)[-60:]
    return f"{number:03d}-{short}-{what}"
