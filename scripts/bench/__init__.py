"""Measurements of this machine. Who measures stands above what is measured."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from scripts.bench.command import BENCHES, main

__getattr__, __all__ = exports(__name__, __file__)
