"""A GPU for a worker that nobody gave one: Dask's workers, several of them on a machine.

Each takes the GPU that the fewest others have, and keeps a process that owns the engine there.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from flow.extraction.engine_client import ADDRESS
from flow.extraction.engine_process import engine_processes
from flow.extraction.recipe import Recipe, check_engine
from flow.tvl1 import load_engine


@dataclass
class GpuClaim:
    """A GPU by its CUDA name, claimed as long as the file is open; the system ends it at death."""

    device: str
    descriptor: int

    def release(self) -> None:
        os.close(self.descriptor)


def claim_gpu(devices: Sequence[str], folder: Path | None = None) -> GpuClaim:
    """The first GPU that no other process of this user has claimed; else one that is claimed once,
    and so on, so that claims are spread evenly."""
    folder = folder or Path(tempfile.gettempdir()) / f"twostream-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    for sharing in count():
        for device in devices:
            name = f"gpu-{device.replace(os.sep, '_')}-{sharing}.lock"
            descriptor = os.open(folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return GpuClaim(device, descriptor)
            except BlockingIOError:
                os.close(descriptor)
    raise AssertionError


@dataclass
class OwnEngine:
    """The process that this one keeps, if its engine needs one; and the GPU that it claimed."""

    recipe: Recipe
    _stack: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        engine = load_engine(self.recipe.engine, self.recipe.flow.engines)
        if engine.open_queue is None or os.environ.get(ADDRESS):
            return
        claim = claim_gpu(engine.devices())
        self._stack.callback(claim.release)
        try:
            (address,) = self._stack.enter_context(engine_processes(self.recipe, [claim.device]))
        except BaseException:
            self._stack.close()
            raise
        os.environ[ADDRESS] = address
        self._stack.callback(os.environ.pop, ADDRESS, None)

    def close(self) -> None:
        self._stack.close()


_kept: dict[Recipe, OwnEngine] = {}


def own_engine(recipe: Recipe) -> Recipe:
    """Make sure that this process has an engine for the recipe, and give the recipe with its name;
    kept from one video to the next. UserError where none works."""
    if recipe not in _kept:
        close_own_engine()
        _kept[recipe] = OwnEngine(check_engine(recipe))
    return _kept[recipe].recipe


def close_own_engine() -> None:
    """Let go of the GPU."""
    for engine in _kept.values():
        engine.close()
    _kept.clear()
