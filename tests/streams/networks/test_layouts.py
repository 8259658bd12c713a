"""State dicts of other projects fill our networks, and the networks then answer as theirs."""

from __future__ import annotations

import re

import pytest
import torch
from i3d_names import to_pytorch_i3d
from torch import Tensor, nn

from storage.errors import UserError
from streams.inputs import RGB
from streams.networks import bn_inception
from streams.networks.build import build_network
from streams.networks.initial import randomise
from streams.networks.layouts import LAYOUTS, in_our_names, layout_of
from streams.networks.network import Network
from streams.networks.torchvision_compat import models
from streams.networks.weights import Misfit, fill

State = dict[str, Tensor]


def shaken(net: nn.Module) -> nn.Module:
    """With batch norms that do something, and in the mode for testing."""
    torch.manual_seed(1)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            module.running_mean.normal_(0, 0.1)  # type: ignore[union-attr, operator]
            module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr, operator]
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
    return net.eval()


def filled(
    name: str, state: State, classes: int = 5, channels: str = "rgb", **more: int
) -> Network:
    net = build_network(name, channels, classes, **more)  # type: ignore[arg-type]
    assert fill(net, state, "theirs", whole=True) == "all layers"
    return net.eval()


def same_answer(ours: nn.Module, theirs: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("resnet18", "resnet18"),
        ("resnet50", "resnet50"),
        pytest.param("vgg16", "vgg16", marks=pytest.mark.slow),
        pytest.param("vgg16-bn", "vgg16_bn", marks=pytest.mark.slow),
        ("torchvision:mobilenet_v3_small", "mobilenet_v3_small"),
        ("torchvision:densenet121", "densenet121"),
    ],
)
def test_torchvisions_picture_networks_answer_as_there(name: str, theirs: str) -> None:
    other = shaken(models.get_model(theirs, weights=None, num_classes=5))
    assert layout_of(other.state_dict()) == "torchvision"
    same_answer(filled(name, other.state_dict()), other, torch.rand(1, 3, 64, 64))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "theirs", "frames"),
    [("r3d18", "r3d_18", 4), ("mc3-18", "mc3_18", 4), ("s3d", "s3d", 16)],
)
def test_torchvisions_video_networks_answer_as_there(name: str, theirs: str, frames: int) -> None:
    other = shaken(models.get_model(theirs, weights=None, num_classes=5))
    side = 224 if name == "s3d" else 32  # S3D's last pool there takes 7 x 7 places
    same_answer(filled(name, other.state_dict()), other, torch.rand(1, 3, frames, side, side))


def test_a_classifier_that_is_a_convolution_becomes_rows() -> None:
    """SqueezeNet classifies places and then averages, here the other way round (see foreign.py)."""
    other = models.squeezenet1_1(weights=None, num_classes=5)
    net = filled("torchvision:squeezenet1_1", other.state_dict())
    assert torch.equal(net.head.weight, other.classifier[1].weight.flatten(1))


def test_googlenet_is_fed_from_minus_one_to_one() -> None:
    """`transform_input` brings ImageNet's units to -1 ... 1. It cannot be folded into the first
    layer, whose zeros around the picture would then stand for another colour; so the input's own
    units are changed, and the answer is the same."""
    other = models.googlenet(weights=None, init_weights=False, num_classes=5, transform_input=True)
    randomise(other)  # without it the layers hardly pass anything on
    net = filled("inception-v1", shaken(other).state_dict())
    picture = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        theirs = other(RGB().normalise(picture))
        ours = net(RGB(span="symmetric").normalise(picture))
        apart = net(RGB().normalise(picture))
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    assert (apart - theirs).abs().max() > 1e-2, "the units matter"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_single(dtype: torch.dtype) -> None:
    state = models.resnet18(weights=None, num_classes=5).to(dtype).state_dict()
    net = filled("resnet18", state)
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert torch.equal(net.head.weight, state["fc.weight"].float())


@pytest.mark.parametrize("before", ["", "network.", "module.", "module.network."])
def test_ours_come_back_under_every_prefix(before: str) -> None:
    torch.manual_seed(0)
    net = build_network("resnet18", "flow", 5, length=2)
    state = {before + name: value for name, value in net.state_dict().items()}
    if "network." in before:
        state[before.replace("network.", "") + "consensus.weights"] = torch.zeros(3)
    assert layout_of(state) == "ours"
    other = filled("resnet18", state, channels="flow", length=2)
    assert all(torch.equal(other.state_dict()[n], v) for n, v in net.state_dict().items())


def test_inception_v1_of_ours_is_not_taken_for_mmaction2s() -> None:
    assert layout_of(build_network("inception-v1").state_dict()) == "ours"


def test_pytorch_i3d_in_half_precision() -> None:
    torch.manual_seed(0)
    net = build_network("i3d", "flow", 5).half()
    theirs = to_pytorch_i3d(net.state_dict())
    assert layout_of(theirs) == "pytorch-i3d"
    other = filled("i3d", theirs, channels="flow")
    assert all(torch.equal(other.state_dict()[n], v.float()) for n, v in net.state_dict().items())


def tsn_resnet(inner: nn.Module) -> State:
    """A checkpoint of tsn-pytorch: the classifier beside the network, all behind `module`."""
    state = {}
    for name, value in inner.state_dict().items():
        own = name.replace("fc.", "new_fc.") if name.startswith("fc.") else f"base_model.{name}"
        state[f"module.{own}"] = value
    return state


