"""How torch's threads wait for each other: decided before torch is imported."""

from __future__ import annotations

import os


def wait_asleep() -> None:
    """Let threads sleep at a barrier instead of spinning, unless the user has decided otherwise.

    A network on 2 cores crosses thousands of barriers a step. Where another process holds one of
    the cores (the workers that read, a neighbour), the thread on the other core would spin
    through its whole time slice: beside busy neighbours, training was measured 9 times slower
    with spinning; without them, equally fast (docs/training.md).
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
