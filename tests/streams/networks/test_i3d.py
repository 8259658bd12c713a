"""I3D: the published counts, sizes and names; DeepMind's weights; the Inception-v1 within it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from i3d_names import to_pytorch_i3d
from torch import Tensor
from torch.nn import functional as F

from storage.errors import UserError
from streams.networks import build_network, deflate, fill, load_initial
from streams.networks.i3d import I3D, build, from_pytorch_i3d
from streams.networks.network import Network
from streams.networks.torchvision_compat import models

KINETICS = {
    "BabyCrawling": ("crawling baby",),
    "Biking": ("riding a bike", "riding mountain bike"),
    "BodyWeightSquats": ("squat", "lunge"),
    "BoxingPunchingBag": ("punching bag",),
    "BrushingTeeth": ("brushing teeth",),
    "Diving": ("springboard diving", "diving cliff"),
    "HammerThrow": ("hammer throw",),
    "HighJump": ("high jump",),
    "JavelinThrow": ("javelin throw",),
    "LongJump": ("long jump", "triple jump"),
    "PizzaTossing": ("making pizza",),
    "RockClimbingIndoor": ("rock climbing",),
    "RopeClimbing": ("climbing a rope",),
    "ShavingBeard": ("trimming or shaving beard",),
    "SoccerJuggling": ("juggling soccer ball",),
    "Surfing": ("surfing water",),
    "WallPushups": ("push up",),
}
"""The classes of UCF-101 among the clips here that Kinetics-400 has too."""


def parameters(net: torch.nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.fixture(scope="module")
def published(shared_data: Path) -> dict[str, Tensor]:
    file = shared_data / "weights" / "i3d_rgb_kinetics400_fp16.pt"
    state: dict[str, Tensor] = torch.load(file, weights_only=True)
    return state


@pytest.fixture(scope="module")
def kinetics(published: dict[str, Tensor]) -> I3D:
    net = build(3, 400)
    net.load_state_dict(from_pytorch_i3d(published))
    return net.eval()


@pytest.fixture(scope="module")
def picture(shared_data: Path) -> Tensor:
    """A frame of a real clip, (1, 3, 112, 112) in [-1, 1]."""
    file = sorted((shared_data / "clips" / "ucf101" / "Biking").glob("*.avi"))[0]
    return prepared(next(decoded(file))[None], 112, 112)[:, :, 0]


def test_parameters_are_those_published() -> None:
    with torch.device("meta"):
        rgb, flow = build(3, 400), build(2, 400)
    assert parameters(rgb.backbone) == 12_287_264
    assert parameters(rgb) == 12_697_264
    assert parameters(flow) == 12_675_312
    assert parameters(rgb) + parameters(flow) == 25_372_576


def test_64_frames_become_8_steps_of_7_by_7_and_7_steps_of_logits() -> None:
    with torch.device("meta"):
        net = build(3, 400).eval()
        clip = torch.empty(2, *net.shape())
        assert net.until(clip, "Mixed_5c").shape == (2, 1024, 8, 7, 7)
        assert net.logits_along_time(clip).shape == (2, 400, 7)
        assert net.features(clip).shape == (2, 1024)
        assert net(clip).shape == (2, 400)
    strides = {stage.name: (stage.width, stage.stride) for stage in net.stages()}
    assert strides["Mixed_3c"] == (480, 8)
    assert strides["Mixed_4f"] == (832, 16)
    assert net.first == "backbone.Conv3d_1a_7x7.conv3d"
    assert len(net.norms) == 57


@pytest.mark.parametrize(("frames", "size"), [(1, 32), (5, 33), (16, 64), (17, 47)])
def test_the_answer_is_the_mean_of_those_along_time(frames: int, size: int) -> None:
    torch.manual_seed(0)
    net = build(2, 5).eval()
    clip = torch.randn(2, 2, frames, size, size)
    with torch.no_grad():
        steps = net.logits_along_time(clip)
        torch.testing.assert_close(net(clip), steps.mean(2))
    assert steps.shape == (2, 5, max(-(-frames // 8) - 1, 1))


def test_another_number_of_channels_is_refused() -> None:
    net = build(2, 4)
    with pytest.raises(UserError, match=r"takes \(N, 2, 64, 224, 224\), not \(1, 3, 8, 32, 32\)"):
        net(torch.zeros(1, 3, 8, 32, 32))
    with pytest.raises(UserError, match="takes"):
        net.logits_along_time(torch.zeros(1, 2, 32, 32))


def test_names_go_to_those_of_pytorch_i3d_and_back() -> None:
    net = build(3, 7)
    theirs = to_pytorch_i3d(net.state_dict())
    assert theirs["Conv3d_1a_7x7.conv3d.weight"].shape == (64, 3, 7, 7, 7)
    assert theirs["Mixed_3b.b0.conv3d.weight"].shape == (64, 192, 1, 1, 1)
    assert theirs["logits.conv3d.weight"].shape == (7, 1024, 1, 1, 1)
    back = from_pytorch_i3d(theirs)
    assert list(back) == list(net.state_dict())
    assert all(torch.equal(back[name], value) for name, value in net.state_dict().items())


def test_published_weights_fill_every_tensor(published: dict[str, Tensor], kinetics: I3D) -> None:
    assert set(from_pytorch_i3d(published)) == set(kinetics.state_dict())
    theirs = to_pytorch_i3d(kinetics.state_dict())
    assert set(theirs) == set(published)
    assert all(
        torch.equal(theirs[name], value.to(theirs[name])) for name, value in published.items()
    )


def inception_of(net: I3D) -> Network:
    """The Inception-v1 for pictures whose kernels are those of `net`, summed over time."""
    flat = build_network("inception-v1", "rgb", net.head.out_features, padding="same")
    assert fill(flat, net.state_dict(), "I3D") == "kernels summed over time"
    return flat.eval()


def test_deflated_answers_a_still_picture_as_a_boring_video_with_repeated_ends(
    kinetics: I3D, picture: Tensor
) -> None:
    flat = inception_of(kinetics)
    assert parameters(flat) < parameters(kinetics)
    assert flat.layout == "stack"
    assert flat.shape() == (3, 224, 224)
    boring = picture.unsqueeze(2).expand(-1, -1, 16, -1, -1)
    replicated = build(3, 400, time_padding="replicate").eval()
    replicated.load_state_dict(kinetics.state_dict())
    with torch.no_grad():
        wanted = flat(picture)
        torch.testing.assert_close(replicated(boring), wanted, atol=1e-4, rtol=1e-4)
        off = (kinetics(boring) - wanted).abs().max()
    assert off > 0.1, "zeros in time are seen"


def test_deflated_differs_from_zero_padding_at_the_ends_only(
    kinetics: I3D, picture: Tensor
) -> None:
    """One layer sees the ends in 2 of 16 steps; two layers in more."""
    flat = inception_of(kinetics)
    boring = picture.unsqueeze(2).expand(-1, -1, 32, -1, -1)
    with torch.no_grad():
        steps = kinetics.until(boring, "Conv3d_2c_3x3")
        wanted = flat.until(picture, "conv3").unsqueeze(2)
    off = (steps - wanted).abs().amax(dim=(0, 1, 3, 4))
    assert len(off) == 16
    assert off[2:-3].max() < 1e-3
    assert min(off[0], off[-1]) > 0.1


def test_deflation_layer_by_layer_is_that_of_the_weights() -> None:
    torch.manual_seed(0)
    net = build(3, 5).eval()
    picture = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = inception_of(net)(picture)
        torch.testing.assert_close(deflate(net).eval()(picture), wanted, atol=1e-4, rtol=1e-4)


def test_i3d_starts_from_pictures_and_answers_a_boring_video_as_its_picture() -> None:
    """The paper's own start, with the end frames repeated; on flow too, by cross-modality."""
    torch.manual_seed(0)
    flat = build_network("inception-v1", "rgb", 5, padding="same").eval()
    net = build(3, 5, time_padding="replicate").eval()
    assert fill(net, flat.state_dict(), "pictures") == "kernels repeated over time and divided"
    picture = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        video = net(picture.unsqueeze(2).expand(-1, -1, 16, -1, -1))
        torch.testing.assert_close(video, flat(picture), atol=1e-4, rtol=1e-4)
    flow = build(2, 5)
    said = fill(flow, flat.state_dict(), "pictures")
    assert said.endswith("first layer turned from 3 into 2 channels")
    first = flow.state_dict()["backbone.Conv3d_1a_7x7.conv3d.weight"]
    assert torch.equal(first[:, 0], first[:, 1])
    assert torch.equal(first[:, :, 0], first[:, :, 6])


