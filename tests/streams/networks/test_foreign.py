"""Networks of torchvision and timm: what they hand out, and that they answer as over there."""

from __future__ import annotations

import sys

import pytest
import torch

from storage.errors import UserError
from streams.networks import build_network, foreign
from streams.networks.torchvision_compat import models
from streams.training import recipe

CHAINS = ["mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5", "squeezenet1_1"]
HEAVY = ["densenet121", "convnext_tiny", "efficientnet_b0", "regnet_y_400mf", "inception_v3"]


@pytest.mark.parametrize(
    "name", [*CHAINS, *(pytest.param(n, marks=pytest.mark.slow) for n in HEAVY)]
)
def test_a_chain_of_torchvision_is_taken_apart_and_takes_flow(name: str) -> None:
    torch.manual_seed(0)
    net = foreign.build(f"torchvision:{name}", 20, 7, dropout=0.0)
    assert len(net.names) > 5
    side = 96
    scores = net(torch.rand(2, 20, side, side))
    assert scores.shape == (2, 7)
    scores.sum().backward()
    weight = net.get_submodule(net.first).weight
    assert weight.shape[1] == 20
    assert weight.grad.abs().sum() > 0
    net.eval()
    picture = torch.rand(1, 20, side, side)
    with torch.no_grad():
        whole = net.features(picture)
        for part in net.names[::4]:
            middle = net.until(picture, part)
            before = middle.clone()
            torch.testing.assert_close(net.after(middle, part), whole)
            assert torch.equal(middle, before)


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "shufflenet_v2_x0_5"])
def test_with_torchvisions_weights_it_answers_as_torchvisions(name: str) -> None:
    other = models.get_model(name, weights=None, num_classes=5).eval()
    net = foreign.build(f"torchvision:{name}", 3, 5).eval()
    state = net.renamed(other.state_dict())
    assert set(state) == set(net.state_dict())
    net.load_state_dict(state)
    picture = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(net(picture), other(picture))


def test_stages_become_wider_and_smaller() -> None:
    stages = foreign.build("torchvision:mobilenet_v3_small", 3, 2).stages()
    assert (stages[0].width, stages[0].size) == (16, (112, 112))
    assert (stages[-1].width, stages[-1].size) == (576, (7, 7))
    assert [s.size[0] for s in stages] == sorted((s.size[0] for s in stages), reverse=True)


def test_norms_are_found_in_the_order_of_the_input() -> None:
    net = foreign.build("torchvision:mobilenet_v3_small", 3, 2)
    assert len(net.norms) == 34
    assert net.norms[0] is net.backbone.get_submodule("features_0.1")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vit_b_16", "swin_t", "maxvit_t"])
def test_what_is_no_chain_is_left_whole_and_takes_flow(name: str) -> None:
    net = foreign.build(f"torchvision:{name}", 20, 7).eval()
    assert net.names == ("model",)
    with torch.no_grad():
        assert net(torch.rand(1, 20, 224, 224)).shape == (1, 7)
    if net.fixed_size:
        with pytest.raises(UserError, match="--size"):
            net(torch.rand(1, 20, 192, 192))


def test_a_network_has_the_size_of_its_librarys_weights() -> None:
    """Unless told otherwise, by Python and by the recipes alike."""
    sizes = {"inception_v3": 299, "efficientnet_b1": 240, "swin_v2_t": 256, "resnet18": 224}
    for name, size in sizes.items():
        assert recipe("modern", "spatial", f"torchvision:{name}").crop.size == size
    with torch.device("meta"):
        assert build_network("torchvision:inception_v3").size == 299
        assert build_network("torchvision:vit_b_16").shape() == (3, 224, 224)
        assert build_network("torchvision:inception_v3", size=160).size == 160


def test_timms_networks_have_the_sizes_of_timms_weights() -> None:
    pytest.importorskip("timm")
    assert recipe("modern", "spatial", "timm:vit_base_patch16_384").crop.size == 384


def test_names_that_are_none_are_refused_with_those_near_them() -> None:
    with pytest.raises(UserError, match=r"no classifier 'convnext_tinny'.*convnext_tiny"):
        foreign.build("torchvision:convnext_tinny", 3, 2)
    with pytest.raises(UserError, match="torchvision:NAME or timm:NAME"):
        foreign.build("keras:resnet50", 3, 2)
    with pytest.raises(UserError, match="no classifier 'r3d_18'"):
        foreign.build("torchvision:r3d_18", 3, 2)


def test_without_timm_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match=r"pip install 'twostream\[timm\]'"):
        foreign.build("timm:resnet18", 3, 2)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "vit_tiny_patch16_224"])
def test_timms_networks_take_flow_and_answer_as_timms(name: str) -> None:
    timm = pytest.importorskip("timm")
    net = foreign.build(f"timm:{name}", 20, 7).eval()
    with torch.no_grad():
        assert net(torch.rand(1, 20, net.size, net.size)).shape == (1, 7)
    other = timm.create_model(name, pretrained=False, num_classes=7).eval()
    net = foreign.build(f"timm:{name}", 3, 7).eval()
    net.load_state_dict(net.renamed(other.state_dict()), strict=False)
    net.head.load_state_dict(other.get_classifier().state_dict())
    picture = torch.rand(1, 3, net.size, net.size)
    with torch.no_grad():
        torch.testing.assert_close(net(picture), other(picture))
