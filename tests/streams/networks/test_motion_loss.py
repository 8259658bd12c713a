"""The loss without labels: exact where motion is whole, right against scipy, and differentiable."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from torch import Tensor

from storage.errors import UserError
from streams.networks import photometric as ml


def constant(flow: tuple[float, float], size: int, count: int = 1) -> Tensor:
    return torch.tensor(flow).float()[None, :, None, None].repeat(count, 1, size, size)


@given(st.integers(-9, 9), st.integers(-9, 9))
def test_a_whole_number_of_pixels_is_read_exactly(x: int, y: int) -> None:
    pictures = torch.randn(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    moved = ml.warp(pictures, constant((float(x), float(y)), 20))
    rows, columns = (torch.arange(20) + y).clamp(0, 19), (torch.arange(20) + x).clamp(0, 19)
    assert torch.equal(moved, pictures[:, :, rows][:, :, :, columns])


def test_warping_is_scipy_s_bilinear_reading_with_the_nearest_pixel_outside() -> None:
    torch.manual_seed(0)
    pictures, flow = torch.randn(2, 3, 12, 17).double(), 4 * torch.randn(2, 2, 12, 17).double()
    rows, columns = np.mgrid[:12, :17]
    moved = ml.warp(pictures, flow)
    for n in range(2):
        places = np.stack((rows + flow[n, 1].numpy(), columns + flow[n, 0].numpy()))
        for c in range(3):
            truth = map_coordinates(pictures[n, c].numpy(), places, order=1, mode="nearest")
            np.testing.assert_allclose(moved[n, c].numpy(), truth, atol=1e-12)


SIZE, SHIFT = 160, (8, -16)
"""At strides 2, 4 and 8 the shift is whole, and the counted part reads from inside the frame."""


def shifted_frames(length: int) -> Tensor:
    """Frame t + 1 read at x + SHIFT is frame t."""
    picture = torch.randn(2, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(3))
    x, y = SHIFT
    frames = [picture.roll((y * t, x * t), (2, 3)) for t in range(length + 1)]
    return torch.cat(frames, 1)


def flows(shift: tuple[float, float], length: int = 2) -> list[Tensor]:
    return [
        constant(shift, SIZE // stride, 2).repeat(1, length, 1, 1).requires_grad_()
        for stride in (2, 4, 8)
    ]


def test_the_loss_of_a_whole_shift_is_0() -> None:
    loss = ml.motion_loss(flows(SHIFT), shifted_frames(2))
    assert [float(term.detach()) for term in loss] == pytest.approx([0, 0, 0, 0], abs=1e-5)


@pytest.mark.parametrize("wrong", [(0, 0), (-8, 16), (8, 16), (-16, 8), (10, -16)])
def test_any_other_flow_costs(wrong: tuple[float, float]) -> None:
    loss = ml.motion_loss(flows(wrong), shifted_frames(2))
    assert loss.photometric > 1
    assert loss.ssim > 1
    assert abs(loss.smoothness) < 1e-6  # the same everywhere


def test_a_flow_that_leaves_the_frame_is_no_way_out() -> None:
    """Points outside count, so nothing is gained by looking there."""
    away = ml.motion_loss(flows((4 * SIZE, 4 * SIZE)), shifted_frames(2))
    assert away.total > 0.9 * ml.motion_loss(flows((0, 0)), shifted_frames(2)).total


def test_what_happens_in_the_outer_tenth_does_not_count() -> None:
    frames = shifted_frames(2)
    other = frames.clone()
    other[..., :8] = 0  # the second tenth of the first eighth: read by nobody who counts
    still = flows((0, 0))
    assert float(ml.motion_loss(still, other).total.detach()) == pytest.approx(
        float(ml.motion_loss(still, frames).total.detach()), rel=1e-6
    )
    other[..., 32:40] = 0
    assert ml.motion_loss(still, other).total != ml.motion_loss(still, frames).total


def test_smoothness_is_a_mean_of_penalties_across_and_down() -> None:
    """A ramp of 1 px a pixel across: one penalty across, none down."""
    ramp = torch.arange(10.0).expand(1, 2, 10, 10)
    penalty = (1 + 1e-6) ** 0.3 - 1e-3**0.6
    assert float(ml.roughness(ramp)) == pytest.approx(penalty, rel=1e-5)
    assert float(ml.roughness(ramp.mT)) == pytest.approx(penalty, rel=1e-5)


def test_the_penalty_is_0_at_0_and_symmetric() -> None:
    d = torch.linspace(-3, 3, 13).double()
    rho = ml.charbonnier(d, 0.4)
    assert float(rho[6]) == pytest.approx(0, abs=1e-15)
    torch.testing.assert_close(rho, rho.flip(0))
    torch.testing.assert_close(rho, d.abs() ** 0.8, atol=5e-3, rtol=1e-5)


def test_ssim_is_its_definition_window_by_window() -> None:
    torch.manual_seed(0)
    a, b = torch.rand(2, 3, 26, 19).double(), torch.rand(2, 3, 26, 19).double()
    similar = ml.structural_similarity(a, b)
    assert similar.shape == (2, 3, 3, 2)
    place = np.arange(8) - 3.5
    bell = np.exp(-(place[:, None] ** 2 + place**2) / (2 * (8 / 6) ** 2))
    bell /= bell.sum()
    for n, c, i, j in np.ndindex(*similar.shape):
        x, y = (p[n, c, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8].numpy() for p in (a, b))
        mx, my = (bell * x).sum(), (bell * y).sum()
        vx, vy = (bell * (x - mx) ** 2).sum(), (bell * (y - my) ** 2).sum()
        cov = (bell * (x - mx) * (y - my)).sum()
        truth = (2 * mx * my + 1e-4) * (2 * cov + 1e-3)
        truth /= (mx**2 + my**2 + 1e-4) * (vx + vy + 1e-3)
        assert float(similar[n, c, i, j]) == pytest.approx(truth, rel=1e-9)


def test_ssim_of_equal_pictures_is_1_at_any_size() -> None:
    for size in (3, 7, 8, 40):
        picture = torch.rand(1, 3, size, size)
        torch.testing.assert_close(
            ml.structural_similarity(picture, picture).mean(), torch.tensor(1.0)
        )


CHECKED: dict[str, Callable[..., Tensor]] = {
    "warp": ml.warp,
    "ssim": ml.structural_similarity,
}


@pytest.mark.parametrize("name", CHECKED)
def test_gradients(name: str) -> None:
    torch.manual_seed(0)
    first = torch.rand(1, 2, 9, 10).double().requires_grad_()
    second = (2 * torch.randn(1, 2, 9, 10)).double().requires_grad_()
    assert torch.autograd.gradcheck(CHECKED[name], (first, second))


def test_gradient_of_the_whole_loss() -> None:
    torch.manual_seed(0)
    frames = torch.randn(1, 9, 16, 16).double().requires_grad_()
    pyramid = [(2 * torch.randn(1, 4, size, size)).double().requires_grad_() for size in (8, 4)]

    def total(frames: Tensor, *pyramid: Tensor) -> Tensor:
        return ml.motion_loss(pyramid, frames).total

    assert torch.autograd.gradcheck(total, (frames, *pyramid), eps=1e-7, fast_mode=True)


def test_the_gradient_pulls_a_flow_to_the_true_shift() -> None:
    place = torch.arange(48.0)
    wave, moved = (
        torch.sin(place / 3)[:, None] + torch.sin((place - x) / 4) for x in (0.0, 1.5)
    )  # 1.5 px to the right
    frames = torch.cat([picture.expand(1, 3, 48, 48) for picture in (wave, moved)], 1)
    shift = torch.zeros(1, 2, 1, 1, requires_grad=True)
    adam = torch.optim.Adam([shift], 0.1)
    for _ in range(60):
        adam.zero_grad()
        ml.motion_loss([shift.expand(1, 2, 24, 24)], frames).total.backward()
        adam.step()
    assert shift.detach().flatten().tolist() == pytest.approx([1.5, 0], abs=0.1)


def test_weights_weigh() -> None:
    frames = shifted_frames(2)
    bare = ml.MotionLossWeights(photometric=2.0, smoothness=3.0, ssim=(0.0,) * 3)
    pyramid = [flow + torch.randn_like(flow) for flow in flows((0, 0))]
    loss = ml.motion_loss(pyramid, frames, bare)
    torch.testing.assert_close(loss.total, 2 * loss.photometric + 3 * loss.smoothness)
    assert float(loss.ssim.detach()) == 0
    torch.testing.assert_close(ml.SSIM_WEIGHTS, (58.8, 29.4, 19.2, 9.6, 4.8))


def test_mixed_precision_does_not_reach_the_loss() -> None:
    frames = torch.randn(1, 6, 64, 64, generator=torch.Generator().manual_seed(0))
    flow = torch.randn(1, 2, 32, 32, generator=torch.Generator().manual_seed(1)).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = ml.motion_loss([flow], frames)
    for term, truth in zip(mixed, ml.motion_loss([flow.float()], frames), strict=True):
        assert torch.equal(term, truth)


def test_frames_and_flows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match="3 frames of 3 channels, not 12"):
        ml.motion_loss(flows(SHIFT), shifted_frames(3))
    with pytest.raises(UserError, match="3 scales, but weights of SSIM for 1"):
        ml.motion_loss(flows(SHIFT), shifted_frames(2), ml.MotionLossWeights(ssim=(1.0,)))
