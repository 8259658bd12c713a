"""What makes the filters of a part answer most strongly, as in Zeiler and Fergus's figure and in
C3D's: the snapshots with the highest activation of a filter, and their deconvnet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from storage.errors import UserError
from streams.explanation.gradients import deconvolved
from streams.explanation.snapshots import Snapshot
from streams.networks import Network

LITTLE = 1e-3
"""Share of the largest value below which a picture of deconvnet counts as empty."""


@dataclass(frozen=True)
class Strongest:
    """One of the strongest activations of one filter."""

    filter: int
    snapshot: int
    """Which of the snapshots."""
    activation: float
    place: tuple[int, ...]
    """(t,) y, x in the map."""
    box: tuple[int, int, int, int]
    """Top, left, bottom, right in the input of what it saw: a square where the input has room."""
    picture: NDArray[np.float32]
    """(T, c, S, S): deconvnet of the whole input; empty outside of the box."""


def conv_parts(network: Network, x: Tensor, most: int = 4) -> list[str]:
    """Parts whose filters are worth a look: maps behind ReLUs or blocks, spread over the depth."""
    convolved, maps = False, []
    for stage in network.stages(x):
        inside = list(network.part(stage.name).modules())
        convolved |= any(isinstance(m, nn.Conv2d | nn.Conv3d) for m in inside)
        active = any(isinstance(m, nn.ReLU) for m in inside)
        if convolved and active:
            maps.append(stage.name)
            convolved = False
    if len(maps) <= most:
        return maps
    return [maps[round(i * (len(maps) - 1) / (most - 1))] for i in range(most)]


def strongest_activations(
    network: Network,
    snapshots: Sequence[Snapshot],
    parts: Sequence[str],
    *,
    filters: int = 8,
    best: int = 4,
) -> dict[str, list[list[Strongest]]]:
    """Part -> of its filters that answer most strongly, each with its `best` snapshots.

    A snapshot counts once a filter, at the place of its highest activation. Filters that are 0
    everywhere are left out.
    """
    found: dict[str, list[list[Strongest]]] = {}
    for at, (strength, place) in peaks_behind(network, snapshots, parts).items():
        order = np.argsort(-strength.max(0), kind="stable")
        chosen = [int(k) for k in order[:filters] if strength[:, k].max() > 0]
        found[at] = []
        for k in chosen:
            rows = np.argsort(-strength[:, k], kind="stable")[:best]
            found[at].append([
                one_activation(network, snapshots, int(row), at, k, float(strength[row, k]),
                               tuple(int(i) for i in place[row, k]))
                for row in rows if strength[row, k] > 0
            ])  # fmt: skip
    return found


Peaks = tuple[NDArray[np.float32], NDArray[np.int64]]
"""Highest activations (snapshots, K), and their places in the map (snapshots, K, 2 or 3)."""


@torch.no_grad()
def peaks_behind(
    network: Network, snapshots: Sequence[Snapshot], parts: Sequence[str]
) -> dict[str, Peaks]:
    """Of every filter behind some parts; each snapshot goes through the network once."""
    for at in parts:
        network.part(at)
    wanted = [name for name in network.names if name in parts]
    peaks: dict[str, list[tuple[NDArray[np.float32], NDArray[np.int64]]]] = {n: [] for n in wanted}
    for snapshot in snapshots:
        behind = snapshot.x
        for name, part in network.backbone.named_children():
            behind = part(behind)
            if name in peaks:
                if behind.ndim < 4:
                    raise UserError(
                        f"behind --parts {name} stand {tuple(behind.shape[1:])}; that is no map"
                    )
                maps = behind[0].float()
                peak, where = maps.flatten(1).max(1)
                place = np.stack(np.unravel_index(where.cpu().numpy(), maps.shape[1:]), 1)
                peaks[name].append((peak.cpu().numpy(), place))
            if name == wanted[-1]:
                break
    return {
        name: (np.stack([s for s, _ in each]), np.stack([p for _, p in each]))
        for name, each in peaks.items()
    }


def one_activation(
    network: Network,
    snapshots: Sequence[Snapshot],
    row: int,
    at: str,
    k: int,
    activation: float,
    place: tuple[int, ...],
) -> Strongest:
    snapshot = snapshots[row]
    gradient = deconvolved(network, snapshot.x, at, (k, *place))
    steps = as_steps(gradient, snapshot)
    return Strongest(k, row, activation, place, seen_box(steps), steps)


def as_steps(x: Tensor, snapshot: Snapshot) -> NDArray[np.float32]:
    """What has the shape of a snapshot's x, (1, C, S, S) or (1, c, T, S, S), as (T, c, S, S)."""
    channels = snapshot.pictures.shape[1]
    steps = x[0].unflatten(0, (-1, channels)) if x.ndim == 4 else x[0].transpose(0, 1)
    return np.asarray(steps.float().cpu().numpy(), np.float32)


def seen_box(steps: NDArray[np.float32]) -> tuple[int, int, int, int]:
    """The square around what is not empty in (T, c, S, S), moved inwards where it stands out."""
    strength = np.abs(steps).max((0, 1))
    height, width = strength.shape
    ys, xs = np.nonzero(strength > LITTLE * strength.max(initial=0))
    if not len(ys):
        return 0, 0, height, width
    side = min(max(np.ptp(ys), np.ptp(xs)) + 1, height, width)
    top = int(np.clip((ys.min() + ys.max() + 1 - side) // 2, 0, height - side))
    left = int(np.clip((xs.min() + xs.max() + 1 - side) // 2, 0, width - side))
    return top, left, top + int(side), left + int(side)
