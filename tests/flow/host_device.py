"""A `Device` that runs the CUDA sources on the CPU, and checks every address."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from surroundings import missing_system_part

from flow.tvl1.gpu.device import DeviceMemoryError, Scalar
from flow.tvl1.gpu.kernel_source import macros

HERE = Path(__file__).resolve().parent
KERNELS = HERE.parent.parent / "flow" / "tvl1" / "gpu" / "kernels"
ORDERS = {"forward": 0, "backward": 1, "shuffled": 2}


@lru_cache
def library(tile_rows: int) -> ctypes.CDLL:
    """The kernels, compiled by the system's C++ compiler once for all test processes."""
    compiler = shutil.which(os.environ.get("CXX", "c++")) or shutil.which("g++")
    if compiler is None:
        missing_system_part("a C++ compiler", "install g++ or clang++")
    sources = [
        HERE / "cuda_on_host.h",
        HERE / "kernels_on_host.cpp",
        *sorted(KERNELS.glob("*.cu*")),
    ]
    texts = b"".join(path.read_bytes() for path in sources)
    key = hashlib.sha256(texts + "".join(macros(tile_rows)).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"twostream-kernels-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    target = folder / f"{key}-{tile_rows}.so"
    if not target.exists():
        part = folder / f"{target.name}.{os.getpid()}"
        subprocess.run(
            [
                *(
                    compiler,
                    "-std=c++17",
                    "-O3",
                    "-march=native",
                    "-shared",
                    "-fPIC",
                    "-Wall",
                    "-Werror",
                ),
                *("-Wno-unknown-pragmas", "-Wno-sign-compare", *macros(tile_rows)),
                *(f"-I{HERE}", f"-I{KERNELS}", str(HERE / "kernels_on_host.cpp"), "-o", str(part)),
            ],
            check=True,
        )
        part.replace(target)
    lib = ctypes.CDLL(str(target))
    lib.argument_sizes.restype = lib.launch.restype = ctypes.c_char_p
    return lib


class HostMemory:
    def __init__(self, device: HostDevice, size: int) -> None:
        self.array = np.full(size + 64, 0xCD, np.uint8)  # like a GPU's: anything may be in it
        self.address = (self.array.ctypes.data + 63) // 64 * 64
        self.size = size
        self._device = device

    def __del__(self) -> None:
        self._device.used -= self.size


class HostDevice:
    """Runs everything at once, in the order given; keeps account of memory and of launches."""

    name = "host"

    def __init__(
        self,
        *,
        tile_rows: int = 8,
        memory: int = 1 << 30,
        order: str = "forward",
        seed: int = 0,
        blocks: int = 3,
        blocks_at_once: int = 1,
        quantum: int = 1 << 30,
    ) -> None:
        self.tile_rows, self.memory, self.blocks = tile_rows, memory, blocks
        self.schedule = (ORDERS[order], seed, blocks_at_once, quantum)
        self.used = 0
        self.peak = 0
        self.launches: list[str] = []
        self.pending: list[int] = []

    def free_memory(self) -> int:
        return self.memory - self.used

    def allocate(self, size: int) -> HostMemory:
        if self.used + size > self.memory:
            raise DeviceMemoryError(f"{size} bytes")
        self.used += size
        self.peak = max(self.peak, self.used)
        return HostMemory(self, size)

    def host_array(self, size: int) -> NDArray[np.uint8]:
        return np.full(size, 0xCD, np.uint8)

    def stream(self) -> object:
        return object()

    def upload(self, stream: object, address: int, data: NDArray[Any]) -> None:
        assert data.flags.c_contiguous
        ctypes.memmove(address, data.ctypes.data, data.nbytes)

    def download(self, stream: object, data: NDArray[Any], address: int) -> None:
        assert data.flags.c_contiguous
        ctypes.memmove(data.ctypes.data, address, data.nbytes)

    def launch(
        self,
        stream: object,
        kernel: str,
        grid: tuple[int, int],
        block: int,
        arguments: Sequence[Scalar],
        shared: int = 0,
    ) -> None:
        self.launches.append(kernel)
        lib = library(self.tile_rows)
        sizes = [int(size) for size in lib.argument_sizes(kernel.encode()).split()]
        assert [value.itemsize for value in arguments] == sizes, kernel
        values = [np.array(value) for value in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        order, seed, blocks_at_once, quantum = self.schedule
        error = lib.launch(
            kernel.encode(),
            *(ctypes.c_uint(extent) for extent in grid),
            ctypes.c_int(block),
            ctypes.c_size_t(shared),
            pointers,
            ctypes.c_int(order),
            ctypes.c_uint(seed + len(self.launches)),
            ctypes.c_int(blocks_at_once),
            ctypes.c_int(quantum),
        )
        if error:
            raise RuntimeError(f"{kernel}: {error.decode()}")

    def resident_blocks(self, kernel: str, block: int, shared: int) -> int:
        return self.blocks

    def wait(self, stream: object) -> None:
        pass

    def done(self, stream: object) -> bool:
        return True