def test_flow_starts_from_i3d_on_frames_by_cross_modality(tmp_path: Path) -> None:
    torch.manual_seed(0)
    rgb, flow = build(3, 5), build(2, 5)
    torch.save(to_pytorch_i3d(rgb.state_dict()), tmp_path / "rgb.pt")
    said = load_initial(flow, "i3d", str(tmp_path / "rgb.pt"))
    assert "first layer turned from 3 into 2 channels" in said
    name = "backbone.Mixed_3b.b0.conv3d.weight"
    assert torch.equal(flow.state_dict()[name], rgb.state_dict()[name])
    grey = torch.randn(1, 1, 16, 32, 32)
    with torch.no_grad():
        part = "Conv3d_1a_7x7"
        one, two = rgb.eval(), flow.eval()
        wanted = one.until(grey.expand(-1, 3, -1, -1, -1), part)
        torch.testing.assert_close(
            two.until(grey.expand(-1, 2, -1, -1, -1), part), wanted, atol=1e-4, rtol=1e-4
        )


def test_i3ds_weights_are_refused_where_pictures_are_padded_otherwise() -> None:
    with pytest.raises(UserError, match="add --extra padding=same"):
        fill(build_network("inception-v1", "rgb", 5), build(3, 5).state_dict(), "I3D")


