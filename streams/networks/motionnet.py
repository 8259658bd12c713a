"""MotionNet: frames in, the flow between them out, learnt without labels.

Zhu et al., Hidden two-stream convolutional networks for action recognition, ACCV 2018; the layers
are those of the authors' `multiframe_MotionNet`: eleven frames side by side (33 channels); a
contracting part of twelve convolutions; an expanding part that states the flow at every scale on
its way up, from 1/32 to 1/2 of the input, and hands it on to the next. 42,319,860 parameters.

Its numbers are flow / 20 px; what it hands out here is in pixels of the input. `width` and `scales`
make it narrower and shallower, so that a CPU can train it on small clips. Where we depart from the
authors: the layers that state flow start at 0, so that training starts from no motion and not
from some 20 px of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from storage.errors import UserError
from streams.networks.network import Network

ENCODER = (64, 128, 256, 512, 512, 1024)
"""Filters of conv1 to conv6. All but conv1 halve the map; each is followed by one that does not."""
DECODER = (64, 128, 256, 512)
"""Filters of the expanding part at 1/2, 1/4, 1/8 and 1/16."""
COLOURS = 3
SLOPE = 0.1
"""Of the leaky rectifiers."""
PIXELS = 20.0
"""Pixels of motion that 1 means at the layers that state flow."""


class Expand(nn.Module):
    """A step up: the map and the flow of the coarser scale, beside the contracting part's map."""

    def __init__(self, below: int, beside: int, filters: int, flows: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(below, filters, 4, 2, 1)
        self.upsample_flow = nn.ConvTranspose2d(flows, flows, 4, 2, 1)
        self.smooth_conv = nn.Conv2d(beside + filters + flows, filters, 3, 1, 1)
        self.conv_pr = nn.Conv2d(filters, flows, 3, 1, 1)

    def forward(self, below: Tensor, flow: Tensor, beside: Tensor) -> tuple[Tensor, Tensor]:
        up = F.leaky_relu(self.deconv(below), SLOPE)
        here = self.smooth_conv(torch.cat((beside, up, self.upsample_flow(flow)), 1))
        return here, self.conv_pr(here)


class MotionNet(Network):
    """float (N, 3 (L + 1), H, W), the frames side by side -> flow (N, 2 L, H, W) in pixels.

    Channels x1 y1 x2 y2 ...; field i leads from frame i to frame i + 1. Frames are normalised as a
    spatial stream's. It has no classifier: `features` are the deepest map's means.
    """

    def __init__(
        self, channels: int, *, width: float = 1.0, scales: int = 5, size: int = 224
    ) -> None:
        if channels % COLOURS or channels < 2 * COLOURS:
            raise UserError(
                f"{channels} channels are no frames of {COLOURS}: MotionNet takes 2 frames or "
                "more, 33 channels for 10 fields of flow; change --length"
            )
        if not 2 <= scales <= len(DECODER) + 1:
            raise UserError(f"--extra scales={scales} must be from 2 to {len(DECODER) + 1}")
        if not width > 0:
            raise UserError(f"--extra width={width} must be positive")
        down = [max(8, round(filters * width)) for filters in ENCODER[: scales + 1]]
        up = [max(8, round(filters * width)) for filters in DECODER[: scales - 1]]
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for i, filters in enumerate(down, 1):
            before = channels if i == 1 else down[i - 2]
            parts[f"conv{i}"] = nn.Conv2d(before, filters, 3, 1 if i == 1 else 2, 1)
            parts[f"relu{i}"] = nn.LeakyReLU(SLOPE)
            parts[f"conv{i}_1"] = nn.Conv2d(filters, filters, 3, 1, 1)
            parts[f"relu{i}_1"] = nn.LeakyReLU(SLOPE)
        parts["pool"] = nn.AdaptiveAvgPool2d(1)
        parts["flatten"] = nn.Flatten()
        super().__init__(parts, nn.Identity(), channels=channels, size=size, dropout=0.0)
        self.scales = scales
        self.length = channels // COLOURS - 1
        """Fields of flow (L)."""
        flows = 2 * self.length
        self.conv_pr = nn.Conv2d(down[-1], flows, 3, 1, 1)
        below = [down[-1], *up[:0:-1]]
        self.expand = nn.ModuleList(
            Expand(b, beside, filters, flows)
            for b, beside, filters in zip(below, down[-2:0:-1], up[::-1], strict=True)
        )
        start_motion(self)

    def check(self, x: Tensor) -> None:
        super().check(x)
        step = 2**self.scales
        if x.shape[-1] % step or x.shape[-2] % step:
            raise UserError(
                f"MotionNet of {self.scales} scales takes sides that {step} divides, not "
                f"{x.shape[-2]} x {x.shape[-1]}; change --size"
            )

    def pyramid(self, x: Tensor) -> list[Tensor]:
        """The flow at every scale, finest first: (N, 2 L, H / 2, W / 2), then half of that, ...

        All in pixels of the input.
        """
        self.check(x)
        beside = []
        for name, part in self.backbone.named_children():
            if name == "pool":
                break
            x = part(x)
            if name.endswith("_1") and name.startswith("relu"):
                beside.append(x)
        flow = self.conv_pr(x)
        flows = [flow * PIXELS]
        for expand, map_ in zip(self.expand, beside[-2:0:-1], strict=True):
            x, flow = expand(x, flow, map_)
            flows.append(flow * PIXELS)
        return flows[::-1]

    def forward(self, x: Tensor) -> Tensor:
        """The finest flow, brought to the input's size: (N, 2 L, H, W) in pixels."""
        return enlarged(self.pyramid(x)[0], x)

    def flow(self, x: Tensor) -> Tensor:
        """(N, L, 2, H, W) in pixels."""
        return self(x).unflatten(1, (self.length, 2))

    def start_from(self, state: Mapping[str, Tensor], source: str) -> str:
        given = {name.removeprefix("network."): value for name, value in state.items()}
        try:
            self.load_state_dict(given)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise UserError(
                f"{source} does not fit this MotionNet: {reason}; check --length, and width and "
                "scales (--extra)"
            ) from None
        return "all layers of MotionNet"

    def classify(self, features: Tensor) -> Tensor:
        raise UserError(
            "motionnet states flow and knows no classes: train it as it is, then classify with "
            "hidden-two-stream"
        )


def build(
    channels: int,
    classes: int = 0,
    *,
    width: float = 1.0,
    scales: int = 5,
    size: int = 224,
    dropout: float = 0.0,
) -> MotionNet:
    """`motionnet`. It has no use for `classes` and `dropout`, which all builders take."""
    return MotionNet(channels, width=width, scales=scales, size=size)


def enlarged(flow: Tensor, frames: Tensor) -> Tensor:
    """Flow of a smaller map at the size of its frames; its values stay."""
    return F.interpolate(flow, frames.shape[-2:], mode="bilinear", align_corners=False)


def start_motion(net: MotionNet) -> None:
    """He et al.'s weights, as the authors; the layers that state flow at 0."""
    for name, module in net.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, a=SLOPE)
            if "conv_pr" in name:
                nn.init.zeros_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
