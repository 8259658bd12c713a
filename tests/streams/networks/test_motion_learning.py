"""A small MotionNet learns motion from frames alone, and classes can then be read from its flow."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from streams.networks import hidden_two_stream, motionnet
from streams.networks.flow_error import judge_flow
from streams.networks.motionnet import MotionNet
from streams.networks.network import Network
from streams.networks.photometric import inside, motion_loss, warp

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
SIZE, LENGTH, FASTEST = 64, 2, 3.0
MARGIN = 16
"""Pixels around the picture, since a Fourier shift lets in at one side what leaves at the other."""


def drifting(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Textures that drift by up to 3 px a frame: frames (N, 3 (L + 1), H, W) of deviation 1, and
    their motion (N, 2). Shifted in Fourier space, so parts of a pixel are exact."""
    random = torch.Generator().manual_seed(seed)
    side = SIZE + 2 * MARGIN
    y, x = torch.fft.fftfreq(side)[:, None], torch.fft.fftfreq(side)
    grain = torch.exp(-(x.square() + y.square()) / (2 * 0.08**2))
    texture = torch.fft.fft2(torch.randn(count, 3, side, side, generator=random)) * grain
    angle = 2 * math.pi * torch.rand(count, generator=random)
    speed = FASTEST * torch.rand(count, generator=random)
    motion = torch.stack((speed * angle.cos(), speed * angle.sin()), 1)
    frames = []
    for t in range(LENGTH + 1):
        ahead = t * motion[:, :, None, None]
        shift = torch.exp(-2j * math.pi * (x * ahead[:, 0:1] + y * ahead[:, 1:2]).squeeze(1))
        frames.append(torch.fft.ifft2(texture * shift[:, None]).real)
    clips = torch.stack(frames, 1)[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    return (clips / clips.std((1, 2, 3, 4), keepdim=True)).flatten(1, 2), motion


def field(motion: Tensor) -> Tensor:
    """The true flow of every pixel, (N L, 2, H, W)."""
    return motion.repeat_interleave(LENGTH, 0)[:, :, None, None].expand(-1, -1, SIZE, SIZE)


@pytest.fixture(scope="module")
def motion_net() -> MotionNet:
    """Trained without labels; takes 75 s of one core."""
    torch.manual_seed(0)
    net = motionnet.build(3 * (LENGTH + 1), width=1 / 4, scales=3, size=SIZE)
    steps = 400
    adam = torch.optim.Adam(net.parameters())
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, 2e-3, steps)
    for step in range(steps):
        frames, _ = drifting(8, seed=step + 1)
        adam.zero_grad()
        motion_loss(net.pyramid(frames), frames).total.backward()
        adam.step()
        rate.step()
    return net


def test_the_generator_s_motion_is_the_one_that_it_states() -> None:
    """The next frame, read there, is this frame, but for what bilinear reading blurs."""
    frames, motion = drifting(64, seed=0)
    first, second = frames[:, :3], frames[:, 3:6]
    moved = warp(second, field(motion)[::LENGTH])
    error = (inside(first) - inside(moved)).abs().mean()
    assert error < 0.1 * (inside(first) - inside(second)).abs().mean()


def test_motion_is_learnt_without_labels(motion_net: MotionNet) -> None:
    frames, motion = drifting(64, seed=0)
    with torch.no_grad():
        flow = motion_net.flow(frames)
    error = judge_flow(flow.flatten(0, 1), field(motion))
    inner = judge_flow(flow.flatten(0, 1)[..., 8:-8, 8:-8], field(motion)[..., 8:-8, 8:-8])
    print(f"\nall: {error}\nwithout 8 px at the border: {inner}")
    assert error.all < 0.5 * error.zero_all
    assert error.moving < 0.5 * error.zero_moving


def test_classes_are_read_from_the_hidden_flow(motion_net: MotionNet) -> None:
    """Left or right: the frames of both look alike. Both parts go on learning, MotionNet from its
    own loss too."""
    torch.manual_seed(0)
    parts = {"pool": nn.AdaptiveAvgPool2d(1), "row": nn.Flatten()}
    temporal = Network(parts, nn.Linear(2 * LENGTH, 2), channels=2 * LENGTH, size=SIZE, dropout=0)
    net = hidden_two_stream.HiddenTwoStream(motion_net, temporal)
    adam = torch.optim.Adam(
        [
            {"params": net.motion.parameters(), "lr": 1e-4},
            {"params": net.head.parameters(), "lr": 0.1},
        ]
    )
    for step in range(20):
        frames, motion = drifting(8, seed=1000 + step)
        features, own = net.with_own_loss(frames)
        logits = net.classify(features)
        loss = nn.functional.cross_entropy(logits, (motion[:, 0] > 0).long())
        adam.zero_grad()
        (loss + 0.01 * own).backward()
        adam.step()
    frames, motion = drifting(64, seed=0)
    with torch.no_grad():
        right = net.eval()(frames).argmax(1) == (motion[:, 0] > 0)
    assert right.double().mean() > 0.85
