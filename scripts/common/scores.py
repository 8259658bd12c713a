"""What the commands that read score files share: their options, and reading them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from storage.errors import UserError
from storage.scores import ScoreTable


@dataclass(frozen=True)
class ScoreFiles:
    """How to read files that do not say it themselves."""

    video_list: Path | None = None
    """The videos of the rows, a line each, for matrices that do not name them (testlist01.txt)."""
    class_list: Path | None = None
    """The classes of the columns, a line each, for matrices that do not name them
    (classInd.txt)."""
    kind: Literal["logits", "probabilities", "scores"] | None = None
    """What the scores of another tool's file are; found from the values when not given. scores:
    neither, as margins of an SVM."""
    split: int = 1
    """Which split another tool's file is of."""
    part: Literal["train", "validation", "test"] = "test"
    """Which part another tool's file is of."""
    label_base: Literal[0, 1] | None = None
    """What another tool's labels call the first class, 0 or 1."""
    common_videos: bool = False
    """Judge only the videos that all tables have, instead of refusing when one lacks some."""
    max_gib: float = 2.0
    """Refuse a file that would unpack to more than this many GiB."""

    def read(self, addresses: Sequence[str], part: str | None = None) -> list[ScoreTable]:
        """The tables at FILE or FILE:ARRAY; a table without a name gets its file's."""
        from storage.scores import Foreign, read_scores, split_address

        if not self.max_gib > 0:
            raise UserError(f"--max-gib {self.max_gib} must be over 0")
        foreign = Foreign(
            videos=self.video_list,
            classes=self.class_list,
            kind=self.kind,
            split=self.split,
            part=part or self.part,
            label_base=self.label_base,
        )
        tables = []
        for address in addresses:
            table = read_scores(address, foreign, int(self.max_gib * 2**30))
            name = table.stream or split_address(address)[0].stem
            tables.append(replace(table, stream=name))
        return tables
