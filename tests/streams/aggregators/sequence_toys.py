"""Sequences that one kind of aggregator can tell apart and another cannot, and a short training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from streams.aggregators.aggregator import Aggregator
from streams.aggregators.windows import matching_steps


def beside_each_other(frames: Tensor, clips: Tensor) -> Tensor:
    """(N, T, D) and (N, T2, D2) -> (N, T, D + D2), as features of two stores are read."""
    at = matching_steps(np.arange(frames.shape[1]), frames.shape[1], clips.shape[1])
    return torch.cat([frames, clips[:, torch.from_numpy(at)]], 2)


def order_videos(count: int, seed: int, *, steps: int = 8, width: int = 6) -> tuple[Tensor, Tensor]:
    """(2 count, steps, width) and labels: two marks, and which of them comes first is the class.

    Row i + count is row i played backwards, so both classes hold the same steps, and whoever does
    not look at their order is right on exactly one of the two.
    """
    rng = torch.Generator().manual_seed(seed)
    x = 0.05 * torch.randn(count, steps, width, generator=rng)
    for row in x:
        early, late = torch.randperm(steps, generator=rng)[:2].sort().values
        row[early, 0] += 1
        row[late, 1] += 1
    labels = torch.zeros(count, dtype=torch.int64)
    return torch.cat([x, x.flip(1)]), torch.cat([labels, labels + 1])


def needle_videos(
    count: int, seed: int, *, steps: int = 40, width: int = 8
) -> tuple[Tensor, Tensor, Tensor]:
    """Videos, labels and the one step that decides. Every step has a sign; that of the step with
    the mark is the class, the others are random, so nothing but the mark tells where to look."""
    rng = torch.Generator().manual_seed(seed)
    x = 0.5 * torch.randn(count, steps, width, generator=rng)
    x[:, :, 1] = 2 * torch.randint(2, (count, steps), generator=rng).float() - 1
    labels = torch.randint(2, (count,), generator=rng)
    needle = torch.randint(steps, (count,), generator=rng)
    rows = torch.arange(count)
    x[rows, needle, 0] = 3
    x[rows, needle, 1] = 2 * labels.float() - 1
    return x, labels, needle


def batches(count: int, size: int, seed: int) -> Iterator[Tensor]:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    yield from order.split(size)


def train(
    aggregator: Aggregator, x: Tensor, labels: Tensor, *, epochs: int, rate: float, size: int = 32
) -> None:
    """Adam with clipped gradients, through the same door as a real training."""
    aggregator.train()
    optimizer = torch.optim.Adam(aggregator.parameters(), rate)
    for epoch in range(epochs):
        for rows in batches(len(x), size, epoch):
            optimizer.zero_grad()
            for loss in aggregator.losses(x[rows], labels[rows]):
                loss.backward()
            torch.nn.utils.clip_grad_norm_(aggregator.parameters(), 5.0)
            optimizer.step()
    aggregator.eval()


def accuracy(aggregator: Aggregator, x: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return (aggregator(x).argmax(1) == labels).float().mean().item()


def parameter_count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
