"""The index beside the shards: what is in them, how it was made, and how large each one is."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from storage.errors import UserError
from storage.store import StoreConfig

SHARDS_INDEX = "shards.json"
FORMAT = "twostream clips 1"


@dataclass(frozen=True)
class ListedShard:
    """One whole shard."""

    name: str
    samples: int
    bytes: int
    sha256: str
    failed: dict[str, str] = field(default_factory=dict)
    """Key -> reason of clips that could not be read from the store, and are not in it."""


@dataclass(frozen=True)
class ShardIndex:
    """All shards of an export."""

    plan: str
    """SHA-256 of everything that decides the shards' bytes."""
    layout: str
    """webdataset or litdata."""
    store: StoreConfig
    clip_pairs: int
    """A clip has that many pairs and under twice as many, where the video has them."""
    frames: bool
    classes: tuple[str, ...]
    """Names of the labels, where they were given."""
    videos: int
    clips: int
    """Samples that were planned; `number` in a sample's json is below it."""
    shards: tuple[ListedShard, ...]

    @property
    def samples(self) -> int:
        return sum(shard.samples for shard in self.shards)

    def to_text(self) -> str:
        """The file's content, the same for the same export."""
        shards = [asdict(shard) for shard in self.shards]
        content = {
            "format": FORMAT,
            "layout": self.layout,
            "plan": self.plan,
            "clip_pairs": self.clip_pairs,
            "frames": self.frames,
            "classes": self.classes,
            "videos": self.videos,
            "clips": self.clips,
            "samples": self.samples,
            "bytes": sum(shard.bytes for shard in self.shards),
            "store": self.store.to_json(),
            "shards": shards,
        }
        return json.dumps(content, indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str, where: object) -> ShardIndex:
        """Read it, or say what `where` holds instead."""
        content = parsed_index(text, where)
        try:
            return cls(
                plan=content["plan"],
                layout=content["layout"],
                store=StoreConfig.from_json(content["store"]),
                clip_pairs=int(content["clip_pairs"]),
                frames=bool(content["frames"]),
                classes=tuple(content["classes"]),
                videos=int(content["videos"]),
                clips=int(content["clips"]),
                shards=tuple(ListedShard(**shard) for shard in content["shards"]),
            )
        except (KeyError, TypeError) as error:
            raise UserError(f"{where} is no index of shards: {error!r}") from None


def parsed_index(text: str, where: object) -> dict[str, Any]:
    """The JSON of an index of this form."""
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise UserError(f"{where} is no index of shards: it is not the JSON of one")
    if "pictures" in content and "format" not in content:
        raise UserError(
            f"{where} is of shards that hold whole videos as pictures; `twostream export --to "
            "webdataset-pictures` goes on with them, and webdataset's own decoders read them"
        )
    if content.get("format") != FORMAT:
        raise UserError(
            f"{where} has the form {content.get('format')!r}; this program reads {FORMAT!r}"
        )
    return content
