"""How a store was made, and what it knows of each video: plain JSON on disk, checked types here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from storage.codecs import Quantizer, flow_codec, frame_codec
from storage.errors import StoreError, UserError

SCHEMA = 1
"""The version of what is said here. That of the layout on the disk: `manifest.LAYOUT`."""
FIELDS = ("forward", "backward", "warped")


@dataclass(frozen=True)
class StoreConfig:
    """How everything in a store was made. Two runs may share a store only if theirs are equal.

    The engine is not part of it: engines are interchangeable, and each `VideoMeta` names its own.
    """

    quantizer: Quantizer = field(default_factory=Quantizer)
    codec: str = "within:0.08"
    """How flow codes are stored: see `storage.codecs.codec`."""
    frame_codec: str = "jpeg:90"
    """How RGB frames are stored. `none` where there are none."""
    size: str = "source"
    """The rule for the size, e.g. `short-side 256`, `340x256`, `source`."""
    step: int = 1
    """Pair i leads from frame i to frame i + step."""
    fps: float | None = None
    """What the videos were resampled to. None keeps their own rate."""
    fields: tuple[str, ...] = ("forward",)
    """Which flows are stored: any of forward, backward, warped."""
    algorithm: str = "tvl1"
    parameters: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    """Of the algorithm and its parameters."""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        flow_codec(self.codec, self.quantizer)
        frame_codec(self.frame_codec)
        if self.step < 1:
            raise UserError(f"step {self.step!r} is not 1 or more frames")
        if self.fps is not None and not self.fps > 0:
            raise UserError(f"fps {self.fps!r} is not a positive rate; leave it out to keep all")
        unknown = set(self.fields) - set(FIELDS)
        if unknown or len(set(self.fields)) != len(self.fields):
            raise UserError(f"fields {self.fields!r} must be different ones of {', '.join(FIELDS)}")
        object.__setattr__(self, "fields", tuple(self.fields))

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> StoreConfig:
        try:
            known = {f.name for f in dataclasses.fields(cls)}
            values = {name: item for name, item in value.items() if name in known}
            values["quantizer"] = Quantizer(**value["quantizer"])
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise StoreError(f"the manifest does not say how the store was made: {error}") from None
        except UserError as error:
            raise StoreError(f"the manifest cannot be used: {error}") from None

    def differences(self, other: StoreConfig) -> list[str]:
        """What differs, in words: `bound: the store has 20.0, asked for 15.0`."""
        mine, theirs = flatten(self.to_json()), flatten(other.to_json())
        return [
            f"{name}: the store has {mine.get(name)!r}, asked for {theirs.get(name)!r}"
            for name in sorted(mine.keys() | theirs.keys())
            if mine.get(name) != theirs.get(name)
        ]


def flatten(value: Mapping[str, object], before: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}. Tuples and lists compare equal, as in JSON."""
    flat: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, Mapping):
            flat |= flatten(item, f"{before}{name}.")
        else:
            flat[before + name] = list(item) if isinstance(item, tuple) else item
    return flat


@dataclass(frozen=True)
class VideoMeta:
    """What the store knows of one video."""

    COUNTED: ClassVar[tuple[str, ...]] = ("frames", "pairs")
    """Fields that are added up over a store."""

    video: str
    """Its id: the relative path without the extension."""
    frames: int
    """Stored RGB frames. 0 in a store without frames."""
    pairs: int
    """Stored pairs a field."""
    height: int
    width: int
    fps: float
    source: dict[str, Any] = field(default_factory=dict)
    """The file it was made from: name, bytes, sha256, decoded frames, ..."""
    engine: str = ""
    """Which engine computed the flow, and its version."""
    quality: dict[str, Any] = field(default_factory=dict)
    """Clipped share, zero share, mean absolute quantisation error, loss by quantiser and codec
    together over all and over moving pixels, in pixels, ..."""
    size: int = 0
    """Bytes that its records take in the store."""

    def items(self, kind: str) -> int:
        """How many items of a kind it has."""
        return self.frames if kind == "frames" else self.pairs

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> VideoMeta:
        known = {f.name for f in dataclasses.fields(cls)}
        return cls(**{name: item for name, item in value.items() if name in known})
