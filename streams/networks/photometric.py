"""What teaches MotionNet motion without labels: the second frame, moved back, must be the first.

Zhu et al., Hidden two-stream convolutional networks, ACCV 2018; constants from the training file
that its authors published. At each scale, on frames shrunk to it:

- photometric: Charbonnier penalty ((255 d)^2 + e^2)^.4 of the difference d between the first frame
  and the second, warped by the flow, after local response normalisation;
- structure: 1 - SSIM of the two in windows of 8 x 8, every 8 px;
- smoothness: Charbonnier penalty (d^2 + e^2)^.3 of the flow's differences between neighbours, in
  pixels of the scale.

Borders: the outer tenth at each side does not count, as with the authors, for there the flow leads
out of the frame. Farther in, a point outside the frame takes the value of the nearest pixel, and it
counts: were it left out, a flow that leaves the frame would cost nothing. Smoothness counts up to
the border, which has nothing else to learn from. Occlusions are not looked for, as in the paper;
the penalties are robust.

Where we depart from the authors: a penalty is 0 at 0 (its constant is taken away; the gradient is
the same), and every term is a mean, so that it does not depend on the size. Their SSIM is a sum
over windows; `SSIM_WEIGHTS` are what their weights come to on 224 px.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from storage.errors import UserError

GREY_LEVELS = 57.6
"""What a difference of 1 is for frames normalised by ImageNet's deviation (.226 x 255)."""
BORDER = 0.1
WINDOW = 8
C1, C2 = 1e-4, 1e-3
EPSILON = 1e-3
SSIM_WEIGHTS = (
    0.01 * 30 * 14**2,
    0.02 * 30 * 7**2,
    0.04 * 30 * 4**2,
    0.08 * 30 * 2**2,
    0.16 * 30 * 1**2,
)
"""The authors' weight x 30 channels x windows, finest scale first (112 px ... 7 px)."""


@dataclass(frozen=True)
class MotionLossWeights:
    """How much each term counts."""

    photometric: float = 1.0
    smoothness: float = 1.0
    ssim: tuple[float, ...] = SSIM_WEIGHTS
    """By scale, finest first; the first so many are used."""
    grey_levels: float = GREY_LEVELS
    """Grey levels that a difference of 1 in the frames means: 255 for frames in [0, 1]."""


class MotionLoss(NamedTuple):
    """The sum and its terms, each a number."""

    total: Tensor
    photometric: Tensor
    smoothness: Tensor
    ssim: Tensor


DEFAULT = MotionLossWeights()


def motion_loss(
    pyramid: Sequence[Tensor], frames: Tensor, weights: MotionLossWeights = DEFAULT
) -> MotionLoss:
    """`pyramid`: flows (N, 2 L, h, w) in pixels of the frames, finest first. `frames`: (N, C, H, W)
    with C = 3 (L + 1), normalised."""
    length = pyramid[0].shape[1] // 2
    if frames.shape[1] != 3 * (length + 1):
        raise UserError(
            f"{length} fields of flow need {length + 1} frames of 3 channels, not "
            f"{frames.shape[1]} channels"
        )
    if len(pyramid) > len(weights.ssim):
        raise UserError(f"{len(pyramid)} scales, but weights of SSIM for {len(weights.ssim)}")
    # Half precision cannot state a place in a wide picture.
    with torch.autocast(frames.device.type, enabled=False):
        return terms([exact(flow) for flow in pyramid], exact(frames), length, weights)


