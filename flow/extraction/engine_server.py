"""The process that owns an engine: it takes frames from workers through shared memory.

A worker connects, hands over file descriptors of memory, and sends messages that say where in it
frames lie and where codes or flow belong. Requests of all workers go into one queue, so that the
device always has the next one. Any exception of the engine ends the process: after a CUDA error
nothing in it can be trusted, and a fresh process is started in its place.
"""

from __future__ import annotations

import json
import mmap
import os
import pickle
import selectors
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Listener
from multiprocessing.reduction import recv_handle
from typing import Any, NamedTuple

import numpy as np

from flow.extraction.pool import ignore_signals
from flow.tvl1 import EngineQueue, FlowRequest, load_engine
from storage.codecs import Quantizer

OpenEngine = Callable[[], tuple[EngineQueue, str]]
"""Called in the process; the queue, and what the store calls the engine."""
IDLE, BUSY = 1.0, 0.001
"""Seconds to wait for messages while nothing, or something, is being computed."""
FAULTY = 3
"""Exit code after an exception of the engine."""


class MemoryOffer(NamedTuple):
    """What a worker registers; the file descriptor follows the message."""

    number: int
    size: int
    """0: it is not used any more, and nothing follows."""


class Order(NamedTuple):
    """What a worker asks for, as places in one of its memories."""

    memory: int
    shape: tuple[int, int, int]
    """(N, H, W) of the frames, which lie at the beginning."""
    codes: bool
    """uint8 codes of the flow, or else float32 pixels."""
    out: int
    sample: int
    """-1: none is asked for."""


class Answer(NamedTuple):
    """How an order ended."""

    kind: str
    """done, refused (these frames, with a UserError's text) or fault (the engine)."""
    text: str = ""


@dataclass(eq=False)
class Client:
    """A worker that is connected."""

    pipe: Connection
    memories: dict[int, mmap.mmap] = field(default_factory=dict)


def open_engine(module: str, params: Any, quantizer: Quantizer) -> tuple[EngineQueue, str]:
    """The queue of an engine's module, for a new process; its first kernel has run by then."""
    engine = load_engine("it", {"it": module})
    assert engine.open_queue is not None
    return engine.open_queue(params, quantizer), engine.version()


def main() -> None:
    """Run by `EngineProcess`, which writes what to do to stdin and reads from stdout how it went.

    When stdin ends, the parent is gone, and so is this.
    """
    ignore_signals()
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is not for the parent
    address, open_it = pickle.load(sys.stdin.buffer)
    threading.Thread(target=_die_with_parent, daemon=True).start()

    def tell(**what: str) -> None:
        print(json.dumps(what), file=out, flush=True)

    try:
        queue, version = open_it()
        with suppress(FileNotFoundError):
            os.unlink(address)  # of a process that was here before
        listener = Listener(address, "AF_UNIX", backlog=128)
    except BaseException as error:
        tell(fault=_text(error))
        os._exit(FAULTY)
    tell(ready=version)
    try:
        Server(queue, version, listener).run()
    except BaseException as error:
        tell(fault=_text(error))
    os._exit(FAULTY)  # the engine's own threads, or a hanging driver, must not keep it alive


def _die_with_parent() -> None:
    with suppress(OSError, ValueError):
        sys.stdin.buffer.read()
    os._exit(0)


class Server:
    """The loop of the process: messages in, requests through the queue, answers out."""

    def __init__(self, queue: EngineQueue, version: str, listener: Listener) -> None:
        self.queue, self.version, self.listener = queue, version, listener
        self._clients: list[Client] = []
        self._asking: dict[FlowRequest, Client] = {}
        self._selector = selectors.DefaultSelector()
        self._door = listener._listener._socket  # type: ignore[attr-defined]
        self._selector.register(self._door, selectors.EVENT_READ)

    def run(self) -> None:
        """For ever; an exception of the queue is told to all who wait, and raised."""
        while True:
            ready = self._selector.select(BUSY if self._asking else IDLE)
            try:
                for key, _ in ready:
                    if key.fileobj is self._door:
                        self._welcome()
                    else:
                        self._listen(key.data)
                self._answer(self.queue.finished())
            except Exception as error:
                for client in set(self._asking.values()):
                    with suppress(OSError):
                        client.pipe.send(Answer("fault", _text(error)))
                raise

    def _welcome(self) -> None:
        client = Client(self.listener.accept())
        with suppress(OSError):
            client.pipe.send((os.getpid(), self.version))
        self._clients.append(client)
        self._selector.register(client.pipe, selectors.EVENT_READ, client)

    def _listen(self, client: Client) -> None:
        try:
            message = client.pipe.recv()
            if isinstance(message, MemoryOffer) and not message.size:
                with suppress(BufferError):  # a view of it is still to be collected
                    client.memories.pop(message.number).close()
                return
            if isinstance(message, MemoryOffer):
                descriptor = recv_handle(client.pipe)
                client.memories[message.number] = mmap.mmap(descriptor, message.size)
                os.close(descriptor)
                return
        except (EOFError, OSError):  # the worker is gone; what it asked for is finished unseen
            self._selector.unregister(client.pipe)
            client.pipe.close()
            self._clients.remove(client)
            return
        request = request_in(client.memories[message.memory], message)
        self._asking[request] = client
        self.queue.put(request)

    def _answer(self, finished: list[FlowRequest]) -> None:
        for request in finished:
            client = self._asking.pop(request)
            error = request.error
            answer = Answer("done") if error is None else Answer("refused", str(error))
            with suppress(OSError):  # it died while it waited
                client.pipe.send(answer)


def request_in(memory: mmap.mmap, order: Order) -> FlowRequest:
    """The arrays of an order, as views of its memory."""
    count, height, width = order.shape
    area = height * width
    frames = np.frombuffer(memory, np.uint8, count * area).reshape(order.shape)
    kind: np.dtype[Any] = np.dtype(np.uint8 if order.codes else np.float32)
    out = np.frombuffer(memory, kind, (count - 1) * 2 * area, order.out)
    sample = None
    if order.sample >= 0:
        sample = np.frombuffer(memory, np.float32, 2 * area, order.sample)
        sample = sample.reshape(2, height, width)
    return FlowRequest(frames, out.reshape(count - 1, 2, height, width), sample)


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:400]
