"""Hidden two-stream: frames in, classes out, and the flow between them learnt on the way.

Zhu et al., Hidden two-stream convolutional networks for action recognition, ACCV 2018: MotionNet,
then a temporal stream on its flow, trained end to end; no flow is stored. Between the two the flow
is cut to +-20 px and brought to the range that the temporal stream knows. With the authors this
range is that of a flow picture less 128 (20 px are 127.5); here it is that of the store's flow
(`streams.settings.FLOW_UNIT`: 9.04 px are 1), so that a temporal stream trained on the store can be
put behind MotionNet as it is. The authors cut the flow at half size and enlarge it then; here it is
enlarged first, which differs only beside places beyond 20 px.

The paper compares three trainings: MotionNet held fixed, both trained for the classes, and both
trained with MotionNet's own losses kept (`with_own_loss`, --own-loss), which is the best. The
optimiser sees all parameters in any case; `MotionNet` is the part `motion`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from torch import Tensor, nn

from storage.errors import UserError
from streams.networks.build import build_network
from streams.networks.motionnet import MotionNet, enlarged
from streams.networks.network import Network
from streams.networks.photometric import motion_loss
from streams.settings import FLOW_UNIT

BOUND = 20.0
"""Pixels at which the flow is cut, as the paper does."""


class FlowInput(nn.Module):
    """Flow in pixels -> what a temporal stream sees."""

    def __init__(self, bound: float = BOUND, unit: float = FLOW_UNIT) -> None:
        super().__init__()
        self.bound, self.unit = bound, unit

    def forward(self, flow: Tensor) -> Tensor:
        return flow.clamp(-self.bound, self.bound) / self.unit

    def extra_repr(self) -> str:
        return f"bound={self.bound} px, unit={self.unit} px"


class HiddenTwoStream(Network):
    """float (N, 3 (L + 1), H, W), frames side by side -> logits (N, classes).

    Its parts are MotionNet (`motion`), the change of units (`flow_input`), and those of the
    temporal stream, whose classifier it has.
    """

    def __init__(self, motion: MotionNet, temporal: Network, *, unit: float = FLOW_UNIT) -> None:
        if temporal.layout != "stack" or temporal.channels != 2 * motion.length:
            raise UserError(
                f"MotionNet's {motion.length} fields of flow are a stack of {2 * motion.length} "
                f"channels, but the temporal network takes {temporal.channels} channels as a "
                f"{temporal.layout}; change --length or --network"
            )
        if "motion" in temporal.names or not plain(temporal):
            raise UserError(
                f"{type(temporal).__name__} cannot be taken apart, so it cannot stand behind "
                "MotionNet; choose another temporal network"
            )
        super().__init__(
            {
                "motion": motion,
                "flow_input": FlowInput(unit=unit),
                **dict(temporal.backbone.named_children()),
            },
            temporal.head,
            channels=motion.channels,
            size=temporal.size,
            fixed_size=temporal.fixed_size,
            dropout=temporal.dropout.p,
        )

    @property
    def motion(self) -> MotionNet:
        return cast(MotionNet, self.backbone.motion)

    def with_own_loss(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features, and MotionNet's loss on the same frames."""
        self.check(x)
        pyramid = self.motion.pyramid(x)
        pooled = self.after(enlarged(pyramid[0], x), "motion")
        return pooled, motion_loss(pyramid, x).total

    def start_from(self, state: Mapping[str, Tensor], source: str) -> str:
        """MotionNet's weights, from a run of `twostream train motion`, start the motion part."""
        if "network.conv_pr.weight" not in state:
            return ""
        return f"{self.motion.start_from(state, source)}; the temporal part starts anew"

    def flow(self, x: Tensor) -> Tensor:
        """(N, L, 2, H, W) in pixels: field i leads from frame i to frame i + 1."""
        return self.motion.flow(x)


def plain(net: Network) -> bool:
    """Whether its parts in a row and its classifier are all that it does."""
    kind = type(net)
    return (kind.features, kind.classify) == (Network.features, Network.classify)


def build(
    channels: int,
    classes: int,
    *,
    temporal: Network,
    width: float = 1.0,
    scales: int = 5,
    unit: float = FLOW_UNIT,
) -> HiddenTwoStream:
    """`hidden-two-stream`: `temporal` takes 2 L channels for 3 (L + 1) `channels` of frames (33:
    20) and classifies; `width` and `scales` are MotionNet's."""
    net = HiddenTwoStream(
        MotionNet(channels, width=width, scales=scales, size=temporal.size), temporal, unit=unit
    )
    known = [p.shape[0] for p in net.head.parameters()]
    if known and known[-1] != classes:
        raise UserError(
            f"the temporal network tells {known[-1]} classes apart, and {classes} are wanted; "
            "build it for as many"
        )
    return net


def build_named(
    channels: int,
    classes: int,
    *,
    temporal: str = "vgg16",
    size: int = 224,
    width: float = 1.0,
    scales: int = 5,
    dropout: float = 0.5,
) -> HiddenTwoStream:
    """The same, as all builders are called: `temporal` is the name of a network for pictures."""
    steps = channels // 3 - 1
    behind = build_network(temporal, "flow", classes, length=steps, size=size, dropout=dropout)
    behind.size = size
    return build(channels, classes, temporal=behind, width=width, scales=scales)
