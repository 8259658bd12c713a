"""Find the videos in a collection that another tool wrote, and how it counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from storage.catalog import walk_folders
from storage.convert.foreign_files import Archive, Files, Folder, OneFile
from storage.convert.foreign_names import ARRAY, BOTH, TABLE, ParsedPath, X, Y, parse_path
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
class FileSpan:
    """Where one component of one video lies."""

    source: Source
    layout: str
    first: int
    last: int
    count: int = 1


@dataclass
class FoundVideo:
    """One video of the collection. Nothing of it has been read yet but its names."""

    video: str
    spans: dict[tuple[str, int], FileSpan] = field(default_factory=dict)
    """By component and step."""
    faults: list[str] = field(default_factory=list)

    @property
    def steps(self) -> set[int]:
        return {step for component, step in self.spans if component in FLOW}

    @property
    def layout(self) -> str:
        """The name of the layout of its flow, or of its frames when it has no flow."""
        named = [span.layout for (kind, _), span in self.spans.items() if kind in FLOW]
        return named[0] if named else next((p.layout for p in self.spans.values()), "")

    def add(self, parsed: ParsedPath, source: Source) -> None:
        key = (parsed.component, parsed.step)
        span = self.spans.get(key)
        if span is None:
            self.spans[key] = FileSpan(source, parsed.layout, parsed.number, parsed.number)
        elif span.source != source or span.layout != parsed.layout:
            fault = (
                f"{parsed.component} lies twice: in {span.source.container} ({span.layout}) and "
                f"in {source.container} ({parsed.layout}); import one of them"
            )
            if fault not in self.faults:
                self.faults.append(fault)
        else:
            span.first = min(span.first, parsed.number)
            span.last = max(span.last, parsed.number)
            span.count += 1


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
                span.first - max(-step, 0)
                for (kind, step), span in video.spans.items()
                if kind in wanted
            )
            for video in self.videos.values()
            if any(kind in wanted for kind, _ in video.spans)
        )


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
            with closing(files):
                for path, _ in source.listing(files):
                    parsed = parse_path(path)
                    if parsed:
                        video = parsed.video or root.stem
                        result.videos.setdefault(video, FoundVideo(video)).add(parsed, source)
    return result


def _sources(root: Path, result: Survey) -> Iterator[Source]:
    if root.is_file():
        yield Source(root)
        return

    def unreadable(error: OSError) -> None:
        folder = Path(error.filename).relative_to(root).as_posix()
        result.unreadable[folder] = f"the folder cannot be read: {error.strerror}"

    for folder, subfolders, names in walk_folders(root, unreadable):
        above = folder.relative_to(root).as_posix() + "/"
        above = "" if above == "./" else above
        plain = False
        for name in names:
            low = name.lower()
            if low.endswith(".zip"):
                yield Source(folder / name, above + name[:-4] + "/")
            elif low.endswith(WHOLE_FILES):
                yield Source(folder / name, above)
            else:
                plain = True
        if plain:
            yield Source(folder, above)
        elif not subfolders and not names and above:
            result.empty.append(above.rstrip("/"))
