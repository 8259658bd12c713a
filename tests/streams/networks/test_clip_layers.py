"""Padding of clips: TensorFlow's "same", with zeros and with the end frames again."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from streams.networks.clip_layers import (
    ClipConv3d,
    ClipMaxPool3d,
    PooledSteps,
    repeat_ends,
)
from streams.networks.padding import SameConv2d, SameMaxPool2d, same_padding

LENGTHS = st.integers(1, 12)
KERNELS = st.integers(1, 5)
STEPS = st.integers(1, 3)


@given(length=st.integers(1, 300), kernel=st.integers(1, 9), stride=st.integers(1, 4))
def test_same_padding_is_that_of_tensorflow(length: int, kernel: int, stride: int) -> None:
    """Its rule as its documentation has it: by the rest of the length, the odd one at the end."""
    rest = length % stride
    total = max(kernel - stride, 0) if rest == 0 else max(kernel - rest, 0)
    before, after = same_padding(length, kernel, stride)
    assert (before, after) == (total // 2, total - total // 2)
    places = (length + total - kernel) // stride + 1
    assert places == math.ceil(length / stride)


@settings(max_examples=40)
@given(
    lengths=st.tuples(LENGTHS, LENGTHS, LENGTHS),
    kernel=st.tuples(KERNELS, KERNELS, KERNELS),
    stride=st.tuples(STEPS, STEPS, STEPS),
)
def test_layers_pad_as_if_by_hand(
    lengths: tuple[int, int, int], kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> None:
    torch.manual_seed(0)
    clip = torch.randn(2, 2, *lengths)
    pads = [same_padding(*size) for size in zip(lengths, kernel, stride, strict=True)]
    sides = [side for pair in reversed(pads) for side in pair]
    conv, pool = ClipConv3d(2, 3, kernel, stride), ClipMaxPool3d(kernel, stride)
    wanted = F.conv3d(F.pad(clip, sides), conv.weight, conv.bias, stride)
    torch.testing.assert_close(conv(clip), wanted, atol=1e-5, rtol=1e-5)
    positive = clip.relu()
    assert torch.equal(pool(positive), F.max_pool3d(F.pad(positive, sides), kernel, stride))
    lowest = F.pad(clip, sides, value=float("-inf"))
    assert torch.equal(pool(clip - 9), F.max_pool3d(lowest - 9, kernel, stride))
    flat_conv, flat_pool = (
        SameConv2d(2, 3, kernel[1:], stride[1:]),
        SameMaxPool2d(kernel[1:], stride[1:]),
    )
    picture = F.pad(clip[:, :, 0], sides[:4])
    torch.testing.assert_close(
        flat_conv(clip[:, :, 0]),
        F.conv2d(picture, flat_conv.weight, flat_conv.bias, stride[1:]),
        atol=1e-5,
        rtol=1e-5,
    )
    flat = F.max_pool2d(picture.relu(), kernel[1:], stride[1:])
    assert torch.equal(flat_pool(clip[:, :, 0].relu()), flat)


@given(before=st.integers(0, 4), after=st.integers(0, 4), frames=st.integers(1, 4))
def test_ends_are_repeated_as_torch_replicates(before: int, after: int, frames: int) -> None:
    clip = torch.randn(1, 2, frames, 3, 3)
    wanted = F.pad(clip, (0, 0, 0, 0, before, after), mode="replicate")
    assert torch.equal(repeat_ends(clip, before, after), wanted)


@pytest.mark.parametrize("steps", [2, 3, 8])
def test_steps_are_pooled_as_a_window_of_two_over_all_the_space(steps: int) -> None:
    maps = torch.randn(2, 3, steps, 7, 7)
    wanted = F.avg_pool3d(maps, (2, 7, 7), 1)[..., 0, 0]
    torch.testing.assert_close(PooledSteps()(maps), wanted)


def test_one_step_and_a_map_without_time_stay_one_step() -> None:
    maps = torch.randn(2, 3, 1, 7, 7)
    wanted = maps.mean((3, 4))
    torch.testing.assert_close(PooledSteps()(maps), wanted)
    torch.testing.assert_close(PooledSteps()(maps[:, :, 0]), wanted)
