"""Package exports that are imported when first asked for.

A command's `--help` must not pay for torch, and the GPU engine must import with only numpy
installed; so no package imports its modules eagerly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def exports(package: str, table: Mapping[str, str]) -> tuple[Callable[[str], object], list[str]]:
    """Give `__getattr__` and `__all__` for a package whose public names live in modules.

    `table` maps a public name to the module, relative to `package`, that defines it.
    """

    def attribute(name: str) -> object:
        if name not in table:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{table[name]}"), name)

    return attribute, sorted(table)
