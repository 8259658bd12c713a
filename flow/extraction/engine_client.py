"""An engine that another process owns, as a worker sees it: shared memory and messages."""

from __future__ import annotations

import math
import mmap
import os
import signal
import tempfile
import threading
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection
from multiprocessing.reduction import send_handle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.extraction.engine_server import Answer, MemoryOffer, Order
from flow.tvl1 import EngineFault, checked_frames
from storage.errors import UserError

ADDRESS = "TWOSTREAM_ENGINE"
"""The variable that tells a worker where its engine's process listens."""
TROUBLE = ".trouble"
"""Behind the address: a file that says why the process cannot be started again."""
PATIENCE = 60.0
"""Seconds to wait for a process that is being replaced."""
ALIGNMENT = 4096


@dataclass(eq=False)
class SharedMemory:
    """A piece of memory that both processes see; it is used again when its arrays are gone."""

    number: int
    pages: mmap.mmap
    descriptor: int
    free: bool = True

    @classmethod
    def of_size(cls, number: int, size: int) -> SharedMemory:
        # Not /dev/shm, which is 64 MB in a container.
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("twostream", os.MFD_CLOEXEC)
        else:
            with tempfile.TemporaryFile() as file:
                descriptor = os.dup(file.fileno())
        os.ftruncate(descriptor, size)
        return cls(number, mmap.mmap(descriptor, size), descriptor)

    def let_go(self) -> None:
        self.free = True

    def close(self) -> None:
        os.close(self.descriptor)
        with suppress(BufferError):  # an array still looks at it, and keeps it
            self.pages.close()


class RemoteEngine:
    """Computes through the process that listens at an address; one request at a time."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._pipe: Connection | None = None
        self._server = 0
        self._memories: list[SharedMemory] = []
        self._lock = threading.Lock()
        self._count = 0
        self.version = ""
        with self._lock:
            self._connect()

    def __del__(self) -> None:
        with suppress(Exception):
            self._forget()

    def solve(
        self,
        frames: NDArray[np.uint8],
        codes: bool,
        limit: float,
        sample: NDArray[np.float32] | None = None,
    ) -> NDArray[np.uint8 | np.float32]:
        """uint8 (N, H, W) -> (N-1, 2, H, W), uint8 codes or float32 pixels, in shared memory.

        `sample` is filled with the first pair in pixels. EngineFault when the engine fails or says
        nothing for `limit` seconds; the process is then ended, and the next call finds a new one.
        """
        frames = checked_frames(frames)
        with self._lock:
            pipe = self._pipe or self._connect()
            count, height, width = frames.shape
            pixels = 2 * height * width
            out_at = _aligned(frames.nbytes)
            out_bytes = (count - 1) * pixels * (1 if codes else 4)
            sample_at = _aligned(out_at + out_bytes)
            try:
                memory = self._memory(pipe, sample_at + pixels * 4)
                np.frombuffer(memory.pages, np.uint8, frames.size).reshape(frames.shape)[:] = frames
                wanted = sample_at if sample is not None else -1
                pipe.send(Order(memory.number, frames.shape, codes, out_at, wanted))
                if not pipe.poll(limit):
                    # Its pipe is open, so the number is still that process's.
                    os.kill(self._server, signal.SIGKILL)
                    raise EngineFault(f"no flow for {limit:g} s")
                answer: Answer = pipe.recv()
            except EngineFault:
                self._forget()
                raise
            except (EOFError, OSError):
                self._forget()
                raise EngineFault("the process that owns the engine died") from None
            if answer.kind == "fault":
                self._forget()
                raise EngineFault(answer.text)
            if answer.kind == "refused":
                memory.let_go()
                raise UserError(answer.text)
            kind: np.dtype[Any] = np.dtype(np.uint8 if codes else np.float32)
            flat = np.frombuffer(memory.pages, kind, (count - 1) * pixels, out_at)
            weakref.finalize(flat, memory.let_go)  # every view of it keeps it
            if sample is not None:
                values = np.frombuffer(memory.pages, np.float32, pixels, sample_at)
                sample[:] = values.reshape(sample.shape)
            return flat.reshape(count - 1, 2, height, width)

    def _memory(self, pipe: Connection, size: int) -> SharedMemory:
        """A piece of at least that size, marked as used."""
        free = [memory for memory in self._memories if memory.free]
        for memory in free:
            if len(memory.pages) >= size:
                memory.free = False
                return memory
        for memory in free:  # too small
            pipe.send(MemoryOffer(memory.number, 0))
            self._memories.remove(memory)
            memory.close()
        self._count += 1
        memory = SharedMemory.of_size(self._count, math.ceil(size * 1.1))
        pipe.send(MemoryOffer(memory.number, len(memory.pages)))
        send_handle(pipe, memory.descriptor, self._server)
        self._memories.append(memory)
        memory.free = False
        return memory

    def _connect(self) -> Connection:
        until = time.monotonic() + PATIENCE
        trouble = Path(self.address + TROUBLE)
        while True:
            try:
                pipe = Client(self.address, "AF_UNIX")
                self._server, self.version = pipe.recv()
            except (OSError, EOFError) as error:
                with suppress(OSError):
                    raise EngineFault(trouble.read_text(encoding="utf-8")) from None
                if time.monotonic() > until:
                    raise EngineFault(f"the engine's process does not answer: {error}") from None
                time.sleep(0.05)
                continue
            self._pipe = pipe
            return pipe

    def _forget(self) -> None:
        """Disconnect; the memories belong to that connection."""
        if self._pipe is not None:
            self._pipe.close()
        self._pipe = None
        for memory in self._memories:
            memory.close()
        self._memories.clear()


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
