"""Pictures as JPEG and PNG files: written, looked into, and their quality named."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError

JPEG_MAGIC = b"\xff\xd8"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
LARGEST_SIDE = 65500
"""Pixels that a JPEG may have in a row or a column."""
FILL, START_OF_SCAN, HUFFMAN_TABLE = 0xFF, 0xDA, 0xC4
NO_FRAME = (HUFFMAN_TABLE, 0xC8, 0xCC)
"""Markers from C0 to CF that do not begin a frame."""


def quality_of(text: str) -> int:
    """`95` -> 95. ValueError unless it is a whole number from 1 to 100."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 100):
        raise ValueError(f"{text!r} is not 1 to 100")
    return int(text)


def encode_jpeg(picture: NDArray[np.uint8], quality: int, small: bool = False) -> bytes:
    """Grey (H, W) or RGB (H, W, 3), chroma halved as usual.

    `small` makes Huffman tables for the picture instead of the usual ones. That takes longer, and
    the file decodes to the same.
    """
    import cv2

    if max(picture.shape[:2]) > LARGEST_SIDE:
        raise UserError(
            f"an image of {picture.shape[1]}x{picture.shape[0]} is too large for JPEG; "
            "store it as `lossless` or `raw`, or write PNG"
        )
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, int(small)]
    return _encode(".jpg", picture, options)


def encode_jpeg_by_table(picture: NDArray[np.uint8], table: NDArray[np.uint8]) -> bytes | None:
    """Grey (H, W) with these steps of the coefficients, (8, 8) from the mean to the finest, which
    OpenCV cannot be given. None where the file would be larger than the picture."""
    import io

    from PIL import Image

    file = io.BytesIO()
    try:
        Image.fromarray(picture).save(file, "JPEG", qtables=[table.ravel().tolist()], optimize=True)
    except OSError:  # Pillow's room for a file is a byte a pixel
        return None
    return file.getvalue()


def encode_png(picture: NDArray[np.uint8]) -> bytes:
    """Grey (H, W) or RGB (H, W, 3)."""
    return _encode(".png", picture, [])


def _encode(ending: str, picture: NDArray[np.uint8], options: list[int]) -> bytes:
    import cv2

    if picture.ndim == 3:
        picture = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), np.uint8)
    done, data = cv2.imencode(ending, picture, options)
    if not done:
        raise UserError(f"an image of shape {picture.shape} cannot be written as {ending}")
    return bytes(data)


def decode_file(data: bytes | memoryview, grey: bool) -> NDArray[np.uint8]:
    """A picture file -> uint8 (H, W), or (H, W, 3) RGB. ValueError says what is wrong with it."""
    import cv2

    flags = cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise ValueError(error.err) from None
    if picture is None:
        raise ValueError("it is damaged")
    return np.asarray(picture, np.uint8)


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """(marker, where it stands) of each segment of a JPEG up to its scan."""
    at = len(JPEG_MAGIC)
    while data[:2] == JPEG_MAGIC and at + 4 <= len(data) and data[at] == FILL:
        marker = data[at + 1]
        if marker == FILL:  # before a marker there may be any number of these
            at += 1
            continue
        yield marker, at
        if marker == START_OF_SCAN:
            return
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def head_length(data: bytes) -> int:
    """Where the Huffman tables of a JPEG begin: before them only its size and quality matter."""
    ends = (at for marker, at in jpeg_segments(data) if marker in (HUFFMAN_TABLE, START_OF_SCAN))
    return next(ends, 0)


def picture_size(data: bytes) -> tuple[int, int]:
    """(height, width) from the header of a JPEG or PNG. ValueError when it has none."""
    if data[:8] == PNG_MAGIC and len(data) >= 24:
        return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    if data[:2] != JPEG_MAGIC:
        raise ValueError("neither JPEG nor PNG")
    for marker, at in jpeg_segments(data):
        if 0xC0 <= marker <= 0xCF and marker not in NO_FRAME and at + 9 <= len(data):
            height, width = data[at + 5 : at + 7], data[at + 7 : at + 9]
            return int.from_bytes(height, "big"), int.from_bytes(width, "big")
    raise ValueError("a JPEG without a size")
