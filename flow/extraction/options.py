"""What is asked of a run of `extract`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flow.extraction.plan import Shard
from flow.extraction.recipe import Recipe
from storage.errors import UserError

ON_ERROR = ("skip", "partial", "stop")
INTERRUPTED = "interrupted"
"""Why a run ended, when Ctrl-C or SIGTERM asked for it."""


@dataclass(frozen=True)
class Batch:
    """What is asked of a run."""

    videos: Sequence[str]
    """Folders, files, patterns and list files."""
    out: str
    recipe: Recipe
    root: str | None = None
    on_error: str = "skip"
    """skip: go on; partial: keep what can be decoded, and go on; stop: at the first failure."""
    redo_changed: bool = False
    shard: Shard | None = None
    workers: int | None = None
    """None: one a core, or one a GPU."""
    cluster: str | None = None
    """Address of a Dask scheduler."""
    dry_run: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        if self.on_error not in ON_ERROR:
            raise UserError(f"--on-error {self.on_error!r} is not one of {', '.join(ON_ERROR)}")
        if self.workers is not None and self.workers < 1:
            raise UserError(f"--workers is {self.workers}; it must be at least 1")
