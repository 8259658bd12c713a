"""From videos to a store: one video, many, many machines."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from flow.extraction.batch import environments, run_batch
    from flow.extraction.engine_process import engine_processes, owners
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
    from flow.extraction.failures import Failure, record_failures
    from flow.extraction.maker import FlowMaker
    from flow.extraction.options import INTERRUPTED, ExtractOptions
    from flow.extraction.plan import Task
    from flow.extraction.pool import Pool
    from flow.extraction.quality import Quality
    from flow.extraction.recipe import Recipe, check_engine
    from flow.extraction.summary import clock
    from flow.extraction.worker import extract_task

__getattr__, __all__ = exports(__name__, __file__)
