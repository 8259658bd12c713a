"""A frame network with an LSTM behind it, from pixels: ConvNet+LSTM of Quo Vadis."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.aggregators.recurrent import Norm, Recurrent
from streams.aggregators.stepwise import State, Stepwise


class FrameSequence(Stepwise):
    """Frames (N, T, C, H, W) -> `frame_network` on each -> (N, T, D) -> `recurrent`.

    `frame_network` maps (M, C, H, W) to (M, D): a network's `backbone`, for instance. It sees the
    valid frames only. Frozen, it keeps its weights and its running statistics and runs without a
    gradient; learning, a truncation bounds its memory too.
    """

    takes = "maps"

    def __init__(
        self,
        frame_network: nn.Module,
        recurrent: Recurrent,
        *,
        channels: int = 3,
        frozen: bool = False,
    ) -> None:
        super().__init__(
            channels,
            recurrent.classes,
            prediction=recurrent.prediction,
            loss=recurrent.loss,
            truncation=recurrent.truncation,
        )
        self.frame_network, self.recurrent, self.frozen = frame_network, recurrent, frozen
        if frozen:
            frame_network.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> FrameSequence:
        super().train(mode)
        if self.frozen:
            self.frame_network.eval()
        return self

    def features(self, x: Tensor, mask: Tensor) -> Tensor:
        """Frames (N, T, C, H, W) -> (N, T, D), zero where there is no frame."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            each = self.frame_network(x[mask])
        width = self.recurrent.width
        if each.shape[1:] != (width,):
            raise UserError(
                f"the frame network gives {tuple(each.shape[1:])} a frame, the recurrent network "
                f"takes ({width},); give the network without its classifier, and its width"
            )
        whole = torch.zeros(*mask.shape, width, dtype=each.dtype, device=each.device)
        return whole.masked_scatter(mask[:, :, None], each)

    def start(self, x: Tensor, mask: Tensor) -> State:
        return self.recurrent.start(x, mask)

    def advance(self, x: Tensor, mask: Tensor, state: State) -> tuple[Tensor, State]:
        return self.recurrent.advance(self.features(x, mask), mask, state)


class ConvNetLSTM(FrameSequence):
    """ConvNet+LSTM of Quo Vadis (CVPR 2017), section 2.1: one LSTM of 512 with batch norm on the
    pooled features of Inception-v1 (1024) or ResNet-50 (2048). The loss is at every step alike,
    the answer is the last step's. With 400 classes 8,954,928 and 28,960,208 parameters.
    """

    frames, stride = 25, 5
    """Training sees 25 frames, every fifth: 5 seconds at 25 frames a second. Testing sees 50."""

    def __init__(
        self,
        frame_network: nn.Module,
        width: int,
        classes: int,
        *,
        hidden: int = 512,
        norm: Norm = "batch",
        dropout: float = 0.0,
        frozen: bool = False,
        channels: int = 3,
        truncation: int = 0,
    ) -> None:
        """`width` is D of the frame network's features."""
        recurrent = Recurrent(
            width,
            classes,
            hidden=hidden,
            norm=norm,
            dropout=dropout,
            prediction="last",
            loss="mean",
            truncation=truncation,
        )
        super().__init__(frame_network, recurrent, channels=channels, frozen=frozen)
