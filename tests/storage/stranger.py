"""A reader and a writer of stores, written from docs/store.md alone. Nothing of ours is imported.

They are slow and plain. Where this file and the page disagree, one of them is wrong.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import zstandard
from PIL import Image

KNOWN = {"index.log", "sealed.json"}
LETTERS = {"frames": b"F", "forward": b"f", "backward": b"b", "warped": b"w"}
DATABASES = ("videos", "records", "info")


def key_of(video: str) -> bytes:
    key = video.encode("utf-8", "surrogatepass")
    return key if len(key) <= 500 else b"\xff" + hashlib.sha256(key).digest()


def checked(line: bytes) -> str | None:
    text = line[9:]
    return text.decode("ascii") if line[:9] == b"%08x " % zlib.crc32(text) else None


def lock(descriptor: int, byte: int, kind: int, wait: bool = False) -> bool:
    command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    try:
        fcntl.fcntl(descriptor, command, struct.pack("@hhqqi0q", kind, os.SEEK_SET, byte, 1, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True


class Shard:
    def __init__(self, folder: Path, write: bool = False) -> None:
        self.env = lmdb.open(
            str(folder), readonly=not write, lock=False, max_dbs=3, create=False, map_size=1 << 28
        )
        self.videos, self.records, self.info = (
            self.env.open_db(name.encode(), create=False) for name in DATABASES
        )
        self.descriptor = os.open(folder / "claim", os.O_RDWR) if write else -1
        self.data = folder / "data.mdb"

    def entries(self) -> dict[str, dict[str, Any]]:
        found = {}
        with self.env.begin() as txn:
            for _, value in txn.cursor(self.videos):
                assert struct.unpack("<I", value[:4])[0] == zlib.crc32(value[4:])
                entry = json.loads(value[4:])
                found[entry["video"]] = entry
        return found

    def write(self, work: Any) -> Any:
        """A transaction under byte 1, when nobody reads an older state than the last."""
        assert lock(self.descriptor, 1, fcntl.F_WRLCK, wait=True)
        state = self.env.info()["last_txnid"]
        if state:
            length = struct.pack("@hhqqi0q", fcntl.F_WRLCK, os.SEEK_SET, 16, state, 0)
            fcntl.fcntl(self.descriptor, fcntl.F_OFD_SETLKW, length)
            end = struct.pack("@hhqqi0q", fcntl.F_UNLCK, os.SEEK_SET, 16, state, 0)
            fcntl.fcntl(self.descriptor, fcntl.F_OFD_SETLK, end)
        try:
            with self.env.begin(write=True) as txn:
                result = work(txn)
            length = (self.env.info()["last_pgno"] + 1) * self.env.stat()["psize"]
            if os.path.getsize(self.data) < length:
                os.truncate(self.data, length)
            return result
        finally:
            lock(self.descriptor, 1, fcntl.F_UNLCK)


class Reader:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about = json.loads((folder / "store.json").read_text())
        assert self.about["schema"] in (1, 2)
        assert set(self.about.get("requires", [])) <= KNOWN
        self.videos = self.find()

    def find(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Id -> its shard and its entry."""
        shown: dict[str, tuple[str, dict[str, Any]]] = {}
        named: set[str] = set()
        path = self.folder / "index.log"
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        for number, line in enumerate(lines):
            text = checked(line)
            if text is None:
                continue
            if number == 0:
                assert text == "index 1"
                continue
            kind, _, rest = text.partition(" ")
            if kind == "+":
                name, _, entry = rest.split(" ", 2)
                shown[json.loads(entry)["video"]] = (name, json.loads(entry))
            elif kind == "-":
                name, which, video = rest.split(" ", 2)
                at = shown.get(json.loads(video))
                if at is not None and (at[0], at[1]["number"]) == (name, int(which)):
                    del shown[json.loads(video)]
            elif kind == "gone":
                shown = {v: at for v, at in shown.items() if at[0] != rest}
            named.add(rest.split(" ")[0])
        for name in sorted(os.listdir(self.folder / "shards")):
            if not name.startswith(".") and name not in named:
                for video, entry in Shard(self.folder / "shards" / name).entries().items():
                    shown.setdefault(video, (name, entry))
        return shown

    def items(self, video: str, kind: str) -> list[bytes]:
        name, entry = self.videos[video]
        count = entry["frames" if kind == "frames" else "pairs"]
        per_chunk = entry["per_chunk"][kind]
        shard = Shard(self.folder / "shards" / name)
        items: list[bytes] = []
        with shard.env.begin() as txn:
            for chunk in range(-(-count // per_chunk)):
                key = struct.pack(">QcI", entry["number"], LETTERS[kind], chunk)
                items += unpacked(txn.get(key, db=shard.records))
        shard.env.close()
        assert len(items) == count
        return items

    def flow(self, video: str, field: str) -> np.ndarray:
        entry = self.videos[video][1]
        height, width = entry["height"], entry["width"]
        return np.array([self.pair(item, height, width) for item in self.items(video, field)])

    def pair(self, item: bytes, height: int, width: int) -> np.ndarray:
        if self.about["codec"] == "raw":
            return np.frombuffer(item, np.uint8).reshape(2, height, width)
        if self.about["codec"] == "files":
            (length,) = struct.unpack("<I", item[:4])
            files = (item[4 : 4 + length], item[4 + length :])
            return np.stack([np.array(Image.open(io.BytesIO(file)).convert("L")) for file in files])
        if item[:2] == b"\xff\xd8":
            grey = np.array(Image.open(io.BytesIO(item)))
            if grey.shape == (2 * height, width):
                return grey.reshape(2, height, width)
            assert grey.shape == (2 * (-(-height // 2)), -(-width // 2))
            halves = grey.reshape(2, -1, grey.shape[1])
            return halves.repeat(2, 1).repeat(2, 2)[:, :height, :width]
        return np.cumsum(plain(item, (2, height, width)), axis=1, dtype=np.uint8)

    def frames(self, video: str) -> np.ndarray:
        entry = self.videos[video][1]
        shape = (entry["height"], entry["width"], 3)
        return np.array([self.frame(item, shape) for item in self.items(video, "frames")])

    def frame(self, item: bytes, shape: tuple[int, int, int]) -> np.ndarray:
        if self.about["frame_codec"] == "raw":
            return np.frombuffer(item, np.uint8).reshape(shape)
        if self.about["frame_codec"] == "lossless":
            return np.cumsum(plain(item, shape), axis=1, dtype=np.uint8)
        return np.array(Image.open(io.BytesIO(item)).convert("RGB"))


def plain(item: bytes, shape: tuple[int, ...]) -> np.ndarray:
    size = int(np.prod(shape))
    assert zstandard.frame_content_size(item) == size
    data = zstandard.ZstdDecompressor().decompress(item)
    return np.frombuffer(data, np.uint8).reshape(shape)


def unpacked(chunk: bytes) -> list[bytes]:
    n, h = struct.unpack_from("<HH", chunk)
    table = [struct.unpack_from("<IIH", chunk, 4 + 10 * i) for i in range(n)]
    lengths = struct.unpack_from(f"<{h}I", chunk, 4 + 10 * n)
    at = 4 + 10 * n + 4 * h
    heads = []
    for length in lengths:
        heads.append(chunk[at : at + length])
        at += length
    items = []
    for length, checksum, head in table:
        item = heads[head] + chunk[at : at + length]
        assert zlib.crc32(item) == checksum
        items.append(item)
        at += length
    return items


def packed(items: list[bytes]) -> bytes:
    """With one empty head, as a writer may."""
    rows = [struct.pack("<IIH", len(item), zlib.crc32(item), 0) for item in items]
    head = struct.pack("<HH", len(items), 1)
    return b"".join([head, *rows, struct.pack("<I", 0), *items])


class Writer:
    """Adds videos of the codecs `raw` and `lossless` to a store that has an `index.log`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about = json.loads((folder / "store.json").read_text())
        self.token = os.urandom(16)
        self.name, self.claim = self.take()
        self.shard = Shard(folder / "shards" / self.name, write=True)
        lock(self.shard.descriptor, 2, fcntl.F_RDLCK)
        self.append([f"shard {self.name}"])

    def take(self) -> tuple[str, int]:
        shards = self.folder / "shards"
        number = 0
        for name in sorted(n for n in os.listdir(shards) if not n.startswith(".")):
            number = int(name) + 1
            if (shards / name / "sealed.json").exists():
                continue
            descriptor = os.open(shards / name / "claim", os.O_RDWR)
            untouched = not Shard(shards / name).entries()  # what others left, ours settles
            if untouched and lock(descriptor, 0, fcntl.F_WRLCK):
                return name, descriptor
            os.close(descriptor)
        fresh = shards / ".new-stranger"
        fresh.mkdir()
        env = lmdb.open(str(fresh), lock=False, max_dbs=3)
        for name in DATABASES:
            env.open_db(name.encode())
        env.close()
        descriptor = os.open(fresh / "claim", os.O_RDWR | os.O_CREAT)
        assert lock(descriptor, 0, fcntl.F_WRLCK)
        os.rename(fresh, shards / f"{number:06d}")
        return f"{number:06d}", descriptor

    def item(self, values: np.ndarray, codec: str) -> bytes:
        if codec == "raw":
            return values.tobytes()
        delta = values.copy()
        delta[:, 1:] -= values[:, :-1]
        return zstandard.ZstdCompressor().compress(delta.tobytes())

    def add(self, video: str, flow: dict[str, np.ndarray], frames: np.ndarray) -> bool:
        coded = {kind: [self.item(v, self.about["codec"]) for v in flow[kind]] for kind in flow}
        coded["frames"] = [self.item(f, self.about["frame_codec"]) for f in frames]
        per_chunk = dict.fromkeys(coded, 5)
        chunks = {
            (kind, at // 5): packed(items[at : at + 5])
            for kind, items in coded.items()
            for at in range(0, len(items), 5)
        }
        digest = hashlib.sha256()
        for kind in sorted(coded, key=LETTERS.__getitem__):
            if coded[kind]:
                digest.update(LETTERS[kind] + struct.pack(">Q", len(coded[kind])))
                digest.update(b"".join(struct.pack("<I", zlib.crc32(i)) for i in coded[kind]))

        def begin(txn: Any) -> int:
            found = txn.get(b"next", db=self.shard.info)
            number = struct.unpack(">Q", found)[0] if found else 0
            txn.put(b"next", struct.pack(">Q", number + 1), db=self.shard.info)
            pending = b"pending:" + struct.pack(">Q", number)
            txn.put(pending, self.token, db=self.shard.info)
            for (kind, chunk), value in chunks.items():
                key = struct.pack(">QcI", number, LETTERS[kind], chunk)
                txn.put(key, value, db=self.shard.records)
            return int(number)

        number = self.shard.write(begin)
        entry = {
            "video": video, "number": number, "per_chunk": per_chunk,
            "content": digest.hexdigest()[:32], "frames": len(frames),
            "pairs": len(next(iter(flow.values()))), "height": frames.shape[1],
            "width": frames.shape[2], "fps": 25.0, "source": {}, "engine": "a stranger",
            "quality": {}, "size": sum(map(len, chunks.values())),
        }  # fmt: skip
        text = json.dumps(entry, separators=(",", ":"))
        pending = b"pending:" + struct.pack(">Q", number)

        def end(txn: Any) -> bytes | None:
            assert txn.get(pending, db=self.shard.info) == self.token
            before = txn.get(key_of(video), db=self.shard.videos)
            if before is not None:
                txn.put(mark(before), b"", db=self.shard.info)
            value = struct.pack("<I", zlib.crc32(text.encode())) + text.encode()
            txn.put(key_of(video), value, db=self.shard.videos)
            txn.delete(pending, db=self.shard.info)
            return before and bytes(before)

        def mark(value: bytes) -> bytes:
            return b"pending:" + struct.pack(">Q", json.loads(value[4:])["number"])

        before = self.shard.write(end)
        if self.append([f"+ {self.name} {number} {text}"], unless=video):
            return True

        def give_up(txn: Any) -> None:
            txn.delete(key_of(video), db=self.shard.videos)
            if before is not None:
                txn.put(key_of(video), before, db=self.shard.videos)
                txn.delete(mark(before), db=self.shard.info)
            for kind, chunk in chunks:
                txn.delete(struct.pack(">QcI", number, LETTERS[kind], chunk), db=self.shard.records)

        self.shard.write(give_up)
        return False

    def append(self, lines: list[str], unless: str = "") -> bool:
        publish = os.open(self.folder / "publish", os.O_RDWR | os.O_CREAT)
        assert lock(publish, 0, fcntl.F_WRLCK, wait=True)
        try:
            if unless and unless in Reader(self.folder).videos:
                return False
            log = os.open(self.folder / "index.log", os.O_RDWR)
            end = (self.folder / "index.log").read_bytes().rfind(b"\n") + 1
            os.ftruncate(log, end)
            texts = [line.encode() for line in lines]
            os.pwrite(log, b"".join(b"%08x %s\n" % (zlib.crc32(t), t) for t in texts), end)
            os.fdatasync(log)
            os.close(log)
            return True
        finally:
            os.close(publish)

    def close(self) -> None:
        self.shard.env.close()
        os.close(self.shard.descriptor)
        os.close(self.claim)
