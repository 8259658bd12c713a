"""Residual attention: the mask only adds to the trunk, and the counts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks import attention


class Constant(nn.Module):
    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor) -> Tensor:
        return torch.full_like(x, self.value)


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_mask_of_zero_leaves_the_trunk_and_of_one_doubles_it(depth: int) -> None:
    module = attention.Attention(16, depth, "sigmoid").eval()
    x = torch.rand(2, 16, 17, 15)
    with torch.no_grad():
        trunk = module.trunk(module.first(x))
        module.mask = nn.Sequential(Constant(0.0))
        assert torch.equal(module(x), module.last(trunk))
        module.mask = nn.Sequential(Constant(1.0))
        assert torch.equal(module(x), module.last(2 * trunk))


def test_the_mask_lies_between_0_and_1_and_with_tanh_between_minus_1_and_1() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 16, 16, 16)
    sigmoid = attention.Attention(16, 2, "sigmoid").mask(x)
    tanh = attention.Attention(16, 2, "tanh").mask(x)
    assert sigmoid.shape == x.shape
    assert 0 <= sigmoid.min() < sigmoid.max() <= 1
    assert -1 <= tanh.min() < 0 < tanh.max() <= 1


def test_56_and_92_layers_lie_on_the_trunk() -> None:
    for depth in (56, 92):
        with torch.device("meta"):
            net = attention.build(3, 1000, depth=depth)
        layers = [
            name
            for name, module in net.named_modules()
            if isinstance(module, nn.Conv2d | nn.Linear)
            and ".mask." not in name
            and "shortcut" not in name
        ]
        assert len(layers) == depth


def test_the_counts_are_those_of_the_authors_files() -> None:
    with torch.device("meta"):
        small, large = (attention.build(3, 1000, depth=d) for d in (56, 92))
    statistics = sum(b.numel() for n, b in small.named_buffers() if "running" in n)
    assert count(small) == 31_810_728
    assert round((count(small) + statistics) / 1e6, 1) == 31.9
    assert count(large) == 52_466_344
    unit = count(attention.ResidualUnit(1024, 1024))
    assert round((count(large) - unit) / 1e6, 1) == 51.3


def test_the_modules_stand_on_maps_of_56_28_and_14_places() -> None:
    stages = {s.name: s for s in attention.build(20, 2).stages()}
    for name, width, side in (("A_1", 256, 56), ("B_1", 512, 28), ("C_1", 1024, 14)):
        assert (stages[f"Attention{name}"].width, stages[f"Attention{name}"].size) == (
            width,
            (side, side),
        )


def test_small_pictures_keep_their_size_until_the_second_stage() -> None:
    stages = {s.name: s for s in attention.build(3, 10, small=True).stages()}
    assert stages["AttentionA_1"].size == (32, 32)
    assert stages["AttentionC_1"].size == (8, 8)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(UserError, match="--depth 50 is not one of 56, 92"):
        attention.build(3, 2, depth=50)
    with pytest.raises(UserError, match="--extra gate=relu"):
        attention.build(3, 2, gate="relu")  # type: ignore[arg-type]
