"""The lengths of the published lists: lists of other lengths were cut or edited."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from storage.errors import UserError

if TYPE_CHECKING:
    from storage.catalog.catalog import Listing


class Official(NamedTuple):
    """What was published of a data set."""

    name: str
    classes: int
    one_class: str
    """No other data set of as many classes has it."""
    counts: dict[int, tuple[int, int]]
    """Split -> videos in the training and in the test list."""


OFFICIAL = {
    "ucf": Official(
        "UCF-101", 101, "ApplyEyeMakeup", {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}
    ),
    "hmdb": Official("HMDB-51", 51, "brush_hair", dict.fromkeys((1, 2, 3), (3570, 1530))),
}
"""By the name of the lists' format."""


def check_counts(listing: Listing, path: Path) -> None:
    """Refuse lists of all classes of a data set that are not as long as the published ones."""
    official = OFFICIAL.get(listing.name)
    if official is None or len(listing.classes) != official.classes:
        return
    for split in official.counts.keys() & listing.splits.keys():
        (train, test), parts = official.counts[split], listing.splits[split]
        training, testing = len(parts["train"] + parts.get("validation", [])), len(parts["test"])
        if official.one_class in listing.classes and (training, testing) != (train, test):
            raise UserError(
                f"{path}: split {split} of {official.name} lists {training} training and {testing} "
                f"test videos, the official one {train} and {test}; the files are cut or edited "
                "(--any-counts accepts them)"
            )
