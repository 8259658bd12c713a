"""Inception-v1, BN-Inception and ResNets against published counts and torchvision."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from storage.errors import UserError
from streams.networks import bn_inception, inception_v1, resnets
from streams.networks.padding import SameConv2d, same_padding
from streams.networks.torchvision_compat import models


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def scattered(net: nn.Module) -> None:
    """Norms as after training: no two alike, so that a wrong place shows."""
    torch.manual_seed(3)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)


@pytest.mark.parametrize(
    ("build", "published"),
    [(inception_v1.build, 12_073_120), (partial(resnets.build, depth=50), 48_708_576)],
)
def test_a_two_stream_network_has_as_many_numbers_as_quo_vadis_says(build, published) -> None:
    with torch.device("meta"):
        assert count(build(3, 400)) + count(build(20, 400)) == published


def test_inception_v1_has_its_published_number_without_the_classifier() -> None:
    with torch.device("meta"):
        assert count(inception_v1.build(3, 400).backbone) == 5_599_904


def test_bn_inception_has_its_published_number() -> None:
    with torch.device("meta"):
        assert count(bn_inception.build(3, 1000)) == 11_295_240


@pytest.mark.parametrize("side", [224, 129])
def test_inception_v1_is_torchvisions_googlenet(side: int) -> None:
    other = models.googlenet(weights=None, init_weights=False, aux_logits=False).eval()
    scattered(other)
    net = inception_v1.build(3, 1000).eval()
    state = {inception_v1.renamed(name): value for name, value in other.state_dict().items()}
    net.load_state_dict(state)
    picture = torch.rand(2, 3, side, side)
    with torch.no_grad():
        torch.testing.assert_close(net(picture), other(picture))


def test_torchvisions_auxiliary_classifiers_have_no_place() -> None:
    assert inception_v1.renamed("aux1.conv.conv.weight") is None
    assert inception_v1.renamed("fc.bias") == "head.bias"


@pytest.mark.parametrize("depth", [18, 50])
def test_resnets_are_torchvisions_under_the_names_of_run_folders(depth: int) -> None:
    other = models.get_model(f"resnet{depth}", weights=None, num_classes=6).eval()
    scattered(other)
    net = resnets.build(3, 6, depth=depth).eval()
    net.load_state_dict({resnets.renamed(n): value for n, value in other.state_dict().items()})
    picture = torch.rand(1, 3, 97, 97)
    with torch.no_grad():
        assert torch.equal(net(picture), other(picture))
    older = {name.replace("fc.", "head."): name for name in other.state_dict()}
    assert set(net.state_dict()) == {
        name if name.startswith("head.") else f"backbone.{name}" for name in older
    }


def test_resnets_have_the_stages_of_the_paper() -> None:
    stages = {s.name: s for s in resnets.build(3, 2, depth=18).stages()}
    assert [stages[f"layer{n}"].width for n in (1, 2, 3, 4)] == [64, 128, 256, 512]
    assert [stages[f"layer{n}"].stride for n in (1, 2, 3, 4)] == [4, 8, 16, 32]
    assert len(resnets.build(3, 2, depth=18).norms) == 20


@pytest.mark.parametrize(
    "build",
    [inception_v1.build, partial(inception_v1.build, padding="same"), bn_inception.build],
)
def test_inceptions_have_maps_of_28_14_and_7_places(build) -> None:
    sizes = {s.size[0]: s.width for s in build(20, 2).stages()}
    assert {28, 14, 7} <= set(sizes)
    assert sizes[7] == 1024


@given(size=st.integers(1, 60), kernel=st.integers(1, 11), stride=st.integers(1, 4))
def test_same_padding_gives_size_over_stride_places_and_no_more_than_needed(
    size: int, kernel: int, stride: int
) -> None:
    before, behind = same_padding(size, kernel, stride)
    places = (size + before + behind - kernel) // stride + 1
    assert places == -(-size // stride)
    assert 0 <= behind - before <= 1
    assert before + behind < kernel


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_same_padding_is_torchs_own_where_torch_has_it() -> None:
    picture = torch.rand(1, 2, 11, 9)
    layer = SameConv2d(2, 3, (4, 5))
    own = nn.functional.conv2d(picture, layer.weight, layer.bias, padding="same")
    torch.testing.assert_close(layer(picture), own)


def test_the_two_paddings_differ_in_answers_and_not_in_names() -> None:
    one, other = inception_v1.build(3, 2), inception_v1.build(3, 2, padding="same")
    other.load_state_dict(one.state_dict())
    picture = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert not torch.allclose(one.eval()(picture), other.eval()(picture), atol=1e-5)


def test_tsn_pytorchs_names_are_found_again_and_its_old_norms_flattened() -> None:
    net = bn_inception.build(20, 5)
    theirs = {
        "base_model.conv1_7x7_s2.weight": (64, 20, 7, 7),
        "base_model.conv2_3x3_reduce_bn.running_mean": (64,),
        "module.base_model.inception_3a_1x1.weight": (64, 192, 1, 1),
        "base_model.inception_4e_double_3x3_1_bn.bias": (256,),
        "base_model.inception_5b_pool_proj.bias": (128,),
        "new_fc.weight": (5, 1024),
    }
    ours = net.state_dict()
    for name, shape in theirs.items():
        assert tuple(ours[bn_inception.renamed(name)].shape) == shape
    old = bn_inception.from_tsn({"base_model.inception_3a_1x1_bn.weight": torch.ones(1, 64)})
    assert old["backbone.inception_3a.1x1_bn.weight"].shape == (64,)


@pytest.mark.filterwarnings("ignore")
def test_bn_inception_is_cadenes_port() -> None:
    port = pytest.importorskip("pretrainedmodels.models.bninception")
    other = port.BNInception(num_classes=9).eval()
    scattered(other)
    net = bn_inception.build(3, 9).eval()
    net.load_state_dict(bn_inception.from_tsn(other.state_dict()))
    picture = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(net(picture), other(picture))


def test_unknown_options_are_refused() -> None:
    with pytest.raises(UserError, match="--depth 20 is not one of 18, 34"):
        resnets.build(3, 2, depth=20)
    with pytest.raises(UserError, match="--extra padding=full is not one of symmetric, same"):
        inception_v1.build(3, 2, padding="full")  # type: ignore[arg-type]
