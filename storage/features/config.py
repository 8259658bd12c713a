"""How features were made, and what a feature store knows of each video."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from storage.errors import StoreError, UserError
from storage.store import flatten

SCHEMA = 1
"""The version of the layout on disk; a store of another one is refused."""
Dtype = Literal["float16", "float32"]


@dataclass(frozen=True)
class FeatureConfig:
    """How all features of a store were made. Two runs may share it only if theirs are equal."""

    shape: tuple[int, ...]
    """Of one step: (D,), or (D, h, w) of a map."""
    at: str
    """Where the network was tapped: pool, or the name of one of its parts."""
    network: dict[str, Any] = field(default_factory=dict)
    """What made them: kind, name, hash of the weights, input, crop; or trajectories' parameters."""
    views: dict[str, Any] = field(default_factory=dict)
    """At which moments of a video, and under which crops."""
    source: dict[str, Any] = field(default_factory=dict)
    """The manifest of the store of flow and frames."""
    dtype: Dtype = "float16"
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if len(self.shape) not in (1, 3) or any(side < 1 for side in self.shape):
            raise UserError(f"a step of features is (D,) or (D, h, w), not {self.shape}")
        if self.dtype not in get_args(Dtype):
            raise UserError(f"--dtype {self.dtype!r} is not one of {', '.join(get_args(Dtype))}")

    @property
    def width(self) -> int:
        """D."""
        return self.shape[0]

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self) | {"shape": list(self.shape)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FeatureConfig:
        """What `to_json` gave."""
        try:
            known = {f.name for f in dataclasses.fields(cls)}
            return cls(**{name: item for name, item in value.items() if name in known})
        except TypeError as error:
            raise StoreError(
                f"the manifest does not say how the features were made: {error}"
            ) from None
        except UserError as error:
            raise StoreError(f"the manifest cannot be used: {error}") from None

    def differences(self, other: FeatureConfig) -> list[str]:
        """What differs, in words: `at: the store has 'pool', asked for 'conv5'`."""
        mine, theirs = flatten(self.to_json()), flatten(other.to_json())
        return [
            f"{name}: the store has {mine.get(name)!r}, asked for {theirs.get(name)!r}"
            for name in sorted(mine.keys() | theirs.keys())
            if mine.get(name) != theirs.get(name)
        ]


@dataclass(frozen=True)
class FeatureMeta:
    """What a feature store knows of one video."""

    COUNTED: ClassVar[tuple[str, ...]] = ("steps",)
    """Fields that are added up over a store."""

    video: str
    """Its id: as in the store of flow and frames."""
    steps: int
    """T."""
    fps: float = 0.0
    """Frames a second of the video; 0 where nobody said it."""
    source: dict[str, Any] = field(default_factory=dict)
    """What it was made from, in words of its maker."""
    size: int = 0
    """Bytes that its records take in the store."""

    def items(self, kind: str) -> int:
        """How many items of a kind it has."""
        return 1 if kind == "moments" else self.steps

    def to_json(self) -> dict[str, Any]:
        """Its fields."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> FeatureMeta:
        """Of the fields, without those that are not known."""
        known = {f.name for f in dataclasses.fields(cls)}
        return cls(**{name: item for name, item in value.items() if name in known})
