"""Which videos a store holds, and in which shard: read from the store's file `index.log`.

A line of the file makes a video visible, or takes it away. The file is only appended to, under the
lock `claim.publishing`; it is read from where the last look ended. So finding a video costs one
look at the file's length, whatever the number of shards, and nobody looks into the shard that
another process, or another machine, is writing. docs/store.md has the grammar of the lines.

Shards that the file does not name were written by an older version, or put there by hand. They
are asked one by one (`VideoFinder`), until somebody writes to the store.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from storage import atomic
from storage.errors import StoreError
from storage.store import faults
from storage.store.keys import content_value
from storage.store.lines import HEADER, coded, dropping_line, listing_line, shard_line

NAME = "index.log"
BLOCK = 16 << 20
"""Bytes that are read at once."""
LATEST = 1.0
LINE = 4096
"""Bytes in which most lines end."""
BEGIN = b'{"video":"'
"""Of an entry."""
SLOTS = 1 << 24
"""A place is an offset in the file and, below it, a number of 24 bits that stands for a shard."""


class Listed(NamedTuple):
    """A video as the index has it."""

    shard: str
    number: int
    value: bytes
    """As the index entry in the shard."""


class Index:
    """The content of `index.log`, as of the last `refresh`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self.lock = threading.RLock()
        self._descriptor: int | None = None
        self._clear()

    def _clear(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None
        self._file: tuple[int, int] | None = None
        self._end = 0
        self._pushed, self._pushed_to = 0.0, 0
        self._names: list[str] = []
        self._slots: dict[str, int] = {}
        self._gone: set[str] = set()
        self._last = (b"", 0)
        """Name and number of the shard of the last line."""
        self._places: dict[str, int] = {}
        self.counts: Counter[int] = Counter()
        self._dropped: defaultdict[int, set[int]] = defaultdict(set)
        self.damaged = 0
        """Lines that do not match their checksums."""
        self.superfluous = 0
        """Lines that a new file would not need."""

    def close(self) -> None:
        with self.lock:
            self._clear()

    def __del__(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    # -- reading

    @property
    def exists(self) -> bool:
        """Whether the store has the file."""
        return self._file is not None

    def refresh(self) -> None:
        """Read what is new. One call of the system where nothing is."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            if self._file is not None:
                self.close()
            return
        except OSError as error:
            raise faults.refused(self.path, error, "read") from None
        file = (status.st_dev, status.st_ino)
        if file == self._file and status.st_size == self._end:
            return
        with self.lock:
            if file != self._file or status.st_size < self._end:
                self._open()
            self._read_on()

    def _open(self) -> None:
        self._clear()
        try:
            # It stays open: so no other file gets its number, and another file is noticed.
            self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            status = os.fstat(self._descriptor)
        except OSError as error:
            raise faults.refused(self.path, error, "read") from None
        self._file = (status.st_dev, status.st_ino)

    def _read_on(self) -> None:
        assert self._descriptor is not None
        wanted = BLOCK
        while True:
            try:
                data = os.pread(self._descriptor, wanted, self._end)
            except OSError as error:
                raise faults.refused(self.path, error, "read") from None
            whole = data.rfind(b"\n") + 1
            if whole:
                self._take(data[:whole])
                wanted = BLOCK
            elif len(data) == wanted:
                wanted *= 2
            else:
                return  # the end, or a line that is being written

    def _take(self, data: bytes) -> None:
        """Follow some lines that begin where the last ones ended."""
        at = self._end
        for line in data.split(b"\n")[:-1]:
            text = line[9:]
            if line[:9] != b"%08x " % crc32(text):
                self.damaged += 1
            elif text.startswith(b"+ "):
                self._show(text, at)
            else:
                self._follow(text, at)
            at += len(line) + 1
            self._end = at

    def _show(self, text: bytes, at: int) -> None:
        # by hand, without copies: a store may have hundreds of thousands of lines
        name_end = text.find(b" ", 2)
        number_end = text.find(b" ", name_end + 1)
        name = text[2:name_end]
        if name != self._last[0]:
            self._last = (name, self._slot(name.decode()))
        slot = self._last[1]
        start = number_end + 11  # behind {"video":"
        end = text.find(b'"', start)
        if text.startswith(BEGIN, number_end + 1) and text.find(b"\\", start, end) < 0 < end:
            video = text[start:end].decode("ascii")
        else:
            video = json.loads(text[number_end + 1 :])["video"]
        before = self._places.get(video)
        if before is not None:
            self._take_away(video, before)
        self._places[video] = at * SLOTS + slot
        self.counts[slot] += 1
        if slot in self._dropped:
            self._dropped[slot].discard(int(text[name_end + 1 : number_end]))

    def _follow(self, text: bytes, at: int) -> None:
        kind, _, rest = text.decode().partition(" ")
        if kind == "-":
            name, number, video = rest.split(" ", 2)
            slot = self._slot(name)
            place = self._places.get(json.loads(video))
            if place is not None and place % SLOTS == slot and self._number(place) == int(number):
                self._take_away(json.loads(video), place)
            self._dropped[slot].add(int(number))
            self.superfluous += 1
        elif kind == "shard":
            self._slot(rest)
            self._gone.discard(rest)
        elif kind == "gone":
            slot = self._slot(rest)
            for video in [v for v, place in self._places.items() if place % SLOTS == slot]:
                del self._places[video]
            del self._slots[rest], self.counts[slot]
            self._last = (b"", 0)
            self._dropped.pop(slot, None)
            self._gone.add(rest)
            self.superfluous += 1
        elif at or text.decode() != HEADER:
            raise StoreError(
                f"{self.path} was written by another version of this program: it holds a line "
                f"`{text.decode()[:60]}`"
            )

    def _slot(self, name: str) -> int:
        slot = self._slots.get(name)
        if slot is None:
            slot = self._slots[name] = len(self._names)
            self._names.append(name)
        return slot

    def _take_away(self, video: str, place: int) -> None:
        slot = place % SLOTS
        self._dropped[slot].add(self._number(place))
        self.counts[slot] -= 1
        self.superfluous += 1
        del self._places[video]

    def _number(self, place: int) -> int:
        return int(self._line(place).split(b" ", 3)[2])

    def _line(self, place: int) -> bytes:
        """The text of the line at a place."""
        at, length = place // SLOTS, LINE
        assert self._descriptor is not None
        while True:
            data = os.pread(self._descriptor, length, at)
            end = data.find(b"\n")
            if end >= 0 or len(data) < length:
                break
            length *= 8
        if end < 0 or data[:9] != b"%08x " % crc32(data[9:end]):
            raise StoreError(f"{self.path} is damaged: a line does not match its checksum")
        return data[9:end]

    # -- asking

    def __len__(self) -> int:
        return len(self._places)

    @property
    def state(self) -> tuple[object, int]:
        """Changes with its content; the first part with the file."""
        return self._file, self._end

    def speaks_of(self, shard: str) -> bool:
        return shard in self._slots or shard in self._gone

    def doubt(self) -> str:
        """What to add where a video is not found."""
        if not self.damaged:
            return ""
        return (
            f"; {self.damaged} lines of {self.path} are damaged, and `twostream verify "
            f"{self.path.parent} --repair` writes them again"
        )

    def shards(self) -> set[str]:
        """The names of the shards that it speaks of."""
        return set(self._slots)

    def videos(self, shard: str | None = None) -> list[str]:
        """The ids of all videos, or of those in one shard, in no order."""
        with self.lock:
            if shard is None:
                return list(self._places)
            slot = self._slots.get(shard)
            return [v for v, place in self._places.items() if place % SLOTS == slot]

    def place(self, video: str) -> int | None:
        """A number that changes when the video is stored anew; None where it is not there."""
        return self._places.get(video)

    def find(self, video: str) -> Listed | None:
        with self.lock:
            place = self._places.get(video)
            return None if place is None else listed(self._line(place))

    def count(self, shard: str) -> int:
        """How many videos it has in a shard."""
        return self.counts[self._slots.get(shard, -1)]

    def dropped(self, shard: str) -> set[int]:
        """The numbers in a shard of what was taken away, and of copies that do not count."""
        with self.lock:
            return set(self._dropped.get(self._slots.get(shard, -1), ()))

    def entries(self, shard: str | None = None) -> Iterator[Listed]:
        """All videos, or those in one shard, as they stand now, in the order of their lines."""
        with self.lock:
            if self._descriptor is None:
                return
            slot = self._slots.get(shard) if shard is not None else None
            places = sorted(p for p in self._places.values() if shard is None or p % SLOTS == slot)
            descriptor = os.dup(self._descriptor)  # the file may be exchanged meanwhile
        try:
            start, data = 0, b""
            for place in places:
                at = place // SLOTS
                end = data.find(b"\n", at - start) if start <= at < start + len(data) else -1
                length = BLOCK // 16
                while end < 0:
                    start, data = at, os.pread(descriptor, length, at)
                    end = data.find(b"\n")
                    if end < 0 and len(data) < length:
                        raise StoreError(f"{self.path} is damaged: it was cut short")
                    length *= 8
                yield listed(data[at - start + 9 : end])
        finally:
            os.close(descriptor)

    # -- writing, by whoever holds the lock `claim.publishing`

    def append(self, lines: list[str], soon: bool = False) -> None:
        """Write lines, and push them to the disk; the index must be fresh.

        `soon`: within `LATEST` seconds, or by `sync`, will do. A line that shows a video may be
        lost when the power fails, for the next owner of its shard writes it again; one after which
        something is removed may not.
        """
        data = coded(lines)
        with self.lock:
            try:
                if self._file is None:
                    atomic.write_bytes(self.path, coded([HEADER]) + data)
                    self._open()
                    return self._read_on()
                descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
                try:
                    os.ftruncate(descriptor, self._end)  # half a line of a process that was killed
                    try:
                        written = 0
                        while written < len(data):
                            written += os.pwrite(
                                descriptor, memoryview(data)[written:], self._end + written
                            )
                        if not soon or time.monotonic() - self._pushed > LATEST:
                            self._push(descriptor)
                    except BaseException:
                        os.ftruncate(descriptor, self._end)
                        raise
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise faults.unwritten(self.path, error) from None
            self._take(data)

    def _push(self, descriptor: int) -> None:
        os.fdatasync(descriptor)
        self._pushed = time.monotonic()
        self._pushed_to = os.fstat(descriptor).st_size

    def sync(self) -> None:
        """Push what was written soon to the disk."""
        with self.lock:
            if self._descriptor is not None and self._pushed_to < self._end:
                try:
                    self._push(self._descriptor)
                except OSError as error:
                    raise faults.unwritten(self.path, error) from None

    def rewrite(self, names: Iterable[str]) -> None:
        """Exchange the file for one without superfluous lines. `names`: shards that are there."""
        with self.lock:
            known = [name for name in sorted(names) if name in self._slots]
            lines = [HEADER, *map(shard_line, known)]
            for entry in self.entries():
                lines.append(listing_line(entry.shard, entry.number, entry.value))
            for name in known:
                lines += [dropping_line(name, n, "") for n in sorted(self.dropped(name))]
            try:
                atomic.write_bytes(self.path, coded(lines))
            except OSError as error:
                raise faults.unwritten(self.path, error) from None
            self._open()
            self._read_on()


def listed(text: bytes) -> Listed:
    """A line that shows a video, parsed."""
    _, name, number, content = text.split(b" ", 3)
    return Listed(name.decode(), int(number), content_value(content))
