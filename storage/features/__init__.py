"""Features of videos, kept: what later systems learn from."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from storage.features.descriptor_types import IDT, DescriptorType, columns, row_width

__getattr__, __all__ = exports(__name__, __file__)
