"""Transfer by "same video or not": right and wrong pairs, and a teacher that stays as it is."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks.network import Network
from streams.networks.transfer import SameVideo, pairs


def frame_network() -> Network:
    parts = {
        "conv": nn.Conv2d(3, 8, 3, 2),
        "norm": nn.BatchNorm2d(8),
        "pool": nn.AdaptiveAvgPool2d(1),
        "flatten": nn.Flatten(),
    }
    return Network(parts, nn.Linear(8, 5), channels=3, size=16)


def clip_network() -> Network:
    parts = {
        "conv": nn.Conv3d(3, 6, 3, 2),
        "pool": nn.AdaptiveAvgPool3d(1),
        "flatten": nn.Flatten(),
    }
    return Network(parts, nn.Linear(6, 5), channels=3, size=16, layout="clip", frames=4)


def batch(videos: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Every video has a colour of its own; its frames and its clips have it in common."""
    generator = torch.Generator().manual_seed(seed)
    colours = torch.rand(videos, 3, generator=generator) * 2 - 1
    frames = colours[:, :, None, None].expand(-1, -1, 16, 16)
    clips = colours[:, :, None, None, None].expand(-1, -1, 4, 16, 16)
    return frames, clips, torch.arange(videos)


@given(
    videos=st.lists(st.integers(0, 4), min_size=2, max_size=12).filter(lambda v: len(set(v)) > 1),
    seed=st.integers(0, 100),
)
def test_pairs_are_labelled_by_their_videos_and_as_many_wrong_as_right(
    videos: list[int], seed: int
) -> None:
    ids = torch.tensor(videos)
    frames, clips, same = pairs(ids, torch.Generator().manual_seed(seed))
    assert same.tolist() == [1] * len(videos) + [0] * len(videos)
    assert torch.equal((ids[frames] == ids[clips]).long(), same)
    assert frames.tolist() == 2 * list(range(len(videos)))


def test_every_other_video_is_a_wrong_pair_some_time() -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.arange(3)
    drawn = [pairs(ids, generator) for _ in range(50)]
    seen = {(int(f), int(c)) for fs, cs, _ in drawn for f, c in zip(fs, cs, strict=True)}
    assert seen == {(f, c) for f in range(3) for c in range(3)}


def test_pairs_repeat_with_their_seed() -> None:
    first, second = (pairs(torch.arange(9), torch.Generator().manual_seed(3)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_batch_of_one_video_has_right_pairs_only() -> None:
    frames, clips, same = pairs(torch.tensor([4, 4, 4]), torch.Generator())
    assert (frames.tolist(), clips.tolist(), same.tolist()) == ([0, 1, 2], [0, 1, 2], [1, 1, 1])


def test_layouts_are_checked() -> None:
    with pytest.raises(UserError, match="not one of layout 'clip' and one of 'stack'"):
        SameVideo(clip_network(), frame_network())


def test_the_frame_network_stays_as_it_is_and_the_clip_network_learns_the_question() -> None:
    torch.manual_seed(0)
    model = SameVideo(frame_network(), clip_network(), hidden=(32, 16)).train()
    assert not model.frame_network.training
    before = {n: v.clone() for n, v in model.frame_network.state_dict().items()}
    clip_before = model.clip_network.backbone.state_dict()["conv.weight"].clone()
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    generator = torch.Generator().manual_seed(0)
    losses = []
    for step in range(150):
        loss = nn.functional.cross_entropy(*model(*batch(16, step), generator))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[:10]) / 10 > 0.6, "log 2 = 0.69 is chance"
    assert sum(losses[-20:]) / 20 < 0.4
    after = model.frame_network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(clip_before, model.clip_network.backbone.state_dict()["conv.weight"])
    with torch.no_grad():
        logits, same = model(*batch(32, 999), generator)
        right = logits.argmax(1) == same
    assert right.double().mean() > 0.75, "videos that it has never met"
