"""TensorFlow's "same" padding, which torch has no layer for where the stride is more than 1.

As much is added as lets the output have ceil(size / stride) places; of an odd sum the larger half
lies behind. A window therefore starts elsewhere than with torch's padding of both sides, and
weights trained with one give other answers with the other.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

Pair = tuple[int, int]


def same_padding(length: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Places to add before and after `length`, so that ceil(length / stride) come out."""
    places = -(-length // stride)
    total = max((places - 1) * stride + dilation * (kernel - 1) + 1 - length, 0)
    return total // 2, total - total // 2


def same_pads(x: Tensor, kernel: tuple[int, ...], stride: tuple[int, ...]) -> list[Pair]:
    """The padding of the last two axes of x, before and after."""
    sizes = zip(x.shape[-2:], kernel[-2:], stride[-2:], strict=True)
    return [same_padding(*size) for size in sizes]


def split_padding(x: Tensor, pads: list[Pair], value: float) -> tuple[Tensor, list[int]]:
    """Pad `x` here where the two sides differ; what a layer can pad itself is handed back."""
    if all(before == after for before, after in pads):
        return x, [before for before, _ in pads]
    sides = [side for pair in reversed(pads) for side in pair]
    return F.pad(x, sides, value=value), [0] * len(pads)


class SameConv2d(nn.Conv2d):
    """nn.Conv2d with TensorFlow's "same" padding, which torch has for stride 1 only."""

    def __init__(
        self,
        channels: int,
        width: int,
        kernel: Pair,
        stride: Pair = (1, 1),
        *,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(channels, width, kernel, stride, groups=groups, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        pads = same_pads(x, self.kernel_size, self.stride)
        x, amounts = split_padding(x, pads, 0.0)
        return F.conv2d(x, self.weight, self.bias, self.stride, amounts, groups=self.groups)


class SameMaxPool2d(nn.Module):
    """Maximum with TensorFlow's "same" padding: what is added never wins."""

    def __init__(self, kernel: Pair, stride: Pair) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        pads = same_pads(x, self.kernel, self.stride)
        x, amounts = split_padding(x, pads, float("-inf"))
        return F.max_pool2d(x, self.kernel, self.stride, amounts)

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}"
