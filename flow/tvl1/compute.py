"""The engines by name, and the one function that most callers need.

An engine is a module with

    compute(frames uint8 (N, H, W), params) -> float32 (N-1, 2, H, W)
    status() -> "ok", or why it does not work here; where that depends on what is asked for,
    status(params)

and, where it helps, `compute_codes(frames, params, quantizer) -> uint8 (N-1, 2, H, W)`.
It is imported when it is asked for. All engines give the flow that `reference` defines, within
rounding that the tests bound, so a caller may take any.
"""

from __future__ import annotations

import inspect
import logging
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from flow.tvl1.frames import checked_frames
from flow.tvl1.params import TVL1
from storage.errors import UserError

log = logging.getLogger(__name__)

ENGINES = {
    "gpu": "flow.tvl1.gpu.engine",
    "cpu": "flow.tvl1.cpu.engine",
    "opencv": "flow.tvl1.opencv",
    "reference": "flow.tvl1.reference",
}
"""Name -> module, the fastest first: the order in which `auto` tries them."""

_said: set[str] = set()


def engines(params: TVL1 | None = None) -> dict[str, str]:
    """Every engine's name -> "ok", or the reason why it does not work here."""
    return {name: _status(name, params) for name in ENGINES}


def choose_engine(name: str = "auto", params: TVL1 | None = None) -> str:
    """The engine that `name` stands for; for `auto` the fastest that works here, logged once."""
    if name != "auto":
        if name not in ENGINES:
            raise UserError(f"no flow engine {name!r}; choose auto, {', '.join(ENGINES)}")
        reason = _status(name, params)
        if reason != "ok":
            raise UserError(f"flow engine {name!r} does not work here: {reason}")
        return name
    passed: list[tuple[str, str]] = []
    for candidate in ENGINES:
        reason = _status(candidate, params)
        if reason == "ok":
            _say_once(
                f"flow engine: {candidate}"
                + "".join(f"; not {other}: {why}" for other, why in passed)
            )
            return candidate
        passed.append((candidate, reason))
    raise AssertionError("the reference engine always works")


def load_engine(name: str) -> ModuleType:
    """The module of an engine that `choose_engine` gave."""
    return import_module(ENGINES[name])


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
    frames = checked_frames(frames)
    params = params or TVL1()
    module = load_engine(choose_engine(engine, params))
    options = {}
    if "threads" in inspect.signature(module.compute).parameters:
        options["threads"] = threads
    flow: NDArray[np.float32] = module.compute(frames, params, **options)
    return flow


def _status(name: str, params: TVL1 | None = None) -> str:
    if find_spec(ENGINES[name]) is None:
        return "not part of this installation"
    try:
        status = import_module(ENGINES[name]).status
        depends = "params" in inspect.signature(status).parameters
        return str(status(params) if depends else status())
    except ImportError as error:
        return f"{error}"


def _say_once(text: str) -> None:
    if text not in _said:
        _said.add(text)
        log.info(text)
