"""The layers of a fused network by hand: joins, sketch, pooling."""

from __future__ import annotations

import torch
from torch import nn

from fusion.network.joins import BilinearJoin, ConvJoin, SumJoin, make_join
from fusion.network.pooling import FusedPool, SnapshotPool


def test_simple_joins_by_hand() -> None:
    a, b = torch.tensor([1.0, -2.0, 3.0]), torch.tensor([2.0, 2.0, -1.0])
    a, b = a.view(1, 3, 1, 1), b.view(1, 3, 1, 1)
    expected = {"sum": [3, 0, 2], "max": [2, 2, 3], "multiply": [3, -6, 0]}
    expected["concat"] = [1, -2, 3, 2, 2, -1]
    for kind, values in expected.items():
        assert make_join(kind, 3, 3)(a, b).flatten().tolist() == values
    halved = SumJoin(3, 3)
    halved.scale.fill_(0.5)
    assert halved(a, b).flatten().tolist() == [2, -1, 2.5]
    turned = ConvJoin(3, 3)
    turned.turn(2 * torch.eye(3))
    assert turned(a, b).flatten().tolist() == [5, 2, 1]


def test_the_sketch_keeps_inner_products_of_outer_products() -> None:
    """<a b^T, c d^T> = <a, c><b, d>; the sketches' spectra must give it back, on average."""
    torch.manual_seed(0)
    join = BilinearJoin(8, 6, length=4096, onward=False)

    def sketch(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        one, two = join.spectrum(x, "spatial"), join.spectrum(y, "temporal")
        return torch.fft.irfft(one * two, n=join.length, dim=1).flatten(1)

    x, y = torch.rand(40, 8, 1, 1), torch.rand(40, 6, 1, 1)
    found = sketch(x, y) @ sketch(x, y).T
    x, y = x.flatten(1), y.flatten(1)
    truth = (x @ x.T) * (y @ y.T)
    assert float((found - truth).abs().mean() / truth.mean()) < 0.05


def test_pooling_by_hand() -> None:
    maps = torch.arange(2 * 3 * 1 * 2 * 2, dtype=torch.float32).view(2, 3, 1, 2, 2)
    assert SnapshotPool("2d", 1)(maps).flatten().tolist() == [5.5, 17.5]
    assert SnapshotPool("3d", 1)(maps).flatten().tolist() == [11, 23]
    assert SnapshotPool("conv3d", 1)(maps).flatten().tolist() == [11, 23]
    odd = torch.rand(1, 2, 4, 3, 5)
    assert SnapshotPool("3d", 4)(odd).shape == (1, 4)


def test_3d_fused_pools_as_torch_does() -> None:
    torch.manual_seed(0)
    pool, maps = FusedPool(4), torch.randn(2, 5, 4, 7, 7)
    volume = pool.filters(maps.transpose(1, 2)).relu()
    wanted = nn.functional.max_pool3d(volume, 3, 2, 1).mean(dim=(2, 3, 4))
    torch.testing.assert_close(pool(maps), wanted)
