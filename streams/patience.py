"""How torch's threads wait for each other: decided before torch is imported."""

from __future__ import annotations

import os


def wait_asleep() -> None:
    """Let threads sleep at a barrier instead of spinning, unless the user has decided otherwise.

    A network on 2 cores crosses thousands of barriers a step. Where another process holds one of
    the cores (the workers that read, a neighbour), the thread on the other core would spin
    through its whole time slice: training with a busy neighbour was measured 6 to 10 times
    slower with spinning, and on an idle machine no faster.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
