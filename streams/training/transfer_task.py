"""Training a network for clips by "is it the same video?", beside one for pictures that stays as it
is (T3D's transfer; the model is `streams.networks.transfer`).

Frame and clip of a sample are of one moment, cropped and mirrored alike. The wrong pairs of a
training step are drawn from the step's own seed, those of a validation are always the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from storage.errors import UserError
from streams.inputs import RGB, Input
from streams.networks import Network, SameVideo, build_network, entry_of, load_initial
from streams.samples import Batch, Source, prepare
from streams.training.recipes import Recipe, recipe, recipe_from
from streams.training.run_folder import RunFolder
from streams.training.stream_task import StreamTask, stream_net
from streams.training.task import Step, decay_groups
from streams.training.weights_file import hash_of_tensors

PICTURES = "pictures"
"""The name of the single frames in a batch."""
LIBRARY = "torchvision:"


@dataclass(frozen=True)
class Teacher:
    """A network for pictures, how it looks at frames, and what it is."""

    network: Network
    input: RGB
    facts: dict[str, str]


def open_teacher(where: str, size: int) -> Teacher:
    """The frame network of a spatial run's folder, or torchvision:NAME with ImageNet's weights, for
    pictures of so many pixels."""
    if where.startswith(LIBRARY):
        chosen = recipe("modern", "spatial", where)
        net = build_network(where, "rgb", 1000, size=size, weights="imagenet")
    else:
        folder = RunFolder(Path(where))
        settings = folder.read()["settings"]
        if settings["kind"] != "spatial":
            raise UserError(
                f"--pictures {where} is a {settings['kind']} run; give a spatial one, or "
                "torchvision:NAME"
            )
        chosen = recipe_from(settings["recipe"])
        net = stream_net(chosen, len(settings["data"]["classes"])).network
        load_initial(net, chosen.network.name, where)
    seen = chosen.input
    if entry_of(chosen.network.name).layout != "stack" or not isinstance(seen, RGB):
        raise UserError(f"--pictures {where} is {chosen.network.name}, which is for clips")
    net.check(torch.empty(1, net.channels, size, size, device="meta"))
    facts = {"network": chosen.network.name, "weights": hash_of_tensors(net.state_dict())}
    return Teacher(net, seen, facts)


class TransferTask(StreamTask):
    """A network for clips of frames, without labels."""

    answers = False
    measures: tuple[str, ...] = ("right",)
    """The share of pairs that it tells rightly; half of them by chance."""

    def __init__(self, kind: str, recipe: Recipe, source: Source, seed: int, pictures: str) -> None:
        super().__init__(kind, recipe, source, seed)
        if len({clip.video for clip in source.parts["train"]}) < 2:
            raise UserError("transfer compares videos: the training part needs two or more")
        self.teacher = open_teacher(pictures, recipe.crop.size)

    def settings(self) -> dict[str, Any]:
        return super().settings() | {PICTURES: self.teacher.facts}

    def build_model(self, initial: bool) -> nn.Module:
        torch.manual_seed(self.seed)
        clips = stream_net(self.recipe, len(self.classes)).network
        if initial:
            self.fill(clips)
        return SameVideo(self.teacher.network, clips)

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        return decay_groups(model, "judge.", self.optim.head_lr)

    def seen(self, part: str) -> dict[str, Input]:
        return super().seen(part) | {PICTURES: self.teacher.input}

    def step(self, model: Callable[..., Any], batch: Batch, state: Any = None) -> Step:
        learning = bool(getattr(model, "training", False))
        # In training the loop has just given torch a seed of this step's own.
        seed = torch.initial_seed() if learning else self.seed
        frames, clips = self.pictures(batch), self.inputs(batch)
        clips = clips.unflatten(2, (-1, self.recipe.input.step_channels)).transpose(2, 3)
        numbers = {video: number for number, video in enumerate(sorted(set(batch.videos)))}
        videos = torch.tensor([numbers[video] for video in batch.videos])
        logits, same = model(
            frames.flatten(0, 1),
            clips.flatten(0, 1),
            videos.repeat_interleave(frames.shape[1]),
            torch.Generator().manual_seed(seed),
        )
        loss = nnf.cross_entropy(logits.float(), same)
        right = {} if learning else {"right": float((logits.argmax(1) == same).float().mean())}
        return Step(loss, None, measures=right)

    @torch.no_grad()
    def pictures(self, batch: Batch) -> Tensor:
        """float32 (B, K, 3, H, W), as the frame network sees them."""
        size = self.recipe.crop.size
        return prepare(batch, PICTURES, self.teacher.input, self._table, size)
