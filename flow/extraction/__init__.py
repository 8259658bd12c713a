"""From videos to a store: one video, many, many machines."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from flow.extraction.batch import crew_size, run_batch
    from flow.extraction.extract import (
        PATIENCE,
        Chunk,
        Picture,
        Source,
        chunks,
        extract_video,
        pairs_of,
        too_short,
    )
    from flow.extraction.options import INTERRUPTED, Batch
    from flow.extraction.plan import Shard
    from flow.extraction.pool import Crew
    from flow.extraction.recipe import FlowMaker, Recipe
    from flow.extraction.worker import check_engine

__getattr__, __all__ = exports(__name__, __file__)
