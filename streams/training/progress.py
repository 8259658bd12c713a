"""What a run shows and writes while it goes: bar, metrics.jsonl, trackers, a picture."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from tqdm.contrib.logging import logging_redirect_tqdm

from storage.progress import Bar, progress_bar
from streams.training.board import Board
from streams.training.curve import draw_curve
from streams.training.metrics import percent
from streams.training.run_folder import RunFolder
from streams.training.trackers import Trackers

log = logging.getLogger(__name__)

REDRAW_SECONDS = 60.0


class Progress:
    """Silent in all processes but the first."""

    def __init__(
        self,
        folder: RunFolder,
        total: int,
        first: bool,
        quiet: bool,
        track: Sequence[str] = (),
    ) -> None:
        """`track`: names of trackers beside TensorBoard."""
        self.folder, self.total, self.first, self.quiet = folder, total, first, quiet
        self.track = track
        self.bar: Bar | None = None
        self.board: Board | None = None
        self.trackers: Trackers | None = None
        self._drawn = 0.0
        self._began = time.monotonic()

    def begin(self, step: int, settings: dict[str, Any]) -> None:
        """`settings` of the run, for its trackers."""
        if not self.first:
            return
        if self.track:
            self.trackers = Trackers(self.track, self.folder.path, self.folder.trackers, settings)
        self.bar = progress_bar(self.total, "step", "train", quiet=self.quiet, start=step)
        self.board = Board(self.folder.tensorboard, step + 1)
        self._drawn = time.monotonic()

    def step(self, step: int) -> None:
        if self.bar is not None:
            self.bar.update(step - self.bar.n)

    def trained(self, step: int, row: dict[str, float]) -> None:
        self._write("train", step, row)
        if self.bar is not None:
            self.bar.set_postfix_str(in_words(row))

    def validated(self, step: int, row: dict[str, float], best: bool) -> None:
        self._write("validation", step, row)
        if not self.first:
            return
        # tqdm's handler forgets that the command's shows errors only.
        with nullcontext() if self.quiet else logging_redirect_tqdm():
            log.info(
                "step %d: validation %s%s",
                step,
                in_words(row),
                " (best so far)" if best else "",
            )
        if time.monotonic() - self._drawn > REDRAW_SECONDS:
            self.draw()

    def _write(self, part: str, step: int, row: dict[str, float]) -> None:
        if not self.first or self.board is None:
            return
        self.folder.log({"part": part, "step": step, **row})
        self.board.add(part, step, row)
        if self.trackers is not None:
            self.trackers.add(part, step, row)

    def draw(self) -> None:
        draw_curve(self.folder.rows(), self.folder.curve, self.folder.path.name)
        self._drawn = time.monotonic()

    def end(self) -> None:
        """Write everything out, and the picture."""
        if self.first and self.bar is not None:
            self.close(whole=True)
            self.draw()

    def close(self, whole: bool = False) -> None:
        """Let go of bar, event file and trackers; may be called again. `whole`: by no error."""
        if self.bar is not None:
            self.bar.close()
            self.bar = None
        board, self.board = self.board, None
        if board is not None:
            board.close()
        trackers, self.trackers = self.trackers, None
        if trackers is not None:
            trackers.close(whole)


def in_words(row: dict[str, float], of: int = 0) -> str:
    """Top-1, loss and what else was measured; of so many videos, if that is given."""
    words = []
    if "top1" in row:
        words.append(f"top-1 {percent(row['top1'], of) if of else format(row['top1'], '.1%')}")
    words.append(f"loss {row['loss']:.3f}")
    known = ("loss", "top1", "top5", "lr", "epoch")
    words += [f"{name} {value:.3f}" for name, value in row.items() if name not in known]
    return ", ".join(words)
