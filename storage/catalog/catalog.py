"""Which video shows what: labels and splits from the lists that people already have."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

from storage.catalog.groups import cut_validation, group_of
from storage.catalog.official import check_counts
from storage.errors import UserError
from storage.videos import PARTS

FORMATS = {
    "ucf": "storage.catalog.ucf",
    "hmdb": "storage.catalog.hmdb",
    "csv": "storage.catalog.csv",
    "tsn": "storage.catalog.tsn",
    "folders": "storage.catalog.folders",
}
"""Tried in this order. Each module has `recognise(path) -> bool` and `read(path) -> Listing`."""

EXPECTED = (
    "UCF-101 lists (classInd.txt with trainlistNN.txt and testlistNN.txt), HMDB-51 lists "
    "(<class>_test_splitN.txt), TSN lists (lines of `path frames label`), a Kinetics CSV "
    "(label,youtube_id,...,split), or a folder of class folders"
)


@dataclass(frozen=True)
class Clip:
    """One video of a part."""

    video: str
    """Its id: the path in the list without the extension."""
    label: int
    """Index into the catalog's classes."""
    group: str
    """Videos of one source share a group, and are never parted by the validation cut."""


@dataclass(frozen=True)
class Listing:
    """What a list format says, before groups and the validation cut."""

    name: str
    classes: tuple[str, ...]
    splits: dict[int, dict[str, list[tuple[str, int]]]]
    """split -> part -> [(video id, label)]. A list with a validation part of its own has all
    three parts. Otherwise the validation part is cut from train."""
    groups: dict[str, str] = field(default_factory=dict)
    """Video id -> its source, where the list says it; else its name does."""


@dataclass(frozen=True)
class Catalog:
    """Classes and splits of a data set."""

    name: str
    """Which format it was read from: ucf, hmdb, tsn, csv or folders."""
    path: Path
    classes: tuple[str, ...]
    listing: Listing
    validation: float
    """The share of each class's training videos that the validation part takes, by group."""
    _cut: dict[int, dict[str, list[Clip]]] = field(default_factory=dict, repr=False, compare=False)

    def __repr__(self) -> str:
        return (
            f"Catalog({self.name} lists in {self.path}: {len(self.classes)} classes, "
            f"splits {', '.join(map(str, self.splits))})"
        )

    @property
    def splits(self) -> tuple[int, ...]:
        return tuple(sorted(self.listing.splits))

    def part(self, split: int = 1, part: str = "train") -> list[Clip]:
        """The clips of one part of one split, in the list's order.

        `train` is the listed training part less the validation part that is cut from it, so
        nothing is ever chosen on `test`.
        """
        if split not in self.listing.splits:
            known = ", ".join(map(str, self.splits))
            raise UserError(f"split {split} is not in {self.path}; it has {known} (--split)")
        if part not in PARTS:
            raise UserError(f"part {part!r} is not one of {', '.join(PARTS)} (--part)")
        if split not in self._cut:
            self._cut[split] = self._parts(split)
        return list(self._cut[split][part])

    def videos(self, split: int) -> list[str]:
        """Every video that a split lists, of whatever part."""
        return [clip.video for part in PARTS for clip in self.part(split, part)]

    def _parts(self, split: int) -> dict[str, list[Clip]]:
        groups = self.listing.groups
        listed = {
            part: [
                Clip(video, label, groups.get(video) or group_of(video)) for video, label in rows
            ]
            for part, rows in self.listing.splits[split].items()
        }
        if "validation" not in listed:
            clips = listed["train"]
            chosen = cut_validation(
                [clip.label for clip in clips], [clip.group for clip in clips], self.validation
            )
            both = list(zip(clips, chosen, strict=True))
            listed["validation"] = [clip for clip, is_chosen in both if is_chosen]
            listed["train"] = [clip for clip, is_chosen in both if not is_chosen]
        return {part: listed.get(part, []) for part in PARTS}

    @property
    def fingerprint(self) -> str:
        """Changes when a class, a row, a part, a named group or the validation share changes."""
        known: list[object] = [self.classes, self.validation, sorted(self.listing.splits.items())]
        if self.listing.groups:  # without, it is what runs of before know
            known.append(sorted(self.listing.groups.items()))
        text = repr(tuple(known))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


ONE_OF_SEVERAL = re.compile(
    r"^(train|test|val|validation)list\d+\.txt$|^classInd\.txt$|_test_split\d+\.txt$"
)
"""Names of files in the folders of UCF-101's and HMDB-51's lists."""


def part_name(catalog: Catalog, split: int, part: str = "train") -> str:
    """A part of a split by its content, for what is computed from it and kept beside."""
    return f"{catalog.fingerprint} split {split} {part}"


def load_catalog(
    path: str | Path, *, validation: float = 0.15, official_counts: bool = True
) -> Catalog:
    """Read labels and splits, recognising the format by itself.

    `official_counts=False` accepts UCF-101 and HMDB-51 lists of other lengths than published.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} does not exist; --labels takes {EXPECTED}")
    if path.is_file() and ONE_OF_SEVERAL.search(path.name):
        raise UserError(
            f"{path} is one of several lists that belong together; give the folder: "
            f"--labels {path.parent}"
        )
    if not 0 <= validation < 1:
        raise UserError(f"validation share {validation} must lie in [0, 1) (--validation)")
    for name, module in FORMATS.items():  # noqa: B007 - the last one is used below
        reader = import_module(module)
        if reader.recognise(path):
            listing: Listing = reader.read(path)
            break
    else:
        raise UserError(f"{path} is none of the label lists that are known: {EXPECTED}")
    check_listing(path, listing)
    if official_counts:
        check_counts(listing, path)
    return Catalog(name, path, listing.classes, listing, validation)


def check_listing(path: Path, listing: Listing) -> None:
    """No video twice in a split, and no split without videos."""
    if not listing.splits:
        raise UserError(f"{path} holds no split: {EXPECTED}")
    for split, parts in listing.splits.items():
        seen: dict[str, str] = {}
        for part, rows in parts.items():
            for video, _ in rows:
                if video in seen:
                    raise UserError(
                        f"{path}: split {split} lists {video!r} twice ({seen[video]} and {part})"
                    )
                seen[video] = part
        if not parts.get("train") and not parts.get("test"):
            raise UserError(f"{path}: split {split} lists no video")
