"""What works on this machine."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from scripts.health.findings import examine, version_of

__getattr__, __all__ = exports(__name__, __file__)
