"""What could not be extracted and why, kept beside the store's shards.

While a run goes on, each failure, and each video that has left the list since, is one line at the
end of failures.jsonl: nothing is read, and nothing written again. At the run's end failures.json
is made of them, and the lines go. A run that was killed leaves them to the next.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from storage import atomic

NAME = "failures.json"
LINES = "failures.jsonl"


@dataclass(frozen=True)
class Failure:
    """One video that is not in the store, or not whole."""

    video: str
    source: str
    """Its path, as text."""
    kind: str
    """A fixed phrase: cannot open, truncated, ... (docs/extract.md)."""
    reason: str
    """The kind and the details, in one line."""
    partial: bool = False
    """What could be decoded is in the store."""


def read_failures(store: str | os.PathLike[str]) -> list[Failure]:
    """The failures on record, by video, or none."""
    known = _gathered(Path(store))
    for line in _lines(Path(store) / LINES):
        try:
            entry = json.loads(line)
            if "settled" in entry:
                known.pop(entry["settled"], None)
            else:
                known[entry["video"]] = Failure(**entry)
        except (ValueError, KeyError, TypeError):
            continue  # half a line from a killed process or a full disk
    return [known[video] for video in sorted(known)]


def _gathered(folder: Path) -> dict[str, Failure]:
    try:
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        return {entry["video"]: Failure(**entry) for entry in content["failures"]}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError):
        return {}  # half a file from a full disk; the next run says it all again


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []


def record_failures(
    store: str | os.PathLike[str], failures: Iterable[Failure], settled: Iterable[str] = ()
) -> None:
    """Add failures, and take the videos in `settled` off the list. What it costs does not depend
    on how many are on it. Several runs may do so at once (`--shard`)."""
    folder = Path(store)
    added: list[dict[str, object]] = [asdict(failure) for failure in failures]
    gone = list(settled) if (folder / NAME).exists() or (folder / LINES).exists() else []
    if len(gone) > 1:  # all that was stored before this run: few of them are on the list
        known = {failure.video for failure in read_failures(folder)}
        gone = [video for video in gone if video in known]
    # a video that is stored in part leaves the list and comes back to it
    rows = [{"settled": video} for video in gone] + added
    if not rows:
        return  # a whole store may lie on a medium that cannot be written
    # escaped: ids may hold lone surrogates, and no id may end a line
    text = "".join("\n" + json.dumps(row) for row in rows)
    with _locked(folder, fcntl.LOCK_SH):
        descriptor = os.open(
            folder / LINES, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666
        )
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)


def gather_failures(store: str | os.PathLike[str]) -> None:
    """Make failures.json of the lines, if there are any."""
    folder = Path(store)
    if not (folder / LINES).exists():
        return
    with _locked(folder, fcntl.LOCK_EX):
        rows = [asdict(failure) for failure in read_failures(folder)]
        text = json.dumps({"failures": rows}, indent=1, ensure_ascii=False) + "\n"
        if any("\ud800" <= letter <= "\udfff" for letter in text):  # a name that is no UTF-8
            text = json.dumps({"failures": rows}, indent=1) + "\n"
        atomic.write_text(folder / NAME, text)
        (folder / LINES).unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path, kind: int) -> Iterator[None]:
    """Writers of lines go on together; whoever gathers them is alone. The lock is no part of what
    is stored: where it does not work, a line may be lost while another run ends."""
    lock = os.open(folder / f".{NAME}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.lockf(lock, kind)
        yield
    finally:
        os.close(lock)
