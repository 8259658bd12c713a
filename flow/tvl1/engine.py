"""What an engine has to offer: every module that computes flow has these functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from storage.codecs import Quantizer
from storage.errors import UserError, WorkFailed

P = TypeVar("P")
Params = TypeVar("Params", contravariant=True)


class EngineFault(WorkFailed):
    """The engine failed, and what it was given is not to blame."""


@dataclass(eq=False)
class FlowRequest:
    """Flow that an engine is asked for, and where it goes. Requests are told apart by identity."""

    frames: NDArray[np.uint8]
    """(N, H, W), grey."""
    out: NDArray[np.uint8 | np.float32]
    """(N - 1, 2, H, W): uint8 asks for codes, float32 for pixels."""
    sample: NDArray[np.float32] | None = None
    """(2, H, W): the first pair in pixels goes here, where `out` asks for codes."""
    error: UserError | None = None
    """Why it was refused: frames that do not fit the device, for example."""


class EngineQueue(Protocol):
    """An engine that works beside its caller: requests are finished in the order they came in.

    One thread uses it. An exception of any function means that it is of no use any more.
    """

    def put(self, request: FlowRequest) -> None:
        """Take a request and return at once; its arrays are the queue's until it is finished."""

    def finished(self, wait: bool = False) -> list[FlowRequest]:
        """Requests that are done since the last call. `wait`: for one at least, if any is left."""


def flow_through(
    queue: EngineQueue,
    frames: NDArray[np.uint8],
    kind: type[np.uint8 | np.float32],
    sample: NDArray[np.float32] | None = None,
) -> NDArray[Any]:
    """The flow of frames, (N - 1, 2, H, W) of that kind, by a queue that has nothing else to do.

    UserError where it refuses them.
    """
    out = np.empty((len(frames) - 1, 2, *frames.shape[1:]), kind)
    queue.put(FlowRequest(frames, out, sample))
    for request in queue.finished(wait=True):
        if request.error is not None:
            raise request.error
    return out


OpenQueue = Callable[[P, Quantizer], EngineQueue]


class Engine(Protocol[Params]):
    """A module that computes flow. It is imported when it is asked for."""

    @property
    def open_queue(self) -> OpenQueue[Params] | None:
        """For an engine on a GPU, which also quantises; None for the others."""

    def compute(
        self, frames: NDArray[np.uint8], params: Params, threads: int = 1
    ) -> NDArray[np.float32]:
        """uint8 (N, H, W) -> float32 (N-1, 2, H, W), x then y, in pixels.

        It checks the frames. Engines on a processor share the pairs out among `threads`.
        """

    def status(self, params: Params) -> str:
        """ "ok", or why it does not work here with these parameters."""

    def version(self) -> str:
        """The package behind it and its version, for the store."""

    def devices(self) -> list[str]:
        """The GPUs it can use, by their CUDA names; none for an engine on the processor."""
