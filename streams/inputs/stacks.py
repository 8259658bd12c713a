"""Which flow pairs make a stack: integers."""

from __future__ import annotations

STACKS = ("forward", "bidirectional", "trajectory")


def forward_pairs(moment: int, length: int, stride: int) -> list[int]:
    """Pairs t, t + stride, ...; pair i leads from frame i to frame i + step."""
    return [moment + k * stride for k in range(length)]


def backward_pairs(moment: int, length: int, stride: int, step: int) -> list[int]:
    """Pairs whose backward flow leads from frame t into the past, then on from there.

    The backward field of pair i leads from frame i + step to frame i, so the one that starts in
    frame t is pair t - step.
    """
    return [moment - step - k * stride for k in range(length)]
