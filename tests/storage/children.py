"""Processes of their own, for tests of what several of them do to one store."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess

FORK = multiprocessing.get_context("fork")


def start(work: Callable[..., object], *arguments: object) -> BaseProcess:
    child = FORK.Process(target=work, args=arguments)
    child.start()
    return child


def end(child: BaseProcess, code: int = 0) -> None:
    """Wait for its end; negative codes are signals."""
    child.join(120)
    assert child.exitcode == code


def in_child(work: Callable[..., object], *arguments: object, code: int = 0) -> None:
    end(start(work, *arguments), code)
