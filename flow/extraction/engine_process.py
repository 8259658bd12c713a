"""Processes that own a GPU each, as their parent sees them: started, and replaced when they die.

A subprocess and not one of `multiprocessing`, whose daemons (Dask's workers are such) may have no
children.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, cast

from flow.extraction.engine_client import TROUBLE
from flow.extraction.engine_server import OpenEngine, open_engine
from flow.extraction.pool import signals_blocked
from flow.extraction.recipe import Recipe
from flow.tvl1 import load_engine
from storage.errors import UserError

log = logging.getLogger(__name__)

START_LIMIT = 300.0
"""Seconds for a process to start; kernels may have to be compiled."""


class EngineProcess:
    """One process that owns an engine and listens at `address`. Use it as a context manager."""

    def __init__(self, address: str, open_it: OpenEngine, environment: dict[str, str]) -> None:
        self.address = address
        self._open, self._environment = open_it, environment
        self._closing = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._watch = threading.Thread(target=self._keep, daemon=True, name="engine-watch")

    def __enter__(self) -> EngineProcess:
        """Start it; UserError where the engine does not work."""
        fault = self._start()
        if fault:
            self._bury()
            raise UserError(f"the flow engine does not start: {fault}")
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._running.kill()
        self._watch.join()

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _start(self) -> str:
        """Start a process and wait until it is ready; what is wrong, or nothing."""
        code = (
            f"import sys; sys.path[:] = {sys.path!r}; "
            "from flow.extraction.engine_server import main; main()"
        )
        with signals_blocked():
            process = self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | self._environment,
            )
        killer = threading.Timer(START_LIMIT, process.kill)
        killer.start()
        try:
            with suppress(OSError):  # it died already: stdout ends then
                stdin = cast(IO[bytes], process.stdin)
                pickle.dump((self.address, self._open), stdin)
                stdin.flush()
            line = cast(IO[bytes], process.stdout).readline()
        finally:
            killer.cancel()
        told = json.loads(line) if line else {"fault": "its process died as it started"}
        return str(told.get("fault", ""))

    def _keep(self) -> None:
        """Replace the process whenever it dies; if that cannot be, tell the workers."""
        while True:
            last = self._bury()
            if self._closing.is_set():
                return
            with suppress(ValueError, KeyError):
                log.warning(f"the engine's process is replaced: {json.loads(last)['fault']}")
            fault = self._start()
            if self._closing.is_set():
                self._running.kill()  # it came after that of `__exit__`
            elif fault:
                text = f"the engine does not start again: {fault}"
                Path(self.address + TROUBLE).write_text(text, encoding="utf-8")
                self._closing.wait()

    def _bury(self) -> bytes:
        """Wait for the process's death; what it said last."""
        process = self._running
        last = cast(IO[bytes], process.stdout).read()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):
                cast(IO[bytes], pipe).close()
        return last


@contextmanager
def engine_processes(recipe: Recipe, devices: Sequence[str] | None = None) -> Iterator[list[str]]:
    """A process for each GPU that the recipe's engine uses, while the block lasts: their addresses.

    None for an engine on the processor, which works in the workers themselves. `devices`: these
    GPUs and no others.
    """
    module = recipe.flow.engines[recipe.engine]
    engine = load_engine(recipe.engine, recipe.flow.engines)
    if engine.open_queue is None:
        yield []
        return
    open_it = partial(open_engine, module, recipe.flow.params, recipe.quantizer)
    with owners(open_it, engine.devices() if devices is None else devices) as addresses:
        yield addresses


@contextmanager
def owners(open_it: OpenEngine, devices: Sequence[str]) -> Iterator[list[str]]:
    """A process for each device, given by its CUDA name; the addresses at which they listen."""
    with tempfile.TemporaryDirectory(prefix="twostream-") as folder, ExitStack() as stack:
        addresses = [f"{folder}/{number}" for number in range(len(devices))]
        for address, device in zip(addresses, devices, strict=True):
            environment = {"CUDA_VISIBLE_DEVICES": device}
            stack.enter_context(EngineProcess(address, open_it, environment))
        yield addresses
