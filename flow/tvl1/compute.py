"""The engines by name, and the one function that most callers need.

All engines give the flow that `reference` defines, within rounding that the tests bound. So a
caller may take any.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from flow.tvl1.engine import Engine
from flow.tvl1.params import TVL1
from storage.errors import UserError

log = logging.getLogger(__name__)

ENGINES = {
    "gpu": "flow.tvl1.gpu.engine",
    "cpu": "flow.tvl1.cpu.engine",
    "opencv": "flow.tvl1.opencv",
    "reference": "flow.tvl1.reference",
}
"""Name -> module (see `Engine`), the fastest first: the order in which `auto` tries them."""

_logged: set[str] = set()


def engines(params: TVL1 | None = None) -> dict[str, str]:
    """Every engine's name -> "ok", or the reason why it does not work here."""
    return {name: _status(module, params or TVL1()) for name, module in ENGINES.items()}


def choose_engine(
    name: str = "auto", params: object = None, modules: Mapping[str, str] | None = None
) -> str:
    """The engine that `name` stands for; for `auto` the fastest that works here, logged once.

    `modules` are the engines to choose from, by default those of TV-L1.
    """
    params, modules = params or TVL1(), modules or ENGINES
    if name != "auto":
        if name not in modules:
            raise UserError(f"no flow engine {name!r}; choose auto, {', '.join(modules)}")
        reason = _status(modules[name], params)
        if reason != "ok":
            raise UserError(f"flow engine {name!r} does not work here: {reason}")
        return name
    passed: list[tuple[str, str]] = []
    for candidate, module in modules.items():
        reason = _status(module, params)
        if reason == "ok":
            if len(modules) > 1:
                _log_once(
                    f"flow engine: {candidate}"
                    + "".join(f"; not {other}: {why}" for other, why in passed)
                )
            return candidate
        passed.append((candidate, reason))
    raise UserError("; ".join(f"flow engine {other!r}: {why}" for other, why in passed))


def load_engine(name: str, modules: Mapping[str, str] | None = None) -> Engine[Any]:
    """The engine that `choose_engine` named."""
    return cast(Engine[Any], import_module((modules or ENGINES)[name]))


def compute_flow(
    frames: NDArray[np.uint8],
    params: TVL1 | None = None,
    engine: str = "auto",
    threads: int = 1,
) -> NDArray[np.float32]:
    """Flow between each frame and the next: uint8 (N, H, W) -> float32 (N-1, 2, H, W).

    x then y, in pixels. `threads` is for engines on the CPU: pairs are shared out among them.
    """
    if threads < 1:
        raise UserError(f"threads is {threads}; it must be at least 1")
    params = params or TVL1()
    return load_engine(choose_engine(engine, params)).compute(frames, params, threads)


def _status(module: str, params: object) -> str:
    if find_spec(module) is None:
        return "not part of this installation"
    try:
        return str(import_module(module).status(params))
    except ImportError as error:
        return f"{error}"


def _log_once(text: str) -> None:
    if text not in _logged:
        _logged.add(text)
        log.info(text)
