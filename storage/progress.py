"""How far a long piece of work is: a bar on a terminal, plain lines in a log file."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TextIO, TypeVar

EVERY = 15.0
"""Seconds between two lines of a log file."""

Item = TypeVar("Item")


class Bar(Protocol):
    """What a command needs of a bar; tqdm's has it too."""

    n: float
    total: float | None

    def update(self, amount: float = 1) -> object: ...

    def set_postfix_str(self, text: str, refresh: bool = True) -> None: ...

    def close(self) -> None: ...

    def __enter__(self) -> Bar: ...

    def __exit__(self, *_: object) -> None: ...


class Lines:
    """A line every quarter of a minute, written when work is reported; short work says nothing."""

    def __init__(
        self,
        total: float | None,
        unit: str,
        name: str,
        *,
        start: float = 0,
        file: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.unit, self.name = total, unit, name
        self.n = self._start = start
        self._note = ""
        self._file, self._clock = file, clock
        self._began = self._last = clock()

    def update(self, amount: float = 1) -> None:
        self.n += amount
        now = self._clock()
        if now - self._last >= EVERY:
            self._last = now
            print(self.text(now), file=self._file or sys.stderr, flush=True)

    def text(self, now: float) -> str:
        """The line at a time of the clock."""
        passed = now - self._began
        line = f"{self.name}: {self.n:g} {self.unit}s"
        if self.total:
            line = f"{self.name}: {self.n:g} of {self.total:g} {self.unit}s"
        line += f" after {minutes(passed)}"
        done = self.n - self._start
        if self.total and done > 0:
            line += f", about {minutes(passed / done * max(0, self.total - self.n))} to go"
        return f"{line}; {self._note}" if self._note else line

    def set_postfix_str(self, text: str, refresh: bool = True) -> None:
        self._note = text

    def close(self) -> None:
        pass

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def minutes(seconds: float) -> str:
    """`0:05`, `12:30`, `3:02:30`."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    text = f"{rest // 60:02d}:{rest % 60:02d}"
    return f"{hours}:{text}" if hours else text.removeprefix("0")


def progress_bar(
    total: float | None, unit: str, name: str, *, quiet: bool = False, start: float = 0
) -> Bar:
    """A bar on stderr where that is a terminal, lines where it is not, nothing where `quiet`."""
    if not quiet and not sys.stderr.isatty():
        return Lines(total, unit, name, start=start)
    from tqdm import tqdm

    bar: Bar = tqdm(
        total=total, unit=unit, desc=name, disable=quiet, initial=start, dynamic_ncols=True
    )
    return bar


def watched(items: Iterable[Item], bar: Bar) -> Iterator[Item]:
    """The items, counted on the bar as they are taken."""
    with bar:
        for item in items:
            yield item
            bar.update()
