"""VGG-16 against torchvision; VGG-M, CaffeNet and LRCN's network against published counts."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from streams.networks import caffe, vgg
from streams.networks.network import Network
from streams.networks.torchvision_compat import models


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def shapes(net: Network) -> dict[str, tuple[int, ...]]:
    """What each part hands out for one input of the network's own size."""
    x = torch.zeros(1, *net.shape(), device="meta")
    found = {}
    for name, part in net.backbone.named_children():
        x = part(x)
        found[name] = tuple(x.shape[1:])
    return found


@pytest.mark.parametrize("norm", [False, True])
def test_vgg16_is_torchvisions(norm: bool) -> None:
    torch.manual_seed(0)
    with torch.device("meta"):
        net = vgg.build(3, 5, norm=norm)
        other = models.get_model("vgg16_bn" if norm else "vgg16", weights=None, num_classes=5)
    net.to_empty(device="cpu")
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.01, 0.02) if value.ndim == 1 else value.uniform_(-0.03, 0.03)
    ours = net.state_dict()
    theirs = {n: ours[vgg.renamed(n, norm=norm)] for n in other.state_dict()}
    assert set(map(id, theirs.values())) == set(map(id, ours.values()))
    other.load_state_dict(theirs, assign=True)
    picture = torch.rand(1, 3, 96, 96)
    with torch.no_grad():
        wanted = other.eval()(picture)
        assert wanted.std() > 0
        torch.testing.assert_close(net.eval()(picture), wanted)


@pytest.mark.parametrize(
    ("build", "classes", "published"),
    [
        (vgg.build, 1000, 138_357_544),
        (caffe.vgg_m, 1000, 92_469_864),  # its Caffe file has 370 MB
        (caffe.caffenet, 1000, 60_965_224),
    ],
)
def test_the_published_number_of_weights(build, classes: int, published: int) -> None:
    with torch.device("meta"):
        assert count(build(3, classes)) == published


def test_vgg_m_has_the_maps_of_chatfields_table() -> None:
    with torch.device("meta"):
        found = shapes(caffe.vgg_m(3, 101))
    assert found["norm1"] == (96, 109, 109)
    assert found["pool1"] == (96, 54, 54)
    assert found["norm2"] == (256, 26, 26)
    assert found["pool2"] == (256, 13, 13)
    assert found["conv5"] == (512, 13, 13)
    assert found["flatten"] == (18_432,)
    assert (found["fc6"], found["fc7"]) == ((4096,), (2048,))


def test_the_temporal_vgg_m_has_no_second_normalisation_unless_asked() -> None:
    with torch.device("meta"):
        assert "norm2" not in caffe.vgg_m(20, 101).names
        assert "norm2" in caffe.vgg_m(3, 101).names
        assert "norm2" in caffe.vgg_m(20, 101, second_norm=True).names


def test_caffenet_pools_before_it_normalises_and_vgg_m_the_other_way_round() -> None:
    with torch.device("meta"):
        caffenet, vgg_m = caffe.caffenet(3, 2).names, caffe.vgg_m(3, 2).names
    assert caffenet.index("pool1") < caffenet.index("norm1")
    assert vgg_m.index("norm1") < vgg_m.index("pool1")


def test_lrcns_network_ends_in_13_824_numbers_before_fc6() -> None:
    with torch.device("meta"):
        net = caffe.lrcn_caffenet(3, 101)
    widths = [net.backbone.get_submodule(f"conv{n}").out_channels for n in range(1, 6)]  # type: ignore[attr-defined]
    assert widths == [96, 384, 512, 512, 384]
    assert shapes(net)["flatten"] == (13_824,)


def test_caffes_normalisation_is_the_formula_of_the_paper() -> None:
    """b = a / (k + alpha / n * sum of the squares of n neighbours) ** beta."""
    norm = caffe.Norm(5e-4, 2, True).layer()
    x = torch.rand(1, 9, 1, 1) * 50
    squares = x.flatten() ** 2
    for channel in range(9):
        around = squares[max(channel - 2, 0) : channel + 3].sum()
        wanted = x[0, channel] / (2 + 5e-4 / 5 * around) ** 0.75
        torch.testing.assert_close(norm(x)[0, channel], wanted)
