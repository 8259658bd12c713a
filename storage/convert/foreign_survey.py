"""Find the videos in a collection that another tool wrote, and how it counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from storage.convert.foreign_files import Archive, Files, Folder, OneFile
from storage.convert.foreign_names import ARRAY, BOTH, TABLE, Recognised, X, Y, recognise
from storage.errors import UserError

FLOW = (X, Y, BOTH, ARRAY, TABLE)
WHOLE_FILES = (".npy", ".h5", ".hdf5")


@dataclass(frozen=True)
class Source:
    """A folder, a zip or one whole file, and where in the collection its files belong."""

    container: Path
    above: str = ""
    """What stands before the names inside, with a `/` at its end when it is not empty."""

    def open(self) -> Files:
        if self.container.suffix.lower() == ".zip" and self.container.is_file():
            return Archive(self.container)
        return OneFile(self.container) if self.container.is_file() else Folder(self.container)

    def listing(self, files: Files) -> Iterator[tuple[str, str]]:
        """Each file's path in the collection, and its name inside."""
        names = list(files.names())
        top = self.container.stem + "/"
        # A zip made of one folder of its own name: the name is meant once.
        again = isinstance(files, Archive) and all(name.startswith(top) for name in names)
        for name in names:
            yield self.above + (name[len(top) :] if again else name), name


@dataclass
class Place:
    """Where one component of one video lies."""

    source: Source
    layout: str
    first: int
    last: int
    count: int = 1


@dataclass
class FoundVideo:
    """One video of the collection; nothing of it has been read yet but its names."""

    video: str
    places: dict[tuple[str, int], Place] = field(default_factory=dict)
    """By component and step."""
    faults: list[str] = field(default_factory=list)

    @property
    def steps(self) -> set[int]:
        return {step for component, step in self.places if component in FLOW}

    @property
    def layout(self) -> str:
        """The name of the layout of its flow, or of its frames when it has no flow."""
        named = [place.layout for (kind, _), place in self.places.items() if kind in FLOW]
        return named[0] if named else next((p.layout for p in self.places.values()), "")

    def add(self, found: Recognised, source: Source) -> None:
        key = (found.component, found.step)
        place = self.places.get(key)
        if place is None:
            self.places[key] = Place(source, found.layout, found.number, found.number)
        elif place.source != source or place.layout != found.layout:
            fault = (
                f"{found.component} lies twice: in {place.source.container} ({place.layout}) and "
                f"in {source.container} ({found.layout}); import one of them"
            )
            if fault not in self.faults:
                self.faults.append(fault)
        else:
            place.first = min(place.first, found.number)
            place.last = max(place.last, found.number)
            place.count += 1


@dataclass
class Survey:
    """What was found under the roots."""

    videos: dict[str, FoundVideo] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    """Folders with no file in them and none below."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Archives that could not be opened, and why."""

    def firsts(self, components: Iterable[str]) -> Counter[int]:
        """How many videos count from which number, over the components asked for."""
        wanted = set(components)
        # Backward flow of step 2 starts at number 2 where forward flow starts at 0.
        return Counter(
            min(
                place.first - max(-step, 0)
                for (kind, step), place in video.places.items()
                if kind in wanted
            )
            for video in self.videos.values()
            if any(kind in wanted for kind, _ in video.places)
        )

    def layouts(self) -> Counter[str]:
        return Counter(video.layout for video in self.videos.values())


def survey(roots: Iterable[Path]) -> Survey:
    """Walk folders and zips, and group what is recognised by video. Reads names, no pictures."""
    result = Survey()
    for root in roots:
        if not root.exists():
            raise UserError(f"{root} does not exist; name the folder that holds the flow")
        if not os.access(root, os.R_OK):
            raise UserError(f"{root} cannot be read; check its permissions")
        for source in _sources(root, result):
            try:
                files = source.open()
            except UserError as error:
                result.unreadable[source.above.rstrip("/") or source.container.stem] = str(error)
                continue
            with files:
                for path, _ in source.listing(files):
                    found = recognise(path)
                    if found:
                        video = found.video or root.stem
                        result.videos.setdefault(video, FoundVideo(video)).add(found, source)
    return result


def _sources(root: Path, result: Survey) -> Iterator[Source]:
    if root.is_file():
        yield Source(root)
        return
    seen: set[tuple[int, int]] = set()

    def unreadable(error: OSError) -> None:
        folder = Path(error.filename).relative_to(root).as_posix()
        result.unreadable[folder] = f"the folder cannot be read: {error.strerror}"

    for folder, subfolders, names in os.walk(root, onerror=unreadable, followlinks=True):
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in seen:  # a link that leads back up
            subfolders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        subfolders.sort()
        above = Path(folder).relative_to(root).as_posix() + "/"
        above = "" if above == "./" else above
        plain = False
        for name in sorted(names):
            low = name.lower()
            if low.endswith(".zip"):
                yield Source(Path(folder) / name, above + name[:-4] + "/")
            elif low.endswith(WHOLE_FILES):
                yield Source(Path(folder) / name, above)
            else:
                plain = True
        if plain:
            yield Source(Path(folder), above)
        elif not subfolders and not names and above:
            result.empty.append(above.rstrip("/"))