def test_tsn_pytorchs_resnet_on_flow_answers_as_there() -> None:
    other = models.resnet18(weights=None, num_classes=5)
    other.conv1 = nn.Conv2d(10, 64, 7, 2, 3, bias=False)
    state = tsn_resnet(shaken(other))
    assert layout_of(state) == "tsn-pytorch"
    net = filled("resnet18", state, channels="flow", length=5)
    same_answer(net, other, torch.rand(1, 10, 64, 64))


@pytest.mark.parametrize("old", [False, True])
def test_tsn_pytorchs_bn_inception(old: bool) -> None:
    """Its names have no point within a block; its oldest files keep norms as (1, C)."""
    net = shaken(bn_inception.build(10, 5))
    state = {}
    for name, value in net.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        theirs = re.sub(r"^backbone\.(inception_..)\.", r"\1_", name).removeprefix("backbone.")
        before = "new_fc." if theirs.startswith("head.") else "base_model."
        norm = old and "_bn." in theirs
        state[before + theirs.removeprefix("head.")] = value[None] if norm else value
    assert "base_model.inception_3a_1x1_bn.bias" in state
    assert layout_of(state) == "tsn-pytorch"
    other = filled("bn-inception", state, channels="flow", length=5)
    same_answer(other, net, torch.rand(1, 10, 64, 64))


def mmaction2(state: State) -> State:
    """ResNet's tensors under the names of mmaction2: each layer a pair of `conv` and `bn`."""
    found = {}
    for name, value in state.items():
        theirs = re.sub(r"\bconv(\d)\.", r"conv\1.conv.", name)
        theirs = re.sub(r"\bbn(\d)\.", r"conv\1.bn.", theirs)
        theirs = theirs.replace("downsample.0.", "downsample.conv.")
        theirs = theirs.replace("downsample.1.", "downsample.bn.")
        head = theirs.startswith("fc.")
        found[f"cls_head.fc_cls.{theirs[3:]}" if head else f"backbone.{theirs}"] = value
    return {**found, "data_preprocessor.mean": torch.zeros(3, 1, 1)}


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_mmaction2s_tsn_answers_as_torchvisions_network(name: str) -> None:
    other = shaken(models.get_model(name, weights=None, num_classes=5))
    state = mmaction2(other.state_dict())
    assert "backbone.layer1.0.conv1.conv.weight" in state
    assert "cls_head.fc_cls.weight" in state
    assert layout_of(state) == "mmaction2"
    same_answer(filled(name, state), other, torch.rand(1, 3, 64, 64))


def test_mmaction2s_i3d_fills_every_tensor() -> None:
    net = build_network("i3d-resnet50", "rgb", 5)
    flat = {
        n.removeprefix("backbone.").replace("head.", "fc."): v for n, v in net.state_dict().items()
    }
    state = mmaction2(flat)
    assert state["backbone.conv1.conv.weight"].shape == (64, 3, 5, 7, 7)
    assert state["backbone.layer1.0.conv1.conv.weight"].shape == (64, 64, 3, 1, 1)
    assert state["backbone.layer2.1.conv1.conv.weight"].shape == (128, 512, 1, 1, 1)
    other = filled("i3d-resnet50", state)
    assert all(torch.equal(other.state_dict()[n], v) for n, v in net.state_dict().items())


def test_what_does_not_fit_is_named_layer_by_layer() -> None:
    state = models.resnet34(weights=None, num_classes=5).state_dict()
    del state["layer1.0.bn1.bias"], state["layer4.0.conv1.weight"]
    state["layer2.0.conv1.weight"] = torch.zeros(1, 2, 3, 3)
    state["layer5.weight"] = torch.zeros(1)
    with pytest.raises(Misfit) as caught:
        fill(build_network("resnet34", classes=5), state, "theirs")
    error = caught.value
    assert error.absent == ["backbone.layer1.0.bn1.bias", "backbone.layer4.0.conv1.weight"]
    assert error.left_over == ["backbone.layer5.weight"]
    assert list(error.reshaped) == ["backbone.layer2.0.conv1.weight"]
    assert str(error) == (
        "theirs has no layer1.0.bn1.bias, layer4.0.conv1.weight; holds layer5.weight, which this "
        "network does not have; layer2.0.conv1.weight has shape (1, 2, 3, 3), this network needs "
        "(128, 64, 3, 3): it is of another network; check --network and --depth"
    )


@pytest.mark.parametrize(
    "name", ["karpathy-late", "s3d", "bn-inception", "torchvision:squeezenet1_1"]
)
def test_weights_of_another_network_say_how_much_does_not_fit(name: str) -> None:
    state = models.mobilenet_v3_small(weights=None).state_dict()
    net = build_network(name, classes=5)
    with pytest.raises(Misfit, match=r"and \d+ more.*which this network does not have") as caught:
        fill(net, state, "theirs")
    lacks = {n for n in net.state_dict() if n.startswith("backbone.")} - set(
        in_our_names(state, net)
    )
    lacks = {name for name in lacks if not name.endswith("num_batches_tracked")}
    assert set(caught.value.absent) == lacks


def test_a_classifier_of_other_classes_starts_anew_unless_all_must_fit() -> None:
    state = models.resnet18(weights=None, num_classes=7).state_dict()
    assert fill(build_network("resnet18", classes=5), state, "theirs") == "new classifier"
    with pytest.raises(Misfit, match=r"head.weight has shape \(7, 512\), this network needs \(5"):
        fill(build_network("resnet18", classes=5), state, "theirs", whole=True)
    with pytest.raises(UserError, match=r"conv1.weight has shape \(64, 3, 7, 7\)"):
        fill(build_network("resnet18", "flow", 7), state, "theirs", whole=True)


def test_the_last_layout_takes_what_no_other_knows() -> None:
    assert layout_of({"anything": torch.zeros(1)}) == list(LAYOUTS)[-1]
