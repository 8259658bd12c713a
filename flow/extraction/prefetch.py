"""Items that another thread prepares: bounded in memory, and it may not stall."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


class StallError(Exception):
    """The other thread has produced nothing for too long."""


def prefetch(
    make: Callable[[], Iterable[T]],
    *,
    weigh: Callable[[T], int],
    budget: int,
    patience: float | None = None,
) -> Iterator[T]:
    """Yield what `make()` yields, computed in advance by another thread.

    It pauses while what waits here weighs more than `budget`; so at most one item more is held.
    Its errors are raised here. `patience`: seconds of waiting after which `StallError` is raised
    and the thread is abandoned (it cannot be killed; the process should not be used much longer).
    Closing the generator stops the thread at its next item, and closes the iterable there.
    """
    waiting: deque[T] = deque()
    turn = threading.Condition()
    weight = 0
    stopped = ended = False
    error: BaseException | None = None

    def work() -> None:
        nonlocal weight, ended, error
        try:
            source = iter(make())
            try:
                for item in source:
                    with turn:
                        waiting.append(item)
                        weight += weigh(item)
                        turn.notify_all()
                        while weight > budget and not stopped:
                            turn.wait()
                        if stopped:
                            return
                    del item  # nothing may outlive its time in the queue
            finally:
                close = getattr(source, "close", None)
                if close is not None:
                    close()
        except BaseException as caught:
            error = caught
        finally:
            with turn:
                ended = True
                turn.notify_all()

    thread = threading.Thread(target=work, daemon=True, name="prefetch")
    thread.start()
    stalled = False
    try:
        while True:
            with turn:
                if not turn.wait_for(lambda: bool(waiting) or ended, timeout=patience):
                    stalled = True
                    raise StallError
                if not waiting:
                    break
                item = waiting.popleft()
                weight -= weigh(item)
                turn.notify_all()
            yield item
            del item
        if error is not None:
            raise error
    finally:
        with turn:
            stopped = True
            turn.notify_all()
        if not stalled:
            thread.join(patience)
