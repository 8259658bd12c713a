"""TensorFlow's "same" padding, which torch has no layer for where the stride is more than 1.

As much is added as lets the output have ceil(size / stride) places; of an odd sum the larger half
lies behind. A window therefore starts elsewhere than with torch's padding of both sides, and
weights trained with one give other answers with the other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


def same_padding(length: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Places to add before and after `length`, so that ceil(length / stride) come out."""
    places = -(-length // stride)
    total = max((places - 1) * stride + dilation * (kernel - 1) + 1 - length, 0)
    return total // 2, total - total // 2


class SamePad(nn.Module):
    """(..., *sizes) -> the same with zeros around, for a kernel and a stride an axis.

    Before a pooling of what a ReLU gave, zeros change nothing: no maximum is below them.
    """

    def __init__(self, kernel: Sequence[int], stride: Sequence[int]) -> None:
        super().__init__()
        self.kernel, self.stride = tuple(kernel), tuple(stride)

    def forward(self, x: Tensor) -> Tensor:
        sizes = x.shape[-len(self.kernel) :]
        pads = [same_padding(*axis) for axis in zip(sizes, self.kernel, self.stride, strict=True)]
        # F.pad starts with the last axis.
        return F.pad(x, [place for pair in reversed(pads) for place in pair])

    def extra_repr(self) -> str:
        return f"kernel={self.kernel}, stride={self.stride}"
