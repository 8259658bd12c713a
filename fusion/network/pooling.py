"""From joined maps of T snapshots to one feature vector."""

from __future__ import annotations

from typing import get_args

from torch import Tensor, nn

from fusion.network.recipe import PoolKind
from storage.errors import UserError


class SnapshotPool(nn.Module):
    """(B, T, C, H, W) -> (B, C).

    2d      the mean over places and snapshots
    3d      the maximum over all snapshots and 2 x 2 places, then the mean
    conv3d  3 x 3 x 3 filters that start by passing their input on, then as 3d
    """

    def __init__(self, kind: str, channels: int) -> None:
        super().__init__()
        if kind not in get_args(PoolKind):
            raise UserError(f"--pool {kind!r} is not one of {', '.join(get_args(PoolKind))}")
        self.kind = kind
        self.filters: nn.Conv3d | None = None
        if kind == "conv3d":
            self.filters = nn.Conv3d(channels, channels, 3, padding=1)
            nn.init.dirac_(self.filters.weight)
            nn.init.zeros_(self.filters.bias)  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        if self.kind == "2d":
            return maps.mean(dim=(1, 3, 4))
        volume = maps.transpose(1, 2)
        if self.filters is not None:
            volume = self.filters(volume)
        # max_pool3d in two steps, for its gradient is not deterministic on a GPU.
        peaks = nn.functional.max_pool2d(volume.amax(dim=2), 2, ceil_mode=True)
        return peaks.mean(dim=(2, 3))


class FusedPool(nn.Module):
    """(B, T, C, H, W) -> (B, 512), as the 3D-fused network of Quo Vadis has it (Carreira and
    Zisserman, CVPR 2017): 3 x 3 x 3 filters, 3 x 3 x 3 maximum.

    With two Inception-v1 of 1024 channels, L = 10 and 400 classes the network has 39,770,384
    numbers; the paper says 39 M. It does not say what stands between the maximum and the
    classifier, nor the steps of the maximum. Only a mean over what is left fits the count. The
    steps here are 2, and a ReLU follows the filters.
    """

    WIDTH = 512

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.filters = nn.Conv3d(channels, self.WIDTH, 3, padding=1)
        nn.init.kaiming_normal_(self.filters.weight, nonlinearity="relu")
        nn.init.zeros_(self.filters.bias)  # type: ignore[arg-type]

    def forward(self, maps: Tensor) -> Tensor:
        volume = self.filters(maps.transpose(1, 2)).relu()
        # max_pool3d in two steps, for its gradient is not deterministic on a GPU.
        places = nn.functional.max_pool2d(volume.flatten(1, 2), 3, 2, 1)
        steps = places.unflatten(1, volume.shape[1:3]).flatten(3)
        peaks = nn.functional.max_pool2d(steps, (3, 1), (2, 1), (1, 0))
        return peaks.mean(dim=(2, 3))