def test_deflated_weights_have_the_names_and_shapes_of_googlenet(kinetics: I3D) -> None:
    """With them a spatial stream on torchvision's layers starts from Kinetics."""
    state = inception_of(kinetics).state_dict()
    with torch.device("meta"):
        theirs = models.googlenet(weights=None, init_weights=False, aux_logits=False)
    wanted = {
        f"backbone.{name}": value.shape
        for name, value in theirs.state_dict().items()
        if not name.startswith("fc.")
    }
    found = {n: v.shape for n, v in state.items() if not n.startswith("head.")}
    assert found == wanted
    assert state["head.weight"].shape == (400, 1024)


def decoded(file: Path) -> Iterator[np.ndarray]:
    import av

    with av.open(str(file)) as container:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")


def prepared(frames: np.ndarray, short: int, crop: int) -> Tensor:
    """uint8 (T, H, W, 3) -> float (1, 3, T, crop, crop) in [-1, 1], the centre of the frame."""
    x = torch.from_numpy(frames).permute(0, 3, 1, 2).float()
    scale = short / min(x.shape[-2:])
    size = [round(side * scale) for side in x.shape[-2:]]
    x = F.interpolate(x, size, mode="bilinear", align_corners=False)
    top, left = (size[0] - crop) // 2, (size[1] - crop) // 2
    x = x[..., top : top + crop, left : left + crop] / 127.5 - 1
    return x.permute(1, 0, 2, 3).unsqueeze(0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_published_weights_know_35_of_45_clips_at_once_and_42_within_five(
    kinetics: I3D, shared_data: Path
) -> None:
    names = (shared_data / "weights" / "kinetics400_classes.txt").read_text().splitlines()
    first, five, clips = 0, 0, 0
    for ours, theirs in KINETICS.items():
        right = {names.index(name) for name in theirs}
        for file in sorted((shared_data / "clips" / "ucf101" / ours).glob("*.avi")):
            frames = np.stack(list(decoded(file)))
            start = max(len(frames) - 64, 0) // 2
            with torch.no_grad():
                logits = kinetics(prepared(frames[start : start + 64], 256, 224))
            best = logits[0].topk(5).indices.tolist()
            clips += 1
            first += best[0] in right
            five += bool(right & set(best))
            print(
                f"{file.name} {len(frames)} {[names[i] for i in best[:2]]} {first}/{clips} {five}"
            )
    assert (clips, first, five) == (45, 35, 42)
