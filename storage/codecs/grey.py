"""Grey JPEGs decoded right into the rows where they belong, by code that is compiled for it.

The compiled decoder (`jpeg_kernel`) gives the pixels that OpenCV gives, in half the time and
without a copy. To have it takes half a second a process, and some seconds the first time on a
machine; so short work goes without it: it comes when a process has read `ENOUGH` pixels, or is
asked for. What it does not read (other kinds of JPEG, damaged files) is OpenCV's.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)
ENOUGH = 200_000_000
"""Pixels, about a quarter of a second of OpenCV's."""
_lock = threading.Lock()
_kernel: Any = None
_doubler: Any = None
_pixels = 0


def compile_reader() -> None:
    """Have the compiled decoder, whatever has been read. Processes that are forked have it too."""
    global _kernel, _doubler
    with _lock:
        if _kernel is None:
            from storage.codecs.jpeg_kernel import compiled

            started = time.perf_counter()
            _kernel, _doubler = compiled()
            log.debug("reader of flow ready after %.1f s", time.perf_counter() - started)


def expect(pixels: int) -> None:
    """So many will be read, perhaps by processes that are forked from this one."""
    if pixels >= ENOUGH:
        compile_reader()


def fill_grey(data: bytes | bytearray | memoryview, out: NDArray[np.uint8]) -> bool:
    """Decode into (H, W), C-contiguous. False where this is not done here: ask OpenCV."""
    global _pixels
    if _kernel is None:
        _pixels += out.size
        if _pixels < ENOUGH:
            return False
        compile_reader()
    file = np.frombuffer(data, np.uint8)
    return bool(_kernel(file, out.reshape(-1), out.shape[1]) == 0)


def fill_double(half: NDArray[np.uint8], out: NDArray[np.uint8]) -> bool:
    """Every value of (2, h, w) four times into (2, H, W). False where this is not done here."""
    if _doubler is None:
        return False
    _doubler(half, out)
    return True
