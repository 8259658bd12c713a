"""The front door: `import twostream` in Python, `python -m twostream COMMAND` in a shell.

    import twostream
    store = twostream.open_store("ucf101.store")

    torchrun --nproc-per-node 4 -m twostream train temporal --store S --labels L --out RUN

The names below are imported when they are first used, so opening the door costs nothing. The
packages behind it have common names (`flow`, `storage`, `scripts` ...). Python would take a folder
of such a name in the current directory for them. The finder below gives our own packages instead,
whatever lies there; every one of our packages opens this door first.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flow import TVL1, compute_flow, engines
    from fusion import (
        ConvFusionNet,
        Evaluation,
        LinearSVMFusion,
        ReportInputs,
        average,
        evaluate,
        weighted,
        write_report,
    )
    from storage import (
        Catalog,
        Clip,
        Quantizer,
        ScoreTable,
        Store,
        StoreConfig,
        StoreError,
        UserError,
        VideoMeta,
        WorkFailed,
        load_catalog,
        open_remote,
        open_store,
        read_scores,
        write_scores,
    )
    from streams import (
        RGB,
        ClipDataset,
        FlowClips,
        FlowStack,
        Recipe,
        RGBDifference,
        StreamNet,
        build_network,
        build_stream,
        networks,
        recipe,
    )

ROOMS = ("flow", "fusion", "scripts", "storage", "streams")
HERE = Path(__file__).resolve().parent


class OurRooms:
    """Finds our packages beside this file, before any search along `sys.path`."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(name, [str(HERE)], target) if name in ROOMS else None


def check_rooms() -> None:
    """Raise ImportError where another package of one of our names was imported before."""
    for name in ROOMS:
        module = sys.modules.get(name)
        places = [Path(place).resolve() for place in getattr(module, "__path__", ())]
        if module is not None and HERE / name not in places:
            other = getattr(module, "__file__", None) or ", ".join(map(str, places))
            raise ImportError(
                f"twostream needs its own package {name!r} ({HERE / name}), but {other} was "
                "imported under that name; import twostream before it, or rename it"
            )


def exports(package: str, file: str) -> tuple[Callable[[str], object], list[str]]:
    """`__getattr__` and `__all__` of a module, from its own `if TYPE_CHECKING:` imports.

    So a public name is listed once, for the type checker and for Python, and its module is
    imported when the name is first used: `--help` must not pay for torch, and the GPU engine must
    open with only NumPy installed.
    """
    homes: dict[str, str] = {}
    for node in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for line in node.body:
                if isinstance(line, ast.ImportFrom) and line.module:
                    homes |= {alias.name: line.module for alias in line.names}

    def attribute(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if homes[name] == package:  # a room within
            return import_module(f"{package}.{name}")
        return getattr(import_module(homes[name]), name)

    return attribute, sorted(homes)


if not any(isinstance(finder, type) and finder.__name__ == "OurRooms" for finder in sys.meta_path):
    sys.meta_path.insert(0, OurRooms)
check_rooms()
__getattr__, __all__ = exports("twostream", __file__)

if __name__ == "__main__":
    sys.exit(import_module("scripts.cli").main())
