"""A frame network with an LSTM behind it, from pixels: LRCN, and the ConvNet+LSTM of Quo Vadis.

LRCN (Donahue et al., CVPR 2015): CaffeNet's wider offspring until fc6, an LSTM of 256, clips of 16
frames; the answer is the mean of the steps' probabilities. ConvNet+LSTM (Carreira and Zisserman,
CVPR 2017, section 2.1): the pooled features of Inception-v1 or ResNet-50, an LSTM of 512 with batch
norm, 25 frames of which each is the fifth; the last step answers. Both learn at every step alike.

Departures: batch norm stands behind the LSTM (Quo Vadis follows Cooijmans et al., who also
normalise within the recurrence); LRCN's flow network sees (x, y), in the paper (x, y, magnitude);
weights of frame networks start by He's rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from storage.errors import UserError
from streams.aggregators import StepNorm, full_precision_on_a_cpu, mean_over_views
from streams.networks.build import build_entry
from streams.networks.initial import start_small
from streams.networks.network import Network
from streams.networks.table import entry_of
from streams.networks.weights import fill

Answer = Literal["mean", "last"]


class EachFrame(nn.Sequential):
    """The parts of a frame network on every frame: (N, C, T, H, W) -> (N, T, D).

    Frozen, it keeps its weights and its running statistics.
    """

    def __init__(self, parts: Mapping[str, nn.Module], frozen: bool) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.frozen = frozen
        if frozen:
            self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> EachFrame:
        super().train(mode and not self.frozen)
        return self

    def forward(self, clip: Tensor) -> Tensor:
        each: Tensor = super().forward(clip.transpose(1, 2).flatten(0, 1))
        return each.unflatten(0, (clip.shape[0], clip.shape[2]))


class StepLSTM(nn.Module):
    """(N, T, D) -> (N, T, hidden), perhaps normalised over videos and steps together."""

    def __init__(self, width: int, hidden: int, norm: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(width, hidden, batch_first=True)
        self.norm = StepNorm(hidden) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        with full_precision_on_a_cpu(x.device):
            steps: Tensor = self.lstm(x.to(next(self.lstm.parameters()).dtype))[0]
        return steps if self.norm is None else self.norm(steps)


class StepClassifier(nn.Linear):
    """The states of all steps in a row, (N, T hidden) -> one answer, (N, classes).

    mean: logits whose softmax is the mean of the steps'. last: the last step's logits.
    """

    def __init__(self, hidden: int, classes: int, answer: Answer) -> None:
        super().__init__(hidden, classes)
        self.answer = answer
        start_small(self)

    def each(self, row: Tensor) -> Tensor:
        """(N, T hidden) -> (N, T, classes)."""
        return F.linear(row.unflatten(1, (-1, self.in_features)), self.weight, self.bias)

    def forward(self, row: Tensor) -> Tensor:
        if self.answer == "mean":
            return mean_over_views(self.each(row))
        return F.linear(row[:, -self.in_features :], self.weight, self.bias)


class FrameLSTM(Network):
    """float (N, C, T, H, W) -> logits (N, classes); pooled features are the states of all steps.

    Parts: `frames`, whose parts have the frame network's names, `lstm`, and `row`.
    """

    answers_each_step = True

    def __init__(
        self,
        build_frames: Callable[[], Network],
        classes: int,
        *,
        last: str = "",
        hidden: int,
        norm: bool,
        answer: Answer,
        frozen: bool,
        frames: int,
        dropout: float,
    ) -> None:
        """`last` names the frame network's last part that is used; empty: all of them."""
        net = build_frames()
        kept = net.names[: net.names.index(last) + 1] if last else net.names
        width = next(m for m in layers_behind(net, kept) if isinstance(m, nn.Linear)).in_features
        super().__init__(
            {
                "frames": EachFrame({n: net.backbone.get_submodule(n) for n in kept}, frozen),
                "lstm": StepLSTM(width, hidden, norm),
                "row": nn.Flatten(1),
            },
            StepClassifier(hidden, classes, answer),
            channels=net.channels,
            size=net.size,
            layout="clip",
            frames=frames,
            smallest=net.smallest,
            fixed_pixels=net.fixed_size,
            dropout=dropout,
        )
        self.build_frames = build_frames
        self.weights_of = net.name

    def classify_steps(self, features: Tensor) -> Tensor:
        head = self.head
        assert isinstance(head, StepClassifier)
        return head.each(self.dropout(features))

    def start_from(self, state: Mapping[str, Tensor], source: str) -> str:
        """Weights of the frame network alone start the frames' part."""
        if any(name.removeprefix("network.").startswith("backbone.lstm.") for name in state):
            return ""
        net = self.build_frames()
        done = fill(net, state, source)
        frames = self.backbone.get_submodule("frames")
        given = net.backbone.state_dict()
        frames.load_state_dict({name: given[name] for name in frames.state_dict()})
        return f"{done.removesuffix(', new classifier')} of {net.name}; the LSTM starts anew"


def layers_behind(net: Network, kept: tuple[str, ...]) -> list[nn.Module]:
    """What a frame network does with the features that are handed to the LSTM."""
    rest = [part for name, part in net.backbone.named_children() if name not in kept]
    return [layer for part in (*rest, net.head) for layer in part.modules()]


def frames_named(
    name: str, channels: int, classes: int, size: int, options: Mapping[str, float]
) -> Network:
    """A frame network of the table, for one frame (or one field of flow)."""
    entry = entry_of(name)
    if entry.layout != "stack" or "temporal" not in entry.streams:
        raise UserError(f"--extra frame_network={name} is no network for single frames")
    return build_entry(entry, name, channels, 1, classes, size, dict(options))


def build_lrcn(
    channels: int,
    classes: int,
    *,
    frames: int = 16,
    size: int = 227,
    hidden: int = 256,
    dropout: float = 0.5,
    frame_dropout: float = 0.9,
    frozen: bool = False,
    width: float = 1.0,
) -> FrameLSTM:
    """`lrcn`. `frame_dropout` falls behind fc6, `dropout` behind the LSTM; `width` multiplies the
    frame network's filters. --weights of an `lrcn-caffenet` run start its frames, as in the
    paper."""
    build = partial(
        frames_named,
        "lrcn-caffenet",
        channels,
        classes,
        size,
        {"dropout": frame_dropout, "width": width},
    )
    return FrameLSTM(
        build,
        classes,
        last="drop6",
        hidden=hidden,
        norm=False,
        answer="mean",
        frozen=frozen,
        frames=frames,
        dropout=dropout,
    )


def build_convnet_lstm(
    channels: int,
    classes: int,
    *,
    frames: int = 25,
    size: int = 224,
    frame_network: str = "inception-v1",
    hidden: int = 512,
    norm: bool = True,
    dropout: float = 0.0,
    frozen: bool = False,
) -> FrameLSTM:
    """`convnet-lstm`. 8,954,928 numbers of Inception-v1, 28,960,208 of ResNet-50, for RGB and 400
    classes. --weights of a run of the frame network, or ImageNet's, start its frames; with `frozen`
    they stay as they are."""
    build = partial(frames_named, frame_network, channels, classes, size, {})
    return FrameLSTM(
        build,
        classes,
        hidden=hidden,
        norm=norm,
        answer="last",
        frozen=frozen,
        frames=frames,
        dropout=dropout,
    )
