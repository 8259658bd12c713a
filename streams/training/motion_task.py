"""Training MotionNet without labels: frames in, and how well its flow explains the next frame.

The loss is that of `streams.networks.photometric`. Where the store holds flow from each frame to
the next one that the network sees, the validation also says how far MotionNet's flow is from it:
`epe`, the mean end-point error in pixels of the network's input, and `epe_zero`, that of no motion.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.inputs import RGB, FlowStack, Input
from streams.networks import MotionNet, judge_flow, motion_loss
from streams.samples import Batch, Source, prepare
from streams.training.recipes import Recipe
from streams.training.stream_task import StreamTask, stream_net
from streams.training.task import Step

STORED = "flow"
"""The name of the store's flow in a batch."""


class MotionLearner(nn.Module):
    """float (N, 3 (L + 1), H, W) -> the finest flow (N, 2 L, H / 2, W / 2), in pixels of the
    input, and the loss."""

    def __init__(self, network: MotionNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        pyramid = self.network.pyramid(frames)
        return pyramid[0], motion_loss(pyramid, frames).total


class MotionTask(StreamTask):
    """MotionNet alone, on frames."""

    answers = False

    def __init__(self, kind: str, recipe: Recipe, source: Source, seed: int) -> None:
        super().__init__(kind, recipe, source, seed)
        frames = recipe.input
        if not isinstance(frames, RGB) or frames.length < 2:
            raise UserError("motion is learnt from 2 frames or more; change --length")
        config = source.config
        judged = "forward" in config.fields and config.step == frames.stride
        self.stored = FlowStack(frames.length - 1, frames.stride, unit=1.0) if judged else None
        self.measures = ("epe", "epe_zero") if judged else ()

    def build_model(self, initial: bool) -> nn.Module:
        torch.manual_seed(self.seed)
        network = stream_net(self.recipe, len(self.classes)).network
        if not isinstance(network, MotionNet):
            raise UserError(
                f"`twostream train motion` trains motionnet, not {self.recipe.network.name}"
            )
        if initial:
            self.fill(network)
        return MotionLearner(network)

    def seen(self, part: str) -> dict[str, Input]:
        seen = super().seen(part)
        if part == "validation" and self.stored is not None:
            seen[STORED] = self.stored
        return seen

    def step(self, model: Callable[..., Any], batch: Batch, state: Any = None) -> Step:
        flow, loss = model(self.inputs(batch).flatten(0, 1))
        measures = self.judged(flow, batch) if STORED in batch.planes else {}
        return Step(loss, None, measures=measures)

    @torch.no_grad()
    def judged(self, flow: Tensor, batch: Batch) -> dict[str, float]:
        """MotionNet's finest flow against the store's, on the places that the former has."""
        assert self.stored is not None
        stored = prepare(batch, STORED, self.stored, self._table, self.recipe.crop.size)
        stored = stored.unflatten(2, (-1, 2)) * self.enlargement(batch).to(stored.device)
        stored = nn.AdaptiveAvgPool2d((flow.shape[-2], flow.shape[-1]))(stored.flatten(0, 2))
        error = judge_flow(flow.unflatten(1, (-1, 2)).flatten(0, 1), stored)
        return {"epe": error.all, "epe_zero": error.zero_all}

    def enlargement(self, batch: Batch) -> Tensor:
        """(B, 1, 1, 2, 1, 1): pixels of the input for one of the stored picture, x and y."""
        size = self.recipe.crop.size
        boxes = [box for rows in batch.runs[STORED] for box in rows.boxes]
        scales = [(size / box.width, size / box.height) for box in boxes]
        return torch.tensor(scales).view(len(boxes), 1, 1, 2, 1, 1)
