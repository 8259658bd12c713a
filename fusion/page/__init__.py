"""What every page that twostream writes has in common: one head, one style, one way to escape."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from fusion.page.environment import page_environment, page_part

__getattr__, __all__ = exports(__name__, __file__)
