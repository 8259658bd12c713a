"""The learning rate as a function of the step alone."""

from __future__ import annotations

import math

from streams.training.optimisation import Optimisation


def steps_per_epoch(videos: int, batch: int) -> int:
    """Steps nearest to one pass over the videos."""
    return max(1, round(videos / batch))


def total_steps(optim: Optimisation, videos: int) -> int:
    return optim.steps or optim.epochs * steps_per_epoch(videos, optim.batch)


def learning_rate(optim: Optimisation, step: int, total: int) -> float:
    """The rate of step 0 .. total-1: a linear rise, then the schedule over what is left."""
    rise = int(optim.warmup * total)
    if step < rise:
        return optim.lr * (step + 1) / (rise + 1)
    if optim.schedule == "constant":
        return optim.lr
    if optim.schedule == "steps":
        passed = sum(step >= round(milestone * total) for milestone in optim.milestones)
        return optim.lr * optim.factor**passed
    return optim.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))
