"""Where the values of an LMDB file lie, found without touching them.

Python's binding for LMDB reads every page of a value before it hands it out, one page of 4 KB at a
time where it is not in memory: of a chunk of frames all, where one is wanted. Here the way through
the tree is read page by page, and of a value only what is asked for, in one read.

The layout of the pages is that of LMDB 0.9 on 64-bit machines.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path

from storage.errors import StoreError

PAGE = struct.Struct("=QHHHH")  # number, padding, flags, end of the node pointers, unused
OVERFLOW = struct.Struct("=QHHI")  # number, padding, flags, count of pages
NODE = struct.Struct("=HHHH")  # length of the value (low, high), flags, length of the key
META = struct.Struct("=II16xI84xQQQ")
"""Magic, version; page size; root of the tree of trees, last page, transaction."""
ROOT = struct.Struct("=40xQ")
NUMBER = struct.Struct("=Q")
MAGIC, VERSION = 0xBEEFC0DE, 1
BRANCH, LEAF = 0x01, 0x02
LARGE, SUBTREE = 0x01, 0x02
NOTHING = 2**64 - 1
DEEPEST = 32
MOST_BRANCHES, MOST_LEAVES = 1024, 64
"""Pages that are kept in memory; a shard of 1 GiB has about a hundred leaves."""
Branch = tuple[list[bytes], list[int]]


@dataclass(frozen=True)
class Record:
    """A value where it lies."""

    tree: Tree
    start: int
    size: int

    @property
    def in_first_page(self) -> int:
        """Bytes of it that come with its first."""
        return min(self.size, self.tree.page - self.start % self.tree.page)

    def ask(self, start: int, stop: int, head: bool) -> None:
        """Bytes `start` to `stop` will be read soon; its `head` too, later than another's."""
        if self.in_first_page == self.size:
            return  # one read brings all of it
        near = start <= self.tree.page
        if head and not near:
            self.tree.ask(self.start, self.start + self.in_first_page)
        self.tree.ask(self.start + (0 if near else start), self.start + min(stop, self.size))

    def read(self, start: int, length: int) -> bytes:
        """Bytes of it; fewer at its end."""
        return self.tree.read(self.start + start, max(0, min(length, self.size - start)))


class Tree:
    """One named tree of a data file, in the state that a transaction reads."""

    def __init__(self, data: Path, name: bytes, page_size: int) -> None:
        self.path, self.name, self.page = data, name, page_size
        self.file = os.open(data, os.O_RDONLY | os.O_CLOEXEC)
        if hasattr(os, "posix_fadvise"):  # beside a random stack lies what nobody asked for
            os.posix_fadvise(self.file, 0, 0, os.POSIX_FADV_RANDOM)
        self._state, self._root = -1, NOTHING
        self._branches: dict[int, Branch] = {}
        self._leaves: dict[int, bytes] = {}

    def close(self) -> None:
        os.close(self.file)

    def find(self, key: bytes, state: int) -> tuple[int, int] | None:
        """(where its value begins in the file, its length) in the state of transaction `state`.

        A file names its last two states. That is enough: as long as one is read, the locks of the
        shard let others write one more, not two.
        """
        if state != self._state:
            self._branches, self._leaves = {}, {}
            self._root = self._root_at(state)
            self._state = state
        node = self._descend(self._root, key)
        return None if node is None else node[:2]

    def ask(self, start: int, stop: int) -> None:
        """Bytes of the file that will be read soon: the system fetches them meanwhile."""
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(self.file, start, stop - start, os.POSIX_FADV_WILLNEED)

    def read(self, start: int, length: int) -> bytes:
        data = os.pread(self.file, length, start)
        if len(data) != length:
            raise StoreError(f"{self.path} is shorter than its pages")
        return data

    def _root_at(self, state: int) -> int:
        for number in (0, 1):
            header = self.read(number * self.page + PAGE.size, META.size)
            magic, version, size, root, _, transaction = META.unpack(header)
            if (magic, version, transaction) == (MAGIC, VERSION, state) and size == self.page:
                found = self._descend(root, self.name)
                if found is None or found[2] != SUBTREE or found[1] != ROOT.size:
                    raise StoreError(f"{self.path} has no tree {self.name.decode()}")
                return int(ROOT.unpack(self.read(found[0], ROOT.size))[0])
        raise StoreError(f"{self.path} does not hold the state {state}")

    def _descend(self, number: int, key: bytes) -> tuple[int, int, int] | None:
        """(start, length, flags) of the value of a key."""
        for _ in range(DEEPEST):
            if number == NOTHING:
                return None
            if number not in self._branches:
                page = self._leaves.get(number) or self.read(number * self.page, self.page)
                own, _, flags, end, _ = PAGE.unpack_from(page)
                if own != number or not PAGE.size <= end <= self.page:
                    raise self._damage(number)
                if flags & LEAF:
                    if len(self._leaves) >= MOST_LEAVES:
                        del self._leaves[next(iter(self._leaves))]
                    self._leaves[number] = page
                    return self._in_leaf(page, number, end, key)
                if not flags & BRANCH:
                    raise self._damage(number)
                if len(self._branches) >= MOST_BRANCHES:
                    self._branches.clear()
                self._branches[number] = self._branch(page, number, (end - PAGE.size) // 2)
            keys, children = self._branches[number]
            number = children[bisect_right(keys, key, lo=1) - 1]
        raise self._damage(number)

    def _branch(self, page: bytes, number: int, count: int) -> Branch:
        if not count:
            raise self._damage(number)
        keys, children = [], []
        for at in struct.unpack_from(f"={count}H", page, PAGE.size):
            if not PAGE.size <= at <= self.page - NODE.size:
                raise self._damage(number)
            low, middle, high, length = NODE.unpack_from(page, at)
            keys.append(page[at + NODE.size : at + NODE.size + length])
            children.append(low | middle << 16 | high << 32)
        return keys, children

    def _in_leaf(
        self, page: bytes, number: int, end: int, key: bytes
    ) -> tuple[int, int, int] | None:
        places = memoryview(page)[PAGE.size : end - end % 2].cast("H")
        first, last = 0, len(places)
        while first < last:
            middle = (first + last) // 2
            at = places[middle]
            if not PAGE.size <= at <= self.page - NODE.size:
                raise self._damage(number)
            low, high, flags, length = NODE.unpack_from(page, at)
            at += NODE.size
            own = page[at : at + length]
            if own < key:
                first = middle + 1
            elif own > key:
                last = middle
            else:
                at += length
                size = low | high << 16
                if not flags & LARGE:
                    return number * self.page + at, size, flags
                if at + NUMBER.size > self.page:
                    raise self._damage(number)
                return NUMBER.unpack_from(page, at)[0] * self.page + OVERFLOW.size, size, flags
        return None

    def _damage(self, number: int) -> StoreError:
        return StoreError(f"page {number} of {self.path} is damaged")
