"""How two feature maps become one: the layers that join the towers.

Each takes the spatial map (N, A, H, W) and the temporal map (N, B, H, W) of the same stage, the
temporal one rescaled first (its activations are about three times smaller), and gives
(N, out, H, W). Where the widths differ, a 1 x 1 projection brings the temporal map to A channels.

A join may have a hidden layer beside it: 3 x 3 filters over both maps and a ReLU. Without it `sum`,
`concat` and `conv` are linear in both maps.
"""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor, nn

from fusion.network.recipe import JoinKind
from storage.errors import UserError


class HiddenLayer(nn.Module):
    """Both maps -> 3 x 3 filters, ReLU -> `out` channels. It starts at 0, and so changes nothing.

    A filter that answers where both maps do, relu(a + b - 1), is all that binding needs.
    """

    def __init__(self, given: int, width: int, out: int) -> None:
        super().__init__()
        self.filters = nn.Conv2d(given, width, 3, padding=1)
        nn.init.kaiming_normal_(self.filters.weight, nonlinearity="relu")
        self.onward = nn.Conv2d(width, out, 1)
        for parameter in self.onward.parameters():
            nn.init.zeros_(parameter)

    def forward(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        hidden = self.filters(torch.cat([spatial, temporal], dim=1)).relu()
        added: Tensor = self.onward(hidden)
        return added


class Join(nn.Module):
    """What all joins share: the scale of the temporal map, its projection, the hidden layer."""

    scale: Tensor

    def __init__(self, spatial: int, temporal: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(()))
        self.out = spatial
        self.hidden: HiddenLayer | None = None
        self.project: nn.Module = nn.Identity()
        if spatial != temporal:
            projection = nn.Conv2d(temporal, spatial, 1, bias=False)
            nn.init.orthogonal_(projection.weight)
            self.project = projection

    def fitted(self, temporal: Tensor) -> Tensor:
        """The temporal map in the range and width of the spatial one."""
        fitted: Tensor = self.project(temporal) * self.scale
        return fitted

    def combine(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        """The join itself, without its hidden layer."""
        raise NotImplementedError

    def forward(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        joined = self.combine(spatial, temporal)
        if self.hidden is None:
            return joined
        return joined + self.hidden(spatial, temporal * self.scale)


class SumJoin(Join):
    def combine(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        return spatial + self.fitted(temporal)


class MaxJoin(Join):
    def combine(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        return torch.maximum(spatial, self.fitted(temporal))


class MultiplyJoin(Join):
    """Residual gating, as in the multiplier networks: motion decides which appearance passes."""

    def combine(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        return spatial + spatial * self.fitted(temporal)


class ConcatJoin(Join):
    """Both maps, one behind the other; what follows is widened."""

    def __init__(self, spatial: int, temporal: int) -> None:
        super().__init__(spatial, spatial)  # nothing needs projecting
        self.out = spatial + temporal

    def combine(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        return torch.cat([spatial, temporal * self.scale], dim=1)


class ConvJoin(Join):
    """1 x 1 filters over both maps, which start by adding the towers."""

    def __init__(self, spatial: int, temporal: int) -> None:
        super().__init__(spatial, temporal)
        self.filters = nn.Conv2d(2 * spatial, spatial, 1)
        with torch.no_grad():
            self.filters.weight.zero_()
            self.filters.bias.zero_()  # type: ignore[union-attr]
        self.turn(torch.eye(spatial))

    @torch.no_grad()
    def turn(self, matrix: Tensor) -> None:
        """Start as spatial + matrix (A, A) @ temporal, the temporal map being fitted first."""
        width = self.out
        self.filters.weight[:, :width, 0, 0] = torch.eye(width)
        self.filters.weight[:, width:, 0, 0] = matrix

    def combine(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        joined: Tensor = self.filters(torch.cat([spatial, self.fitted(temporal)], dim=1))
        return joined


class BilinearJoin(Join):
    """All products of a spatial and a temporal channel at a place, in a sketch of fixed length.

    The product of two count sketches' spectra is the spectrum of a sketch of the outer product
    (Pham and Pagh 2013, Gao et al. 2016): `length` numbers instead of A x B. Straight before the
    pooling, the signed root is taken of what is pooled (`signed_root`), as there. Before a further
    stage it is taken at each place, and filters add the sketch to the spatial map. They start so
    small that the stage sees what it was trained on; at zero they would let no gradient through to
    the temporal tower.
    """

    def __init__(
        self, spatial: int, temporal: int, *, length: int, onward: bool, root: bool = True
    ) -> None:
        super().__init__(spatial, spatial)
        self.length, self.root = length, root or onward
        # Which sketch entry a channel goes to, and with which sign, is drawn once and for all.
        draw = torch.Generator().manual_seed(1)
        for name, width in (("spatial", spatial), ("temporal", temporal)):
            entry = torch.randint(length, (width,), generator=draw)
            sign = torch.randint(2, (width,), generator=draw) * 2.0 - 1
            self.register_buffer(f"{name}_entry", entry)
            self.register_buffer(f"{name}_sign", sign)
        self.back: nn.Conv2d | None = None
        self.out = length
        if onward:
            self.out = spatial
            self.back = nn.Conv2d(length, spatial, 1, bias=False)
            nn.init.normal_(self.back.weight, std=0.1 / length**0.5)

    def spectrum(self, features: Tensor, name: str) -> Tensor:
        entry, sign = getattr(self, f"{name}_entry"), getattr(self, f"{name}_sign")
        n, _, h, w = features.shape
        sketch = features.new_zeros((n, self.length, h, w))
        sketch = sketch.index_add(1, entry, features * sign.view(1, -1, 1, 1))
        spectrum: Tensor = torch.fft.rfft(sketch, dim=1)
        return spectrum

    def combine(self, spatial: Tensor, temporal: Tensor) -> Tensor:
        with torch.autocast(spatial.device.type, enabled=False):  # FFTs know no half precision
            a = self.spectrum(spatial.float(), "spatial")
            b = self.spectrum(temporal.float() * self.scale, "temporal")
            sketch = torch.fft.irfft(a * b, n=self.length, dim=1)
            if self.root:
                sketch = signed_root(sketch)
        return sketch if self.back is None else spatial + self.back(sketch)


def signed_root(sketch: Tensor) -> Tensor:
    """(N, length, ...) -> its signed square roots, scaled to a mean square of 1."""
    # The root's slope is endless at 0; a small offset keeps the gradient finite.
    rooted = sketch.sign() * ((sketch.abs() + 1e-3).sqrt() - 1e-3**0.5)
    return rooted * (rooted.square().mean(dim=1, keepdim=True) + 1e-6).rsqrt()


SIMPLE: dict[str, type[Join]] = {
    "sum": SumJoin,
    "max": MaxJoin,
    "concat": ConcatJoin,
    "conv": ConvJoin,
    "multiply": MultiplyJoin,
    "3d-fused": ConcatJoin,
}


def make_join(
    kind: str,
    spatial: int,
    temporal: int,
    *,
    sketch: int = 2048,
    onward: bool = False,
    hidden: int = 0,
    root: bool = True,
) -> Join:
    """A join of two widths; `onward` where a stage of the network follows it."""
    if kind == "bilinear":
        join: Join = BilinearJoin(spatial, temporal, length=sketch, onward=onward, root=root)
    elif kind in SIMPLE:
        join = SIMPLE[kind](spatial, temporal)
    else:
        raise UserError(f"--join {kind!r} is not one of {', '.join(get_args(JoinKind))}")
    if hidden:
        join.hidden = HiddenLayer(spatial + temporal, hidden, join.out)
    return join
