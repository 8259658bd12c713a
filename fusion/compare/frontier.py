"""Which systems give most for what they cost."""

from __future__ import annotations

from collections.abc import Sequence


def on_frontier(costs: Sequence[float], accuracies: Sequence[float]) -> list[bool]:
    """Whether no other system is at least as accurate for at most the cost, and better in one."""
    points = list(zip(costs, accuracies, strict=True))
    return [
        not any(c <= cost and a >= accuracy and (c < cost or a > accuracy) for c, a in points)
        for cost, accuracy in points
    ]
