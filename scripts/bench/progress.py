"""How far a long measurement is, and how long it will still take: on stderr, by a thread."""

from __future__ import annotations

import sys
import threading
import time

from flow.extraction import clock

EVERY, EVERY_ON_TERMINAL = 15.0, 1.0
"""Seconds between two lines; a terminal has one line, which is written anew."""


class Progress:
    """Use it as a context manager: `start` when the amount of work is known, then `add`."""

    def __init__(self, name: str, limit: float, quiet: bool = False) -> None:
        """`limit`: seconds after which the work ends early."""
        self.name, self.limit, self.quiet = name, limit, quiet
        self.total = self.done = 0.0
        self._terminal = sys.stderr.isatty()
        self._began = self._started = time.monotonic()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Progress:
        if not self.quiet:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._terminal and not self.quiet:
            print(file=sys.stderr)

    def start(self, total: float) -> None:
        """The work begins; `total` is its amount, in any unit."""
        self.total, self._started = total, time.monotonic()

    def add(self, amount: float) -> None:
        """So much more is done."""
        self.done += amount

    def skip(self, amount: float) -> None:
        """So much will not be done."""
        self.total -= amount

    def text(self, now: float) -> str:
        """The line at a time of `time.monotonic`."""
        passed = f"after {clock(now - self._began)}"
        if not self.done:
            return f"{self.name}: getting ready, {passed}"
        share = min(1.0, self.done / self.total)
        rest = (now - self._started) / share * (1 - share)
        rest = min(rest, max(0.0, self._began + self.limit - now))
        return f"{self.name}: {share:.0%} {passed}, about {clock(rest)} to go"

    def _write(self) -> None:
        every = EVERY_ON_TERMINAL if self._terminal else EVERY
        while not self._end.wait(every):
            line = self.text(time.monotonic())
            start, end = ("\r", "\x1b[K") if self._terminal else ("", "\n")
            print(start + line, end=end, file=sys.stderr, flush=True)
