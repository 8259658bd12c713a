"""The networks: shapes, initialisation, frozen norms, consensus."""

from __future__ import annotations

import pickle
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import nn

from storage.errors import UserError
from streams.networks import resnets, weights
from streams.networks.build import build_network, build_stream
from streams.networks.consensus import Consensus
from streams.networks.initial import cross_modality
from streams.networks.network import Network
from streams.networks.stream_net import StreamNet, current_names
from streams.networks.torchvision_compat import models
from streams.networks.weights import file_state, fill, load_initial
from streams.training.average import Average
from streams.training.task import decay_groups


@pytest.fixture(scope="module")
def rgb_state() -> dict[str, torch.Tensor]:
    """A ResNet-18 in torchvision's own names, with 1000 classes."""
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = models.resnet18(weights=None).state_dict()
    return state


def resnet(depth: int, channels: int) -> Network:
    return resnets.build(channels, 2, depth=depth)


def test_output_is_a_video_a_row() -> None:
    net = build_stream("temporal", classes=4, length=5, segments=3).eval()
    assert net(torch.zeros(2, 3, 10, 32, 32)).shape == (2, 4)
    assert net.features(torch.zeros(2, 3, 10, 32, 32)).shape == (2, 3, 512)


@pytest.mark.parametrize(
    ("kind", "channels"), [("spatial", 3), ("temporal", 14), ("difference", 21)]
)
def test_input_channels(kind: str, channels: int) -> None:
    net = build_stream(kind, classes=2, length=7)  # type: ignore[arg-type]
    assert net.backbone.conv1.weight.shape == (64, channels, 7, 7)


