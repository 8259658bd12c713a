"""What the GPU engine asks of a device: memory, copies, launches. CuPy gives it, tests fake it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Stream = Any
Scalar = np.int32 | np.uint64 | np.float32 | np.float64


class DeviceMemoryError(MemoryError):
    """The device has not as much memory left as was asked for."""


class Memory(Protocol):
    """A block of device memory; it is given back when the last reference goes."""

    address: int


class Device(Protocol):
    """One GPU. Copies and launches are queued on a stream and return at once."""

    name: str
    memory: int
    """Bytes of all its memory, whoever uses it."""
    tile_rows: int
    """Rows of a tile that a thread holds; a constant of the compiled kernels."""

    def free_memory(self) -> int:
        """Bytes that `allocate` could give."""

    def allocate(self, size: int) -> Memory:
        """`size` bytes of device memory, or DeviceMemoryError."""

    def host_array(self, size: int) -> NDArray[np.uint8]:
        """uint8 (size,): host memory from and to which copies run beside other work."""

    def stream(self) -> Stream:
        """A queue of its own: what is put into it runs in order."""

    def upload(self, stream: Stream, address: int, data: NDArray[Any]) -> None:
        """Copy an array into device memory."""

    def download(self, stream: Stream, data: NDArray[Any], address: int) -> None:
        """Copy device memory into an array."""

    def launch(
        self,
        stream: Stream,
        kernel: str,
        grid: tuple[int, int],
        block: int,
        arguments: Sequence[Scalar],
        shared: int = 0,
    ) -> None:
        """Run a kernel; addresses are uint64, whole numbers int32."""

    def resident_blocks(self, kernel: str, block: int, shared: int) -> int:
        """How many blocks of this kernel the whole device runs at once."""

    def wait(self, stream: Stream) -> None:
        """Return when all that is queued on the stream is done."""

    def done(self, stream: Stream) -> bool:
        """Whether all that is queued on the stream is done; what failed there is raised."""
