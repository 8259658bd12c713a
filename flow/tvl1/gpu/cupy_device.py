"""A GPU by way of CuPy."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from ctypes.util import find_library
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flow.tvl1.gpu.compiler import CompileError, kept_module, tiny_kernel_compiles
from flow.tvl1.gpu.device import DeviceMemoryError, Scalar, Stream
from flow.tvl1.gpu.kernel_source import FILE_OF
from flow.tvl1.gpu.layout import block_bytes
from storage.errors import UserError

INSTALL = (
    "install the CuPy that fits the driver: "
    "pip install 'twostream[cuda12]' or, from driver 580 on, 'twostream[cuda13]'"
)
OUT_OF_MEMORY = 2
"""cudaErrorMemoryAllocation."""
NOT_READY = 600
"""cudaErrorNotReady."""


def device_status() -> str:
    """`ok`, or why no GPU can be used here; a tiny kernel is compiled before it says so."""
    try:
        import cupy.cuda  # noqa: F401
    except ImportError as error:
        missing = getattr(error, "name", None) == "cupy"
        if missing and not has_driver():
            return "no NVIDIA driver here"
        reason = "CuPy is not installed" if missing else f"CuPy does not load ({_line(error)})"
        return f"{reason}; {INSTALL}"
    except Exception as error:  # CuPy reports a broken CUDA in several ways
        return f"CuPy does not load ({_line(error)}); {INSTALL}"
    try:
        count = count_devices()
    except Exception as error:
        return f"no GPU: {_line(error)}; {INSTALL}"
    if count == 0:
        return "no GPU found"
    reasons = [_compile_status(_capability(number)) for number in range(count)]
    return "ok" if "ok" in reasons else reasons[0]


@lru_cache
def _compile_status(capability: tuple[int, int]) -> str:
    """`ok`, or why nothing is compiled for such a GPU."""
    try:
        tiny_kernel_compiles(capability)
    except CompileError as error:
        return _line(error)
    except Exception as error:
        return f"CuPy cannot compile kernels ({_line(error)}); {INSTALL}"
    return "ok"


def has_driver() -> bool:
    """Whether this machine has what a GPU needs at all; without it there is nothing to advise."""
    return find_library("cuda") is not None or os.path.exists("/proc/driver/nvidia")


def count_devices() -> int:
    import cupy

    return int(cupy.cuda.runtime.getDeviceCount())


def cupy_version() -> str:
    import cupy

    return str(cupy.__version__)


@lru_cache
def open_device(number: int) -> CupyDevice:
    """GPU `number`, its kernels ready; UserError where there is no such GPU."""
    reason = device_status()
    if reason != "ok":
        raise UserError(f"flow engine 'gpu' does not work here: {reason}")
    count = count_devices()
    if not 0 <= number < count:
        raise UserError(f"device {number} is not there; this machine has GPUs 0 to {count - 1}")
    reason = _compile_status(_capability(number))
    if reason != "ok":
        raise UserError(f"GPU {number} cannot be used: {reason}; use --engine cpu")
    return CupyDevice(number)


class CupyDevice:
    """`flow.tvl1.gpu.device.Device` by way of CuPy."""

    def __init__(self, number: int) -> None:
        import cupy

        self._cupy = cupy
        self._runtime = cupy.cuda.runtime
        self._device = cupy.cuda.Device(number)
        properties = self._runtime.getDeviceProperties(number)
        self.name = f"{properties['name'].decode()} (GPU {number})"
        self._capability = _capability(number)
        self._processors = int(properties["multiProcessorCount"])
        with self._device:
            self.memory = int(self._runtime.memGetInfo()[1])
        most = int(properties["sharedMemPerBlockOptin"])
        self.tile_rows = 8 if block_bytes(8) <= most else 4
        self._kernels: dict[str, Any] = {}
        self._modules: dict[str, Any] = {}
        self._shared: dict[str, int] = {}

    def free_memory(self) -> int:
        with self._device:
            free = int(self._runtime.memGetInfo()[0])
            return free + int(self._cupy.get_default_memory_pool().free_bytes())

    def allocate(self, size: int) -> Any:
        with self._device:
            try:
                return _Memory(self._cupy.cuda.alloc(size))
            except self._cupy.cuda.memory.OutOfMemoryError as error:
                raise DeviceMemoryError(_line(error)) from None

    def host_array(self, size: int) -> NDArray[np.uint8]:
        with self._device:
            try:
                memory = self._cupy.cuda.alloc_pinned_memory(size)
            except self._runtime.CUDARuntimeError as error:
                if error.status != OUT_OF_MEMORY:
                    raise
                raise DeviceMemoryError(_line(error)) from None
        return np.frombuffer(memory, np.uint8, size)

    def stream(self) -> Stream:
        with self._device:
            return self._cupy.cuda.Stream(non_blocking=True)

    def upload(self, stream: Stream, address: int, data: NDArray[Any]) -> None:
        kind = self._runtime.memcpyHostToDevice
        with self._device:
            self._runtime.memcpyAsync(address, data.ctypes.data, data.nbytes, kind, stream.ptr)

    def download(self, stream: Stream, data: NDArray[Any], address: int) -> None:
        kind = self._runtime.memcpyDeviceToHost
        with self._device:
            self._runtime.memcpyAsync(data.ctypes.data, address, data.nbytes, kind, stream.ptr)

    def launch(
        self,
        stream: Stream,
        kernel: str,
        grid: tuple[int, int],
        block: int,
        arguments: Sequence[Scalar],
        shared: int = 0,
    ) -> None:
        with self._device, stream:
            function = self._kernel(kernel, shared)
            function((*grid, 1), (block, 1, 1), tuple(arguments), shared_mem=shared)

    def resident_blocks(self, kernel: str, block: int, shared: int) -> int:
        from cupy_backends.cuda.api import driver

        with self._device:
            function = self._kernel(kernel, shared)
            each = driver.occupancyMaxActiveBlocksPerMultiprocessor(
                function.kernel.ptr, block, shared
            )
        return int(each) * self._processors

    def wait(self, stream: Stream) -> None:
        with self._device:
            stream.synchronize()

    def done(self, stream: Stream) -> bool:
        with self._device:
            try:
                status = int(self._runtime.streamQuery(stream.ptr))
            except self._runtime.CUDARuntimeError as error:
                status = int(error.status)
            if status not in (0, NOT_READY):
                stream.synchronize()  # raises what went wrong
                raise RuntimeError(f"CUDA error {status}")
        return status == 0

    def _kernel(self, name: str, shared: int) -> Any:
        if name not in self._kernels:
            file = FILE_OF[name]
            if file not in self._modules:
                path = kept_module(file, self.tile_rows, self._capability)
                self._modules[file] = self._cupy.RawModule(path=str(path))
            self._kernels[name] = self._modules[file].get_function(name)
        kernel = self._kernels[name]
        if shared > self._shared.get(name, 0):  # over 48 KiB must be asked for
            kernel.max_dynamic_shared_size_bytes = shared
            self._shared[name] = shared
        return kernel


class _Memory:
    """Keeps a CuPy allocation alive; its address is all that anyone needs."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer
        self.address = int(pointer.ptr)


def _capability(number: int) -> tuple[int, int]:
    import cupy

    digits = str(cupy.cuda.Device(number).compute_capability)
    return int(digits[:-1]), int(digits[-1])


def _line(error: BaseException) -> str:
    return " ".join(re.sub("={4,}", "", str(error)).split())[:200] or type(error).__name__