def test_a_constant_stack_excites_as_the_grey_picture_does(
    rgb_state: dict[str, torch.Tensor],
) -> None:
    """Of equal channels the response is that of the RGB filters to three such channels, which is
    three times that of their mean."""
    rgb = rgb_state["conv1.weight"]
    picture = torch.rand(1, 1, 32, 32)
    flow = nn.functional.conv2d(picture.expand(-1, 20, -1, -1), cross_modality(rgb, 20))
    grey = nn.functional.conv2d(picture.expand(-1, 3, -1, -1), rgb)
    mean = nn.functional.conv2d(picture, rgb.mean(1, keepdim=True))
    torch.testing.assert_close(flow, grey, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(flow, 3 * mean, atol=1e-5, rtol=1e-4)


def test_imagenet_weights_fill_all_but_the_classifier(rgb_state: dict[str, torch.Tensor]) -> None:
    net = build_stream("temporal", classes=5, length=2)
    notes = fill(net.network, dict(rgb_state), "f")
    assert notes == "first layer turned from 3 into 4 channels, new classifier"
    assert torch.equal(net.backbone.layer4[1].conv2.weight, rgb_state["layer4.1.conv2.weight"])
    assert torch.equal(net.backbone.bn1.running_var, rgb_state["bn1.running_var"])
    assert net.head.weight.shape == (5, 512)


def test_weights_of_a_run_come_back_whole(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = build_stream("temporal", classes=5, length=2)
    torch.save({"format": 1, "model": net.state_dict(), "step": 3}, tmp_path / "best.pt")
    other = build_stream("temporal", classes=5, length=2, weights=str(tmp_path / "best.pt"))
    for name, value in net.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)


def test_weights_of_another_network_are_refused(
    tmp_path: Path, rgb_state: dict[str, torch.Tensor]
) -> None:
    file = tmp_path / "r18.pth"
    torch.save(rgb_state, file)
    with pytest.raises(UserError, match=r"r18.pth has no layer1.2.conv1.weight, .* --depth"):
        load_initial(resnet(34, 3), "resnet34", str(file))
    with pytest.raises(UserError, match=r"layer1.0.conv1.weight has shape .*\(64, 64, 1, 1\)"):
        load_initial(resnet(50, 3), "resnet50", str(file))
    torch.save(resnet(34, 3).state_dict(), file)
    with pytest.raises(UserError, match="which this network does not have"):
        load_initial(resnet(18, 3), "resnet18", str(file))
    torch.save(resnet(18, 8).state_dict(), file)
    with pytest.raises(UserError, match="8 input channels, this stream 20; give weights for RGB"):
        load_initial(resnet(18, 20), "resnet18", str(file))


def test_files_that_hold_no_weights(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not a file; it takes a file, `imagenet` or `none`"):
        file_state(tmp_path / "absent.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(UserError, match="cannot be read as PyTorch weights"):
        file_state(tmp_path / "text.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(UserError, match="holds no state dict"):
        file_state(tmp_path / "list.pth")

    class Code:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (print, ("ran",))

    with (tmp_path / "code.pth").open("wb") as out:
        pickle.dump({"model": Code()}, out, protocol=2)
    with pytest.raises(UserError, match="cannot be read as PyTorch weights"):
        file_state(tmp_path / "code.pth")


def test_no_network_says_how_to_bring_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    with pytest.raises(UserError, match=r"no route to host.*--weights FILE.*resnet18-.*none"):
        weights.imagenet_state("resnet18")


def test_partial_batch_norm_keeps_all_but_the_first() -> None:
    net = build_stream(classes=2, batch_norm="partial").train()
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert [norm.training for norm in norms] == [True] + [False] * (len(norms) - 1)
    assert norms[0].weight.requires_grad
    assert not any(norm.weight.requires_grad for norm in norms[1:])
    assert not build_stream(classes=2, batch_norm="frozen").train().backbone.bn1.training
    assert build_stream(classes=2).train().backbone.layer4[0].bn1.training


def test_consensus_rules() -> None:
    logits = torch.tensor([[[1.0, 4.0], [3.0, 0.0]]])
    assert Consensus("average", 2).of_scores(logits).tolist() == [[2.0, 2.0]]
    assert Consensus("max", 2).of_scores(logits).tolist() == [[3.0, 4.0]]
    learned = Consensus("learned", 2)
    assert learned.of_scores(logits).tolist() == [[2.0, 2.0]]
    with torch.no_grad():
        learned.weights.copy_(torch.tensor([0.0, 100.0]))
    assert learned.of_scores(logits)[0].tolist() == pytest.approx([3.0, 0.0])
    # 5 snapshots of a test in 2 parts: 0, 1 and 2, 3, 4
    many = torch.arange(5.0).view(1, 5, 1)
    assert learned.of_scores(many).tolist() == [[3.0]]
    assert learned.of_scores(torch.ones(1, 1, 2)).tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"depth": 20}, "--network 'resnet20' is not known; did you mean resnet18, resnet34"),
        ({"consensus": "vote"}, "--consensus 'vote'"),
        ({"kind": "sound"}, "stream 'sound'"),
    ],
)
def test_networks_that_do_not_exist(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_stream(classes=2, **arguments)  # type: ignore[arg-type]


def test_weight_decay_spares_biases_and_norms() -> None:
    net = build_stream(classes=3)
    groups = decay_groups(net, "network.head.", 10)
    rates = {(g["scale"], g.get("weight_decay")): g["params"] for g in groups}
    assert set(rates) == {(1.0, None), (1.0, 0.0), (10, None), (10, 0.0)}
    assert all(p.ndim > 1 for p in rates[(1.0, None)])
    assert all(p.ndim == 1 for p in rates[(1.0, 0.0)])
    assert [p.shape for p in rates[(10, None)]] == [(3, 512)]
    assert sum(len(g["params"]) for g in groups) == len(list(net.parameters()))


def test_averaged_weights_follow() -> None:
    net = nn.BatchNorm1d(1)
    average = Average(net, 0.5)
    with torch.no_grad():
        net.weight.fill_(3)
        net.num_batches_tracked.fill_(9)
    average.follow(0)  # keep 0.1 at first
    assert average.model.weight.item() == pytest.approx(0.1 * 1 + 0.9 * 3)
    average.follow(1000)
    assert average.model.weight.item() == pytest.approx(0.5 * 2.8 + 0.5 * 3)
    assert average.model.num_batches_tracked.item() == 9


def test_names_of_older_runs_are_understood() -> None:
    net = build_stream(classes=3, consensus="learned", segments=2)
    older = {name.removeprefix("network."): value for name, value in net.state_dict().items()}
    assert older.keys() != net.state_dict().keys()
    assert current_names(older).keys() == net.state_dict().keys()
    assert current_names(net.state_dict()).keys() == net.state_dict().keys()
    bias = older["head.bias"]
    fusion = {"towers.spatial.backbone.conv1.weight": bias, "head.bias": bias}
    assert list(current_names(fusion)) == [
        "towers.spatial.network.backbone.conv1.weight",
        "head.bias",
    ]


def test_features_are_pooled_before_the_classifier_where_asked() -> None:
    """The mean of features and the mean of scores agree, the classifier being linear."""
    torch.manual_seed(0)
    rules = ("average", "mean-features", "max-features", "max")
    nets = {rule: build_stream(classes=3, consensus=rule, segments=2).eval() for rule in rules}  # type: ignore[arg-type]
    for net in nets.values():
        net.load_state_dict(nets["average"].state_dict())
    clip = torch.rand(2, 4, 3, 32, 32)
    scores = {rule: net(clip) for rule, net in nets.items()}
    torch.testing.assert_close(scores["average"], scores["mean-features"])
    features = nets["average"].features(clip)
    best = nets["average"].network.classify(features.amax(1))
    torch.testing.assert_close(scores["max-features"], best)
    torch.testing.assert_close(nets["max-features"](clip[:, [2, 0, 3, 1]]), best)
    assert not torch.allclose(scores["max"], best)


def test_a_clip_is_taken_apart_at_the_door() -> None:
    """Steps side by side, x1 y1 x2 y2 ..., become (N, 2, T, H, W)."""

    class Door(Network):
        def features(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((-1, -2))

    network = Door(
        {"conv": nn.Conv3d(2, 2, 1)}, nn.Identity(), channels=2, size=8, layout="clip", frames=3
    )
    stack = torch.arange(6.0).view(1, 1, 6, 1, 1).expand(1, 1, 6, 4, 4)
    taken = StreamNet(network).features(stack)
    assert taken.tolist() == [[[[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]]]


def test_a_name_gives_a_network_and_a_wrong_one_a_hint() -> None:
    assert build_network("resnet18", "flow", 5, length=4).channels == 8
    with pytest.raises(UserError, match="did you mean resnet18"):
        build_network("resnet19")
    with pytest.raises(UserError, match="unexpected keyword argument 'wings'"):
        build_network("resnet18", classes=2, wings=2)
    with pytest.raises(UserError, match="input 'sound' is not one of rgb, flow"):
        build_network("resnet18", "sound")  # type: ignore[arg-type]
