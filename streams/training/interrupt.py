"""Ctrl-C, and a scheduler's SIGTERM: the step in hand is brought to its end first."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from streams.training.distributed import Ranks

AGREE_EVERY = 8
"""Steps between the moments at which several processes ask each other whether to stop."""


class Stop:
    """Catches the signals while it is open; a second one stops at once."""

    def __init__(self, where: Ranks) -> None:
        self.where = where
        self.wanted = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stop:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._before[number] = signal.signal(number, self._heard)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.wanted:
            raise KeyboardInterrupt
        self.wanted = True

    def asked(self, step: int) -> bool:
        """Whether to stop after this step; all processes get the same answer."""
        if self.where.world == 1:
            return self.wanted
        if step % AGREE_EVERY:
            return False
        return self.where.total([float(self.wanted)])[0] > 0
