"""A stand-in for CuPy with what the GPU engine uses of it, over host memory and `host_device`."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from host_device import HostDevice, library


class OutOfMemoryError(MemoryError):
    pass


class CUDARuntimeError(RuntimeError):
    def __init__(self, status: int) -> None:
        super().__init__(f"cudaError {status}")
        self.status = status


class Device:
    def __init__(self, number: int = 0) -> None:
        self.id = number

    compute_capability = "90"

    def __enter__(self) -> Device:
        current.append(self.id)
        return self

    def __exit__(self, *error: object) -> None:
        current.pop()


current: list[int] = []
"""The devices entered and not yet left: nothing may be asked of CuPy outside of one."""


class Stream:
    def __init__(self, non_blocking: bool = False) -> None:
        assert non_blocking, "else it would wait for the null stream"
        assert current
        self.ptr = id(self)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None: ...

    def synchronize(self) -> None:
        assert current


class NVRTC:
    """What is "compiled" is the number of rows, for `RawModule` to find."""

    class NVRTCError(Exception):
        pass

    def __init__(self, architectures: tuple[int, ...] = (75, 80, 90)) -> None:
        self.architectures = architectures
        self.fault = ""
        self.programs: dict[int, dict[str, Any]] = {}
        self.compiled: list[str] = []

    def getVersion(self) -> tuple[int, int]:
        return (12, 9)

    def getSupportedArchs(self) -> tuple[int, ...]:
        return self.architectures

    def createProgram(
        self, text: str, name: str, headers: tuple[str, ...], names: tuple[str, ...]
    ) -> int:
        assert "#include" not in text
        number = len(self.programs) + 1
        self.programs[number] = {"name": name}
        return number

    def compileProgram(self, program: int, options: tuple[str, ...]) -> None:
        if self.fault:
            raise self.NVRTCError("NVRTC_ERROR_COMPILATION (6)")
        self.programs[program]["options"] = options
        self.compiled.append(self.programs[program]["name"])

    def getProgramLog(self, program: int) -> str:
        return self.fault

    def getCUBIN(self, program: int) -> bytes:
        return " ".join(self.programs[program]["options"]).encode()

    def destroyProgram(self, program: int) -> None: ...


class RawModule:
    def __init__(self, *, path: str) -> None:
        options = Path(path).read_text().split()
        (rows,) = (int(option[7:]) for option in options if option.startswith("-DROWS="))
        self.rows = rows

    def get_function(self, name: str) -> RawKernel:
        return RawKernel(self, name)


class RawKernel:
    max_dynamic_shared_size_bytes = 48 * 1024

    def __init__(self, module: RawModule, name: str) -> None:
        assert library(module.rows).argument_sizes(name.encode())
        self.name, self.device = name, HostDevice(tile_rows=module.rows)
        self.kernel = SimpleNamespace(ptr=1)

    def __call__(
        self,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        arguments: tuple[Any, ...],
        *,
        shared_mem: int,
    ) -> None:
        assert current
        assert shared_mem <= self.max_dynamic_shared_size_bytes
        assert grid[2] == block[1] == block[2] == 1
        self.device.launch(None, self.name, grid[:2], block[0], arguments, shared_mem)


def install(
    patch: pytest.MonkeyPatch,
    *,
    count: int = 1,
    free: int = 1 << 30,
    shared: int = 227 * 1024,
    capability: str = "90",
    nvrtc: NVRTC | None = None,
) -> ModuleType:
    """Put it in the place of CuPy."""
    used = [0]

    def alloc(size: int) -> Any:
        assert current
        if used[0] + size > free:
            raise OutOfMemoryError(f"Out of memory allocating {size} bytes")
        used[0] += size
        memory = np.full(size + 64, 0xCD, np.uint8)
        address = (memory.ctypes.data + 63) // 64 * 64
        return SimpleNamespace(ptr=address, memory=memory, size=size)

    def memcpy(to: int, source: int, size: int, kind: int, stream: int) -> None:
        assert current
        ctypes.memmove(to, source, size)

    runtime = SimpleNamespace(
        getDeviceCount=lambda: count,
        getDeviceProperties=lambda number: {
            "name": b"Stand-in",
            "multiProcessorCount": 2,
            "sharedMemPerBlockOptin": shared,
        },
        memGetInfo=lambda: (free - used[0], free),
        memcpyAsync=memcpy,
        memcpyHostToDevice=1,
        memcpyDeviceToHost=2,
        CUDARuntimeError=CUDARuntimeError,
        streamQuery=lambda stream: 0,
    )
    cuda = ModuleType("cupy.cuda")
    cuda.__dict__.update(
        runtime=runtime,
        Device=type("Device", (Device,), {"compute_capability": capability}),
        Stream=Stream,
        alloc=alloc,
        alloc_pinned_memory=lambda size: bytearray(size),
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        nvrtc=nvrtc or NVRTC(),
    )
    cupy = ModuleType("cupy")
    cupy.__dict__.update(
        cuda=cuda,
        __version__="13.0",
        RawModule=RawModule,
        get_default_memory_pool=lambda: SimpleNamespace(free_bytes=lambda: 0),
    )
    driver = SimpleNamespace(
        occupancyMaxActiveBlocksPerMultiprocessor=lambda function, block, shared: 2
    )
    api = ModuleType("cupy_backends.cuda.api")
    api.driver = driver  # type: ignore[attr-defined]
    for name, module in {
        "cupy": cupy,
        "cupy.cuda": cuda,
        "cupy_backends": ModuleType("cupy_backends"),
        "cupy_backends.cuda": ModuleType("cupy_backends.cuda"),
        "cupy_backends.cuda.api": api,
    }.items():
        patch.setitem(sys.modules, name, module)
    return cupy
