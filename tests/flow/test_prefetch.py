from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from flow.extraction.prefetch import StallError, prefetch


def count(to: int) -> Iterator[int]:
    yield from range(to)


def test_all_items_in_order() -> None:
    assert list(prefetch(lambda: count(1000), weigh=lambda _: 1, budget=5)) == list(range(1000))


def test_no_more_is_held_than_the_budget_and_one() -> None:
    produced = 0

    def source() -> Iterator[int]:
        nonlocal produced
        while produced < 100:
            produced += 1
            yield produced

    for taken in prefetch(source, weigh=lambda _: 1, budget=3):
        time.sleep(0.001)
        assert produced - taken <= 5


def test_errors_come_after_what_was_made_before() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise KeyError("broken")

    items = prefetch(source, weigh=lambda _: 1, budget=9)
    assert next(items) == 1
    with pytest.raises(KeyError, match="broken"):
        next(items)


def test_a_stall_is_noticed() -> None:
    release = threading.Event()

    def source() -> Iterator[int]:
        yield 1
        release.wait(20)

    items = prefetch(source, weigh=lambda _: 1, budget=9, patience=0.05)
    assert next(items) == 1
    with pytest.raises(StallError):
        next(items)
    release.set()


def test_closing_early_closes_the_source_in_its_thread() -> None:
    closed_by: list[str] = []

    def source() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed_by.append(threading.current_thread().name)

    items = prefetch(source, weigh=lambda _: 1, budget=2)
    next(items)
    items.close()
    assert closed_by == ["prefetch"]
    assert threading.active_count() < 10
