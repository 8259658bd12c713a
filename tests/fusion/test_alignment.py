"""Frames and flow stay together: one mark, moving through both inputs, through every transform.

A bright square moves over a dark ground. In the flow the ground is at rest and the same square
moves right. Both are brought to 0 (ground) to 1 (mark), and then have to be equal, pixel by pixel,
in whatever the network is given: cropping, resizing and mirroring are linear and the same for both,
or they are wrong.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fusion.network.recipe import FusionOptions, FusionRecipe
from fusion.network.task import FusionTask, shared_crop
from fusion.network.towers import Tower
from storage.catalog.catalog import Catalog, Clip, Listing
from storage.codecs.quantize import Quantizer
from storage.store.config import StoreConfig
from storage.store.store import open_store
from storage.store.window import Window
from streams.inputs.flow import FlowStack
from streams.inputs.frames import RGB
from streams.samples.batch import collate
from streams.samples.crops import Crop
from streams.samples.sampling import Draw, Sampling
from streams.samples.source import Source
from streams.scoring.runs import Run
from streams.scoring.scoring import Views, score_clips
from streams.scoring.window_scores import score_window
from streams.training.options import LoopOptions
from streams.training.recipes import Recipe
from streams.training.weights_file import Weights

NO_WEIGHTS = Weights({}, {}, "none")
QUANTIZER = Quantizer("round")
REST, SPEED = int(QUANTIZER.zero), 220
UNIT = float(QUANTIZER.table[SPEED] - QUANTIZER.table[REST])
SIDE, SIZE = 8, 24
SHAPES = {"wide": (48, 64), "tall": (64, 48), "square": (44, 44), "wide too": (48, 64)}
LONG, SHORT = 14, 2
VIDEOS = {**SHAPES, "short": (48, 64)}
CROPS = ("corners", "random", "area", "centre")
STACKS: dict[str, FlowStack] = {
    "one": FlowStack(length=1),
    "forward": FlowStack(length=2),
    "bidirectional": FlowStack(length=2, stack="bidirectional"),
    "trajectory": FlowStack(length=2, stack="trajectory"),
    "less its mean": FlowStack(length=2, subtract_mean=True),
}


def frames_of(video: str) -> int:
    return SHORT if video == "short" else LONG


def place(video: str, moment: int) -> tuple[slice, slice]:
    """Where the mark is in a frame: a path of its own for each video, always inside."""
    height, width = VIDEOS[video]
    speed = 2 + list(VIDEOS).index(video)
    down, right = height - SIDE, width - SIDE
    top = abs((moment * speed + 5) % (2 * down) - down)
    left = abs((moment * 3 + 9 * speed) % (2 * right) - right)
    return slice(top, top + SIDE), slice(left, left + SIDE)


def rgb(video: str) -> np.ndarray:
    pictures = np.zeros((frames_of(video), *VIDEOS[video], 3), np.uint8)
    for moment, picture in enumerate(pictures):
        picture[place(video, moment)] = 255
    return pictures


def codes(video: str, first: int = 0) -> np.ndarray:
    """Pair i shows the mark where frame i + first has it."""
    pairs = np.full((frames_of(video) - 1, 2, *VIDEOS[video]), REST, np.uint8)
    for moment, pair in enumerate(pairs):
        pair[(0, *place(video, moment + first))] = SPEED
    return pairs


def config() -> StoreConfig:
    return StoreConfig(
        quantizer=QUANTIZER, codec="raw", frame_codec="raw", fields=("forward", "backward")
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    path = tmp_path_factory.mktemp("marks") / "store"
    with open_store(path, "w", config()) as store:
        for video in VIDEOS:
            with store.write(video) as writer:
                for picture in rgb(video):
                    writer.frame(picture)
                writer.flow(codes(video), "forward")
                writer.flow(codes(video, first=1), "backward")  # of pair i, it starts in i + 1
                writer.finish(fps=25)
    clips = [Clip(video, i % 2, video) for i, video in enumerate(VIDEOS)]
    parts = dict.fromkeys(("train", "validation", "test"), clips)
    listing = Listing("ucf", ("a", "b"), {})
    catalog = Catalog("ucf", path, listing.classes, listing, 0.0)
    return Source(catalog, 1, parts, {}, store=path, config=open_store(path).meta, short={})


def make_task(source: Source, stack: FlowStack, crop: Crop, fusion: FusionOptions) -> FusionTask:
    towers = []
    for kind, made in (("spatial", RGB()), ("temporal", stack)):
        settings = {"kind": kind, "data": source.settings()}
        run = Run(Path(kind), kind, source.classes, settings, {})
        towers.append(Tower(run, Recipe(made, crop=crop), NO_WEIGHTS))
    return FusionTask(*towers, FusionRecipe(fusion), source, seed=5)


@dataclass
class Marks:
    """Both inputs of views (V, T) as masks (V, T, S, S), 0 on the ground, 1 on the mark."""

    frames: Tensor
    flow: Tensor
    mirrored: Tensor
    """bool (V, T): the flow says left."""


def marks(inputs: tuple[Tensor, Tensor], stack: FlowStack) -> Marks:
    frames = inputs[0].mean(2)
    frames = frames - frames.amin(dim=(-2, -1), keepdim=True)
    bright = (
        RGB().normalise(torch.ones(3, 1, 1)).mean() - RGB().normalise(torch.zeros(3, 1, 1)).mean()
    )
    flow = inputs[1][:, :, 0] * stack.unit / UNIT
    ground = flow.flatten(-2).median(-1).values[..., None, None]
    flow = flow - ground
    mirrored = flow.flatten(-2).sum(-1) < 0
    return Marks(frames / bright, flow.abs(), mirrored)


def check(inputs: tuple[Tensor, Tensor], stack: FlowStack) -> Marks:
    """Both masks are one, and there is something in them to compare."""
    seen = marks(inputs, stack)
    torch.testing.assert_close(seen.flow, seen.frames, atol=0.01, rtol=0)
    assert float((seen.frames.amax(dim=(-2, -1)) > 0.9).float().mean()) > 0.4
    return seen


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("crops", CROPS)
@pytest.mark.parametrize("snapshots", [1, 3])
def test_training_views(source: Source, stack: FlowStack, crops: Any, snapshots: int) -> None:
    """One batch holds pictures of several sizes, one of them too short, mirrored and not."""
    crop = Crop(size=SIZE, crops=crops)
    task = make_task(source, stack, crop, FusionOptions(snapshots=snapshots, gap=3))
    data = task.data("train")
    batch = collate([data[Draw(i, i % len(VIDEOS))] for i in range(20)])
    seen = check(task.inputs(batch), stack)
    flips = torch.zeros(len(batch), dtype=torch.bool)
    for run in batch.runs["temporal"]:
        flips[run.first : run.stop] = run.flip
    assert bool(flips.any())
    assert not bool(flips.all())
    there = seen.flow.flatten(-2).sum(-1) > 1
    flips = flips[:, None].expand_as(there)
    assert torch.equal(seen.mirrored[there], flips[there])
    if snapshots > 1:  # the mark has moved between them
        moved = (seen.frames[:, 0] - seen.frames[:, 1]).abs().amax(dim=(-2, -1))
        assert float((moved > 0.5).float().mean()) > 0.4


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_the_validation_view(source: Source, stack: FlowStack) -> None:
    task = make_task(source, stack, Crop(size=SIZE), FusionOptions(snapshots=3, gap=2))
    data = task.data("validation")
    seen = check(task.inputs(collate([data[i] for i in range(len(data))])), stack)
    assert seen.frames.shape == (len(VIDEOS), 3, SIZE, SIZE)


def test_segments_too(source: Source) -> None:
    """Another sampling rule: random moments in equal parts of the video."""
    stack = STACKS["forward"]
    task = make_task(source, stack, Crop(size=SIZE), FusionOptions())
    data = task.data("train")
    data.sampling = Sampling(4)
    batch = collate([data[Draw(i, i % len(VIDEOS))] for i in range(20)])
    assert check(task.inputs(batch), stack).frames.shape[1] == 4


class Looking:
    """A scorer that keeps what it is shown."""

    def __init__(self, task: FusionTask) -> None:
        self.inputs, self.crop = task.tower_inputs, task.crop
        self.sampling = task.recipe.fusion.sampling
        self.net: nn.Module = nn.Identity()
        self.provenance: dict[str, Any] = {}
        self.seen: list[tuple[Tensor, Tensor]] = []

    def score(self, views: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        self.seen.append((views["spatial"], views["temporal"]))
        empty = torch.zeros(len(views["spatial"]), 2)
        return empty, empty


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
@pytest.mark.parametrize("crops", [1, 2, 5, 10])
def test_testing_views(source: Source, stack: FlowStack, crops: int) -> None:
    task = make_task(source, stack, Crop(size=SIZE), FusionOptions(snapshots=3, gap=2))
    scorer = Looking(task)
    clips, views = source.parts["test"], Views(6, crops)
    cpu, loop = torch.device("cpu"), LoopOptions(workers=0)
    score_clips(scorer, source, clips, views, cpu, loop)
    total = 0
    for inputs in scorer.seen:
        seen = check(inputs, stack)
        assert seen.frames.shape[1] == 6
        there = (seen.flow.flatten(-2).sum(-1) > 1).unflatten(0, (-1, crops))
        mirrored = seen.mirrored.unflatten(0, (-1, crops))
        total += len(mirrored)
        late = torch.arange(crops) >= (crops if crops in (1, 5) else crops // 2)
        late = late[None, :, None].expand_as(mirrored)
        assert torch.equal(mirrored[there], late[there])
    assert total == len(clips)


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_views_of_a_video_in_memory(source: Source, stack: FlowStack) -> None:
    """What `twostream predict` shows the network."""
    task = make_task(source, stack, Crop(size=SIZE), FusionOptions(snapshots=3, gap=2))
    for video in VIDEOS:
        about = open_store(source.store).video(video)
        flows = {"forward": codes(video), "backward": codes(video, first=1)}
        passage = Window(config(), about, 0, rgb(video), flows)
        scorer = Looking(task)
        within, views = range(frames_of(video)), Views(6, 10)
        found = score_window(scorer, passage, within, views, torch.device("cpu"))
        assert found is not None
        seen = marks(scorer.seen[0], stack)
        torch.testing.assert_close(seen.flow, seen.frames, atol=0.01, rtol=0)
        assert seen.frames.shape[:2] == (20, 3)


@pytest.mark.parametrize(
    "wrong", [RGB(offset=1), replace(RGB(), offset=2)], ids=["a frame late", "two frames late"]
)
def test_the_check_can_fail(source: Source, wrong: RGB) -> None:
    stack = STACKS["forward"]
    task = make_task(source, stack, Crop(size=SIZE), FusionOptions(snapshots=3, gap=2))
    task.tower_inputs["spatial"] = wrong
    data = task.data("validation")
    inputs = task.inputs(collate([data[i] for i in range(len(data))]))
    with pytest.raises(AssertionError, match="not close"):
        check(inputs, stack)
    right = make_task(source, stack, Crop(size=SIZE), FusionOptions(snapshots=3, gap=2))
    frames, flow = right.inputs(collate([right.data("validation")[i] for i in range(len(data))]))
    with pytest.raises(AssertionError, match="not close"):
        check((frames.flip(-1), flow), stack)  # mirrored in one input alone


def test_mirroring_needs_both_towers() -> None:
    plain, mirrored = (Recipe(RGB(), crop=Crop(flip=flip)) for flip in (False, True))
    assert shared_crop(mirrored, mirrored).flip
    assert not shared_crop(mirrored, plain).flip
    assert not shared_crop(plain, mirrored).flip
