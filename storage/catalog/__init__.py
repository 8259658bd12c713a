"""Videos, their labels and their official splits."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from storage.catalog.catalog import Catalog, Clip, load_catalog, part_name
    from storage.catalog.groups import group_of
    from storage.catalog.lists import lines, read_class_list
    from storage.catalog.match import match_clips
    from storage.catalog.walk import walk_folders

__getattr__, __all__ = exports(__name__, __file__)
