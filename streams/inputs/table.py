"""The inputs by name, and as JSON values."""

from __future__ import annotations

from typing import Any

from streams.inputs.contract import Input
from streams.inputs.differences import RGBDifference
from streams.inputs.flow import FlowStack
from streams.inputs.frames import RGB
from streams.settings import values_of

AnyInput = RGB | RGBDifference | FlowStack
INPUTS: dict[str, type[AnyInput]] = {cls.kind: cls for cls in (RGB, RGBDifference, FlowStack)}


def input_from(settings: dict[str, Any]) -> AnyInput:
    """The input that `settings_of` described."""
    values = dict(settings)
    return INPUTS[values.pop("kind")](**values)


def settings_of(input_: Input) -> dict[str, Any]:
    """An input as JSON values."""
    return {"kind": input_.kind, **values_of(input_)}
