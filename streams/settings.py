"""Options as the settings of a run: JSON values that decide its result."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

NEWER = {"newer": True}
"""Metadata of an option that older runs do not name. At its default it is left out of a run's
settings, so that those runs can be gone on with."""


FLOW_UNIT = 9.04
"""Pixels that become 1. TSN divides codes of bound 20 by 57.6 (ImageNet's 0.226 x 255), which is
9.04 px, so networks that were trained on its inputs see here what they saw there."""


def values_of(options: Any) -> dict[str, Any]:
    """The fields of a dataclass, without newer ones at their default."""
    return {
        option.name: getattr(options, option.name)
        for option in fields(options)
        if not (option.metadata.get("newer") and getattr(options, option.name) == option.default)
    }


def tuples(values: dict[str, Any]) -> dict[str, Any]:
    """JSON knows no tuples."""
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
