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

from flow.tvl1.gpu.device import DeviceMemoryError, Scalar, Stream
from flow.tvl1.gpu.kernel_source import FILE_OF, compile_options, source
from flow.tvl1.gpu.layout import block_bytes
from storage.errors import UserError

OLDEST = (7, 0)
INSTALL = "install the CuPy that fits the driver: pip install cupy-cuda12x or cupy-cuda13x"


def device_status() -> str:
    """`ok`, or why no GPU can be used here."""
    try:
        from cupy.cuda import nvrtc
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
    try:
        nvrtc.getVersion()
    except Exception as error:
        return f"CuPy cannot compile kernels ({_line(error)}); {INSTALL}"
    capability = _capability(0)
    if count == 1 and capability < OLDEST:
        return f"the GPU has compute capability {capability[0]}.{capability[1]}; 7.0 is needed"
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
    capability = _capability(number)
    if capability < OLDEST:
        raise UserError(
            f"GPU {number} has compute capability {capability[0]}.{capability[1]}; 7.0 is needed: "
            "use --engine cpu"
        )
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
        self._processors = int(properties["multiProcessorCount"])
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
            memory = self._cupy.cuda.alloc_pinned_memory(size)
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

    def _kernel(self, name: str, shared: int) -> Any:
        if name not in self._kernels:
            file = FILE_OF[name]
            if file not in self._modules:
                options = compile_options(self.tile_rows)
                self._modules[file] = self._cupy.RawModule(code=source(file), options=options)
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
