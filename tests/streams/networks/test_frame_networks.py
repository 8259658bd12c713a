"""What every frame network promises, whatever it is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch

from storage.errors import UserError
from streams.networks import (
    attention,
    bn_inception,
    build_entry,
    caffe,
    entry_of,
    inception_v1,
    resnets,
    vgg,
)
from streams.networks.network import Network

CONVOLUTIONAL: dict[str, tuple[Callable[..., Network], int]] = {
    # Builder; an odd side on which it is tried.
    "resnet18": (partial(resnets.build, depth=18), 45),
    "inception-v1": (inception_v1.build, 45),
    "inception-v1 same": (partial(inception_v1.build, padding="same"), 45),
    "bn-inception": (bn_inception.build, 45),
    "attention56": (attention.build, 45),
    "attention56 small": (partial(attention.build, small=True), 17),
}
FIXED: dict[str, Callable[..., Network]] = {
    "vgg-m": caffe.vgg_m,
    "caffenet": caffe.caffenet,
    "lrcn": caffe.lrcn_caffenet,
}


def on_paper(build: Callable[..., Network], *args: int) -> Network:
    """Shapes without numbers."""
    with torch.device("meta"):
        return build(*args)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_a_flow_stack_of_any_size_gives_scores_and_reaches_every_channel_of_the_first_layer(
    name: str,
) -> None:
    torch.manual_seed(0)
    build, side = CONVOLUTIONAL[name]
    net = build(20, 7, dropout=0.0)
    scores = net(torch.rand(2, 20, side, side + 4))
    assert scores.shape == (2, 7)
    scores[:, 0].sum().backward()
    weight = net.get_submodule(net.first).weight
    assert weight.shape[1] == 20
    assert weight.grad.abs().sum(dim=(0, 2, 3)).min() > 0


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_going_until_a_part_and_on_from_it_is_the_whole_way(name: str) -> None:
    torch.manual_seed(0)
    build, side = CONVOLUTIONAL[name]
    net = build(3, 2).eval()
    picture = torch.rand(1, 3, side, side)
    with torch.no_grad():
        whole = net.features(picture)
        for part in [*net.names[:4], *net.names[4::4]]:
            middle = net.until(picture, part)
            before = middle.clone()
            torch.testing.assert_close(net.after(middle, part), whole)
            assert torch.equal(middle, before), f"the map behind {part} was written over"


@pytest.mark.parametrize("name", [*CONVOLUTIONAL, *FIXED])
def test_other_channels_are_refused(name: str) -> None:
    build = FIXED[name] if name in FIXED else CONVOLUTIONAL[name][0]
    net = on_paper(build, 20, 2)
    with pytest.raises(UserError, match="this network takes"):
        net(torch.zeros(1, 3, net.size, net.size))


@pytest.mark.parametrize("name", FIXED)
def test_a_fixed_classifier_refuses_another_size(name: str) -> None:
    net = on_paper(FIXED[name], 3, 2)
    with pytest.raises(UserError, match="--size"):
        net(torch.zeros(1, 3, 223, 223))


@pytest.mark.parametrize("name", [n for n in CONVOLUTIONAL if "resnet" not in n])
def test_the_smallest_size_gives_scores_and_one_pixel_less_a_refusal(name: str) -> None:
    net = CONVOLUTIONAL[name][0](3, 2).eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 3, net.smallest, net.smallest)).isfinite().all()
    if net.smallest > 1:
        with pytest.raises(UserError, match=rf"{net.smallest} pixels and more.*--size"):
            net(torch.zeros(1, 3, net.smallest - 1, 64))


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("resnet18", {"depth": 34}, "the one with depth=18, and --extra depth=34 makes it another"),
        ("attention56", {"depth": 92}, "change --network"),
        ("c3d", {"frames": 32}, "frames of c3d is what --length says"),
        ("vgg-m", {"size": 112}, "--size"),
    ],
)
def test_what_a_name_or_an_option_decides_is_decided(
    network: str, options: dict[str, int], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        build_entry(entry_of(network), network, 3, 16, 4, None, dict(options))


def test_vgg_refuses_what_its_poolings_leave_nothing_of() -> None:
    net = on_paper(vgg.build, 3, 2)
    with pytest.raises(UserError, match="32 pixels and more"):
        net(torch.zeros(1, 3, 31, 31))


@pytest.mark.parametrize("name", [*CONVOLUTIONAL, *FIXED])
def test_parts_are_there_once_and_the_last_hands_out_the_heads_features(name: str) -> None:
    build = FIXED[name] if name in FIXED else CONVOLUTIONAL[name][0]
    net = on_paper(build, 3, 2)
    features = net.backbone(torch.zeros(1, 3, net.size, net.size, device="meta"))
    assert features.shape == (1, net.head.in_features)
    assert net.first == f"backbone.{net.names[0]}" or net.first.startswith("backbone.conv1")
