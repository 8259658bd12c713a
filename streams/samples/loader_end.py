"""How a reading process ends: with the process that started it, whatever ends that one."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time

import torch

GRACE = 20.0
"""Seconds from a SIGTERM from outside to the end. Schedulers send it to all processes of a job, and
the training process first brings its step to the end, for which it needs batches."""
WATCH_EVERY = 1.0
PR_SET_PDEATHSIG = 1
"""prctl's number for `send me this signal when the thread that started me ends`."""


class WorkerStart:
    """What a DataLoader calls in each new worker. Made in the process that starts the worker."""

    def __init__(self) -> None:
        self.parent = os.getpid()
        self.main_thread = threading.current_thread() is threading.main_thread()

    def __call__(self, number: int) -> None:
        """A worker computes nothing in torch, and leaves Ctrl-C to the training process."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        torch.set_num_threads(1)
        if sys.platform == "linux" and self.main_thread:
            # Another thread may end long before its process.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if hasattr(signal, "sigtimedwait"):
            # Blocked here, before other threads start, so that only the watch takes it.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        else:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        threading.Thread(target=watch, args=(self.parent,), daemon=True).start()


def watch(parent: int) -> None:
    """End this process when its parent has ended or asks for it, or some time after any other
    SIGTERM. `_exit`, since the main thread may wait for a lock that nobody gives back."""
    end = float("inf")
    while os.getppid() == parent and time.monotonic() < end:
        sender = wait_for_sigterm(min(WATCH_EVERY, max(0.0, end - time.monotonic())))
        if sender == parent:
            break
        if sender is not None:
            end = min(end, time.monotonic() + GRACE)
    os._exit(128 + signal.SIGTERM)


def wait_for_sigterm(seconds: float) -> int | None:
    """Who sent one meanwhile (0: unknown)."""
    if not hasattr(signal, "sigtimedwait"):  # macOS; there SIGTERM ends the process by itself
        time.sleep(seconds)
        return None
    heard = signal.sigtimedwait({signal.SIGTERM}, seconds)
    return None if heard is None else heard.si_pid
