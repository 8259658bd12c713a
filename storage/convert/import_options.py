"""What the caller of an import states. The rest is to be recognised."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from storage.codecs import RULES
from storage.errors import UserError

IMAGES = ("auto", "first", "second", "none")
VALUES = ("auto", "pixels", "unit")


@dataclass(frozen=True)
class ImportOptions:
    """What the caller states. None is to be recognised."""

    bound: float | None = None
    rule: str | None = None
    index_base: int | None = None
    step: int | None = None
    images: str = "auto"
    trim: bool = False
    values: str = "auto"
    """Floats in `.npy` files are `pixels`, or a `unit` of the bound."""
    codec: str | None = None
    frame_codec: str | None = None
    algorithm: str = "unknown"
    parameters: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    size: str | None = None
    """The rule by which the tool sized its pictures: `short-side 256`, `340x256`, `source`."""
    fps: float | None = None
    """The videos' rate. Files of flow do not say."""

    def __post_init__(self) -> None:
        for name, choices in {"rule": (None, *RULES), "images": IMAGES, "values": VALUES}.items():
            if getattr(self, name) not in choices:
                allowed = ", ".join(filter(None, choices))
                raise UserError(f"--{name} {getattr(self, name)!r} is not one of {allowed}")
        if self.index_base is not None and self.index_base < 0:
            raise UserError(f"--index-base {self.index_base} is below 0")
        if not re.fullmatch(r"source|short-side \d+|\d+x\d+", self.size or "source"):
            raise UserError(f"--size {self.size!r} is not source, 'short-side 256' or 340x256")
        if self.step is not None and self.step < 1:
            raise UserError(f"--step {self.step} is not 1 or more frames")
