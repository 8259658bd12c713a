"""Score tables: reading, writing, joining."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from storage.scores.files import check_ending, read_scores, split_address, write_scores
    from storage.scores.foreign import Foreign
    from storage.scores.joining import (
        check_same_weights,
        join,
        same_classes,
        table_name,
        unique_names,
    )
    from storage.scores.npz import read_npz
    from storage.scores.table import ScoreTable, some

__getattr__, __all__ = exports(__name__, __file__)
