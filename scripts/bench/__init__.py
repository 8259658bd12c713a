"""Measure this machine: flow engines, the store, extraction, training or fusion.

Every measurement first checks that the sides compared give the same result.

    twostream bench flow
    twostream bench flow --engine cpu --clips videos/
    twostream bench store --clips videos/
    twostream bench codecs --clips videos/
    twostream bench shards --shards 1 100 400
    twostream bench extract --workers 1 2
    twostream bench train --depth 50 --size 224
    twostream bench flow --engine gpu --check
    twostream bench gpu-day --out gpu-day
"""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from scripts.bench.command import BENCHES, main

__getattr__, __all__ = exports(__name__, __file__)
