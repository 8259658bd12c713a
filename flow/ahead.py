"""Work that runs ahead in a thread of its own, a bounded way, and that may not stall."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class Stalled(Exception):
    """The work has produced nothing for too long."""


class _End:
    """What the thread puts last: the error it ended with, or none."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def ahead(
    make: Callable[[], Iterable[T]], depth: int, patience: float | None = None
) -> Iterator[T]:
    """Yield what `make()` yields, made at most `depth` items ahead by another thread.

    Its errors are raised here. `patience`: seconds of waiting after which `Stalled` is raised and
    the thread is left behind (it cannot be killed; the process should not be used much longer).
    Closing the generator stops the thread at its next item and closes the iterable there.
    """
    items: queue.Queue[T | _End] = queue.Queue(depth)
    stop = threading.Event()

    def put(item: T | _End) -> bool:
        while not stop.is_set():
            try:
                items.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            source = iter(make())
            try:
                for item in source:
                    if not put(item):
                        break
            finally:
                close = getattr(source, "close", None)
                if close is not None:
                    close()
        except BaseException as error:
            put(_End(error))
        else:
            put(_End())

    thread = threading.Thread(target=work, daemon=True, name="ahead")
    thread.start()
    stalled = False
    try:
        while True:
            try:
                item = items.get(timeout=patience)
            except queue.Empty:
                stalled = True
                raise Stalled from None
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
    finally:
        stop.set()
        if not stalled:
            thread.join(patience)