def exact(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def terms(
    pyramid: Sequence[Tensor], frames: Tensor, length: int, weights: MotionLossWeights
) -> MotionLoss:
    levels = frames.unflatten(1, (length + 1, 3)).flatten(0, 1) * (weights.grey_levels / 255)
    levels = F.local_response_norm(levels, 9, alpha=1.0, beta=0.7, k=1.0)
    photometric = smoothness = ssim = frames.new_zeros(())
    for flow, weight in zip(pyramid, weights.ssim, strict=False):
        stride = frames.shape[-1] // flow.shape[-1]
        here = F.avg_pool2d(levels, stride).unflatten(0, (len(frames), length + 1))
        first, second = here[:, :-1].flatten(0, 1), here[:, 1:].flatten(0, 1)
        motion = flow.unflatten(1, (length, 2)).flatten(0, 1) / stride
        moved = inside(warp(second, motion))
        first = inside(first)
        photometric = photometric + charbonnier(255 * (first - moved), 0.4).mean()
        ssim = ssim + weight * (1 - structural_similarity(first, moved)).mean()
        smoothness = smoothness + roughness(motion)
    total = weights.photometric * photometric + weights.smoothness * smoothness + ssim
    return MotionLoss(total, photometric, smoothness, ssim)


def warp(pictures: Tensor, flow: Tensor) -> Tensor:
    """Pictures (N, C, H, W) read at x + flow (N, 2, H, W), in pixels, x first; bilinear.

    Outside, the nearest pixel. A whole number of pixels gives a pixel's very value (which torch's
    `grid_sample` does not, since it takes places as parts of the width).
    """
    height, width = pictures.shape[-2:]
    row = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None] + flow[:, 1]
    column = torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[:, 0]
    row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
    top, left = row.detach().floor(), column.detach().floor()
    down, right = (row - top)[:, None], (column - left)[:, None]
    flat = pictures.flatten(2)

    def read(rows: Tensor, columns: Tensor) -> Tensor:
        place = rows.clamp(max=height - 1) * width + columns.clamp(max=width - 1)
        index = place.long().flatten(1)[:, None].expand(-1, pictures.shape[1], -1)
        return flat.gather(2, index).unflatten(2, (height, width))

    upper = read(top, left) * (1 - right) + read(top, left + 1) * right
    lower = read(top + 1, left) * (1 - right) + read(top + 1, left + 1) * right
    return upper * (1 - down) + lower * down


def charbonnier(difference: Tensor, alpha: float) -> Tensor:
    """(d^2 + e^2)^alpha, less its value at 0."""
    penalty = (difference.square() + EPSILON**2) ** alpha
    return penalty - EPSILON ** (2 * alpha)


def inside(pictures: Tensor) -> Tensor:
    """Without the outer tenth (of the shorter side) at each side."""
    height, width = pictures.shape[-2:]
    cut = round(BORDER * min(height, width))
    return pictures[..., cut : height - cut, cut : width - cut]


def roughness(flow: Tensor) -> Tensor:
    """Mean penalty of the differences between neighbours, across and down: 0 for a flow that is
    the same everywhere."""
    across, down = flow.diff(dim=-1), flow.diff(dim=-2)
    return charbonnier(across, 0.3).mean() + charbonnier(down, 0.3).mean()


def structural_similarity(first: Tensor, second: Tensor) -> Tensor:
    """SSIM of (N, C, h, w) in windows of 8 px, every 8 px; pictures in units of 255 grey levels.

    The window is a Gaussian whose deviation is a sixth of its side. A smaller picture has one
    window, as large as fits.
    """
    side = min(WINDOW, *first.shape[-2:])
    place = torch.arange(side, device=first.device, dtype=first.dtype) - (side - 1) / 2
    bell = torch.exp(-place.square() / (2 * (side / 6) ** 2))
    window = torch.outer(bell, bell) / bell.sum() ** 2
    channels = first.shape[1]

    def mean(pictures: Tensor) -> Tensor:
        kernel = window.expand(channels, 1, side, side)
        return F.conv2d(pictures, kernel, stride=side, groups=channels)

    a, b = mean(first), mean(second)
    variances = mean(first.square()) - a.square() + mean(second.square()) - b.square()
    covariance = mean(first * second) - a * b
    luminance = (2 * a * b + C1) / (a.square() + b.square() + C1)
    return luminance * (2 * covariance + C2) / (variances + C2)
