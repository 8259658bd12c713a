"""Convolutions and pools over clips whose padding in time keeps every frame.

Along time all of them pad as TensorFlow's "same" does: T frames become ceil(T / stride), and of an
odd number of padding frames the last side gets one more. What the padding holds is to be chosen:

- "zero": as in DeepMind's I3D.
- "replicate": the end frames again. Only so does a clip of equal frames stay one in every layer,
  which is the boring-video fixed point of inflation.

In space they pad by fixed numbers of pixels, as torch does, or by "same", too.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from streams.networks.padding import Pair, same_padding, same_pads, split_padding

TimePadding = Literal["replicate", "zero"]
SpacePadding = tuple[int, int] | Literal["same"]
Triple = tuple[int, int, int]


def repeat_ends(x: Tensor, before: int, after: int) -> Tensor:
    """(N, C, T, H, W) with its first frame `before` times more and its last `after` times.

    Not `F.pad`: on a GPU its gradient is not the same twice.
    """
    if before == after == 0:
        return x
    first = x[:, :, :1].expand(-1, -1, before, -1, -1)
    last = x[:, :, -1:].expand(-1, -1, after, -1, -1)
    return torch.cat([first, x, last], dim=2)


def space_pads(
    x: Tensor, padding: SpacePadding, kernel: tuple[int, ...], stride: tuple[int, ...]
) -> list[Pair]:
    if padding == "same":
        return same_pads(x, kernel, stride)
    return [(amount, amount) for amount in padding]


class ClipConv3d(nn.Conv3d):
    """A convolution over (N, C, T, H, W); `space` and `time` say how it pads."""

    def __init__(
        self,
        channels: int,
        width: int,
        kernel: Triple,
        stride: Triple = (1, 1, 1),
        *,
        space: SpacePadding = "same",
        time: TimePadding = "zero",
        dilation: Triple = (1, 1, 1),
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(
            channels, width, kernel, stride, dilation=dilation, groups=groups, bias=bias
        )
        self.space: SpacePadding = space
        self.time: TimePadding = time

    def forward(self, x: Tensor) -> Tensor:
        pads = [
            same_padding(x.shape[2], self.kernel_size[0], self.stride[0], self.dilation[0]),
            *space_pads(x, self.space, self.kernel_size, self.stride),
        ]
        if self.time == "replicate":
            x, pads[0] = repeat_ends(x, *pads[0]), (0, 0)
        x, amounts = split_padding(x, pads, 0.0)
        return F.conv3d(x, self.weight, self.bias, self.stride, amounts, self.dilation, self.groups)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, space={self.space}, time={self.time}"


class ClipMaxPool3d(nn.Module):
    """Maximum over (T, H, W); what is added never wins, which is also what replicated ends do."""

    def __init__(
        self,
        kernel: Triple,
        stride: Triple,
        *,
        space: SpacePadding = "same",
        dilation: Triple = (1, 1, 1),
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.dilation = kernel, stride, dilation
        self.space: SpacePadding = space
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        time = same_padding(x.shape[2], self.kernel[0], self.stride[0], self.dilation[0])
        pads = [time, *space_pads(x, self.space, self.kernel, self.stride)]
        if self.space != "same" and time[0] != time[1]:
            # Padding in space stays with the layer: ceil_mode counts from it.
            x, pads[0] = repeat_ends(x, *time), (0, 0)
        x, amounts = split_padding(x, pads, float("-inf"))
        return F.max_pool3d(x, self.kernel, self.stride, amounts, self.dilation, self.ceil_mode)

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}, space={self.space}"


class ClipAvgPool3d(nn.Module):
    """Mean over (T, H, W); padding frames count as frames."""

    def __init__(
        self,
        kernel: Triple,
        stride: Triple,
        *,
        space: Pair = (0, 0),
        time: TimePadding = "replicate",
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.space = kernel, stride, space
        self.time: TimePadding = time
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, x: Tensor) -> Tensor:
        before, after = same_padding(x.shape[2], self.kernel[0], self.stride[0])
        if self.time == "replicate":
            x = repeat_ends(x, before, after)
        elif before or after:
            x = F.pad(x, (0, 0, 0, 0, before, after))
        return F.avg_pool3d(
            x,
            self.kernel,
            self.stride,
            (0, *self.space),
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}, space={self.space}, time={self.time}"


class PooledSteps(nn.Module):
    """(N, C, T, H, W) -> (N, C, T - 1): the mean over space and over two neighbours in time.

    One step of time stays one, and a map without time (N, C, H, W) becomes (N, C, 1). I3D and S3D
    write it as a mean over 2 x 7 x 7; here it is over all of the space, whatever the input's size.
    """

    def forward(self, x: Tensor) -> Tensor:
        steps = x.mean(dim=(-2, -1))
        if steps.ndim == 2:
            return steps.unsqueeze(2)
        return steps if steps.shape[2] == 1 else (steps[:, :, 1:] + steps[:, :, :-1]) / 2


class TimeMean(nn.Module):
    """(N, C, T) -> (N, C)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=2)
