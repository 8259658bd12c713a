"""Files that lie elsewhere, and a local folder that keeps those that were fetched."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from storage.remote.fetching import FileCache, read_remote
    from storage.remote.remote_store import RemoteStore, open_remote

__getattr__, __all__ = exports(__name__, __file__)
