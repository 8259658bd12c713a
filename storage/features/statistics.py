"""Mean and deviation of features over the training part, number by number (or channel by channel).

They are kept beside the features under the name of the list that they belong to, so that nobody
takes those of another split, which would have seen videos of the test part.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.atomic import replacing
from storage.errors import UserError
from storage.features.feature_store import FeatureStore
from storage.scores import read_npz

FORMAT = "twostream-feature-statistics"


@dataclass(frozen=True, eq=False)
class Statistics:
    """Over all steps (and places) of some videos."""

    mean: NDArray[np.float32]
    """(D,)."""
    deviation: NDArray[np.float32]
    """(D,); 1 where a number never changes."""
    videos: int
    part: str = ""
    """Which list, split and part they are of, as its maker names it."""

    def save(self, path: Path) -> None:
        """Write an npz; whoever reads while it is written sees the old one."""
        header = {"format": FORMAT, "videos": self.videos, "part": self.part}
        with replacing(path) as draft, open(draft, "wb") as file:
            np.savez(
                file,
                header=np.array(json.dumps(header)),
                mean=self.mean,
                deviation=self.deviation,
            )

    @classmethod
    def load(cls, path: Path) -> Statistics:
        """What `save` wrote."""
        data = read_npz(path)
        try:
            header = json.loads(str(data["header"]))
            if header["format"] != FORMAT:
                raise UserError("it is of another format")
            return cls(data["mean"], data["deviation"], header["videos"], header["part"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{path} holds no mean and deviation of ours ({error}); delete it, and "
                "`twostream features` writes it again"
            ) from None


def statistics_of(store: FeatureStore, videos: Sequence[str], part: str = "") -> Statistics:
    """One pass over the features of some videos, in float64."""
    return gathered((store.read(video) for video in videos), store.meta.width, len(videos), part)


def gathered(blocks: Iterable[NDArray], width: int, videos: int, part: str = "") -> Statistics:
    """Blocks (T, D) or (T, D, h, w), one a video -> their statistics, by a sum that is stable."""
    count, mean, spread = 0, np.zeros(width), np.zeros(width)
    for block in blocks:
        rows = np.moveaxis(np.asarray(block, np.float64), 1, -1).reshape(-1, width)
        own = rows.mean(0)
        total = count + len(rows)
        apart = own - mean
        spread += np.square(rows - own).sum(0) + apart**2 * count * len(rows) / total
        mean += apart * len(rows) / total
        count = total
    if not count:
        raise UserError("there is no training video to take mean and deviation of")
    deviation = np.sqrt(spread / count)
    deviation[deviation <= 1e-6 * np.maximum(1, np.abs(mean))] = 1.0
    return Statistics(mean.astype(np.float32), deviation.astype(np.float32), videos, part)
