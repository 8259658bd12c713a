"""Shards as chunks that LitData's StreamingDataset reads, and the index.json it wants beside them.

A chunk is `u32 n`, n + 1 `u32` offsets into the file, and n samples. A sample is a `u32` length of
each leaf, then the leaves, in the order of their names: `forward` and other flow (bytes), `frames`
(bytes), `json` (text), `label` (int64, -1 where there is none), `video` (text). LitData's own
writer gives the same bytes, which a test holds. It is not needed to write: it brings 14 packages.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping
from itertools import accumulate
from pathlib import Path

from storage.errors import UserError
from storage.shards.coded_clip import ABOUT
from storage.shards.shard_index import ShardIndex
from storage.shards.tar_layout import Sample

LITDATA_INDEX = "index.json"
WORD = struct.Struct("<I")
LABEL = struct.Struct("<q")
LARGEST_CHUNK = (1 << 32) - 1
NO_LABEL = -1


def chunk_name(number: int) -> str:
    return f"chunk-0-{number}.bin"


def leaves_of(names: Iterable[str]) -> dict[str, str]:
    """Leaf -> LitData's name of its type, in order, for samples with these members."""
    kinds = {name: "str" if name == ABOUT else "bytes" for name in names}
    return dict(sorted({**kinds, "label": "int", "video": "str"}.items()))


def write_chunk(path: Path, samples: Iterable[Sample]) -> None:
    """One chunk. Its offsets stand first, so its samples are gathered in memory before."""
    rows = [sample_bytes(*sample) for sample in samples]
    start = WORD.size * (len(rows) + 2)
    offsets = list(accumulate((len(row) for row in rows), initial=start))
    if offsets[-1] > LARGEST_CHUNK:
        raise UserError("a LitData chunk holds under 4 GiB; ask for smaller shards (--shard-mb)")
    with open(path, "wb") as file:
        file.write(b"".join(map(WORD.pack, [len(rows), *offsets])))
        file.writelines(rows)


def sample_bytes(span: object, label: int | None, members: Mapping[str, bytes]) -> bytes:
    """One sample as it lies in a chunk."""
    leaves = {
        **members,
        "label": LABEL.pack(NO_LABEL if label is None else label),
        "video": json.loads(members[ABOUT])["video"].encode("utf-8", "surrogatepass"),
    }
    ordered = [leaves[name] for name in leaves_of(members)]
    return b"".join([*(WORD.pack(len(leaf)) for leaf in ordered), *ordered])


def litdata_index(index: ShardIndex) -> str:
    """LitData's index of the same chunks.

    Its cache tells data sets apart by `updated_at`, a time; a text that follows from the content
    serves as well, and leaves the same export the same bytes.
    """
    members = [*index.store.fields, ABOUT, *(["frames"] if index.frames else [])]
    leaves = leaves_of(members)
    leaf: dict[str, object] = {"type": None, "context": None, "children_spec": []}
    tree = {
        "type": "builtins.dict",
        "context": json.dumps(list(leaves)),
        "children_spec": [leaf] * len(leaves),
    }
    config = {
        "chunk_bytes": max((shard.bytes for shard in index.shards), default=0),
        "chunk_size": None,
        "compression": None,
        "data_format": list(leaves.values()),
        "data_spec": json.dumps([1, tree]),
        "encryption": None,
        "item_loader": "PyTreeLoader",
    }
    chunks = [
        {
            "chunk_bytes": shard.bytes,
            "chunk_size": shard.samples,
            "dim": None,
            "filename": shard.name,
        }
        for shard in index.shards
        if shard.samples
    ]
    content = {"chunks": chunks, "config": config, "updated_at": index.plan[:16]}
    return json.dumps(content, sort_keys=True) + "\n"
