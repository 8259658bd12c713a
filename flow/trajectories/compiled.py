"""Numba's `njit`, with the compiled code kept on disk where there is a place for it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import ParamSpec, TypeVar

from numba import njit

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger(__name__)


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The function as machine code; other threads run meanwhile.

    Numba notices a change only in the file of the function that it keeps; so the name carries a
    digest of all files of this package.
    """
    function.__qualname__ = f"{function.__qualname__}_{_digest()}"
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    result: Callable[P, R]
    try:
        result = njit(cache=True, **options)(function)
    except RuntimeError as error:  # neither the installation nor the user's cache is writable
        log.warning("compiled code is not kept: %s; NUMBA_CACHE_DIR names a folder for it", error)
        result = njit(**options)(function)
    return result


@cache
def _digest() -> str:
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
