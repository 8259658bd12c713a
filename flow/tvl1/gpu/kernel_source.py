"""The CUDA sources as the compiler gets them: a text for each file, includes in place."""

from __future__ import annotations

import re
from importlib.resources import files

from flow.tvl1.gpu.layout import MACROS

KERNELS = {
    "pyramid.cu": ("grey_levels", "shrink", "add_gradients", "no_flow"),
    "solve.cu": ("start_level", "solve_level"),
    "results.cu": ("grow_flow", "write_flow", "write_codes"),
    "ceilings.cu": ("copy_memory", "multiply_add", "special_functions"),
}
"""File -> the kernels in it."""

FILE_OF = {kernel: name for name, kernels in KERNELS.items() for kernel in kernels}

FAST_MATH = ("--ftz=true", "--prec-div=false", "--prec-sqrt=false")
"""Square root and reciprocal by the special-function unit: exact to 1 or 2 units in the last place.
Where the last place matters, the sources ask for correct rounding by name."""

_INCLUDE = re.compile(r'^#include "([\w.]+)"$', re.MULTILINE)


def source(name: str) -> str:
    """The text of a file in `kernels/` with its local includes in place, each of them once.

    CuPy's cache of compiled kernels is keyed by the text it is given, not by what that includes.
    """
    seen: set[str] = set()

    def read(name: str) -> str:
        if name in seen:
            return ""
        seen.add(name)
        text = files("flow.tvl1.gpu.kernels").joinpath(name).read_text(encoding="utf-8")
        return _INCLUDE.sub(lambda match: read(match[1]), text.replace("#pragma once\n", ""))

    return read(name)


def macros(tile_rows: int) -> tuple[str, ...]:
    """The constants that the kernels share with `layout`, as options of a compiler."""
    return tuple(f"-D{name}={value}" for name, value in (MACROS | {"ROWS": tile_rows}).items())


def compile_options(tile_rows: int) -> tuple[str, ...]:
    return ("--std=c++14", *FAST_MATH, *macros(tile_rows))
