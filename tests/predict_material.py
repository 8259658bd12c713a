"""Runs with random weights, for predictions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from flow.algorithms.table import algorithm
from flow.extraction.extract import extract_video
from flow.extraction.recipe import Recipe
from flow.video.resize import Resize
from fusion.network.recipe import FusionOptions, FusionRecipe
from fusion.network.task import FusionTask, fusion_net
from fusion.network.towers import load_tower
from scripts.prediction.prediction import Looking
from scripts.prediction.trained import Trained
from scripts.samples.sample_videos import SampleData, make_sample_data
from storage import ScoreTable, open_store
from streams.samples.options import DataOptions
from streams.samples.source import open_source
from streams.scoring.scoring import Views, score_table
from streams.training.options import LoopOptions
from streams.training.recipes import recipe
from streams.training.run_folder import RunFolder
from streams.training.stream_task import StreamTask
from streams.training.weights_file import save_weights

CPU = torch.device("cpu")
KINDS = ("spatial", "temporal")
FAST = Recipe(flow=algorithm("dis", preset="ultrafast"))


def random_run(folder: Path, kind: str, store: Path, lists: Path) -> None:
    """A run folder as training leaves it, with random weights that prefer some classes."""
    chosen = recipe("small", kind)
    chosen = replace(chosen, crop=replace(chosen.crop, size=32))
    data = DataOptions(store, lists, validation=0, empty_classes=True)
    source = open_source(data, {kind: chosen.input}, ("test",))
    task = StreamTask(kind, chosen, source, seed=len(kind))
    net = task.build_model(initial=False)
    with torch.no_grad():
        net.head.weight.mul_(60)  # type: ignore[union-attr, operator]
    run = RunFolder(folder)
    run.begin(task.settings(), {"recipe": "small"})
    save_weights(run.best, net.state_dict(), {"classes": list(task.classes)})


def random_fusion(folder: Path, towers: Path, store: Path, lists: Path) -> None:
    """A run of two such runs, fused and never trained."""
    pair = [load_tower(towers / kind, kind) for kind in KINDS]
    fusing = FusionOptions(snapshots=3, gap=2, two_towers=0.5)
    data = DataOptions(store, lists, validation=0, empty_classes=True)
    source = open_source(data, {t.kind: t.recipe.input for t in pair}, ("test",))
    task = FusionTask(pair[0], pair[1], FusionRecipe(fusing), source, seed=3)
    net = fusion_net(task.recipe, *(tower.net() for tower in pair))
    run = RunFolder(folder)
    run.begin(task.settings(), {"recipe": "small"})
    save_weights(run.best, net.state_dict(), {"classes": list(task.classes)})


def make_house(out: Path) -> Path:
    """videos/, lists/, store, a run of each kind, and a spatial run of a smaller store."""
    shape = SampleData(appearances=2, motions=2, groups=2, clips=1, frames=40, width=64, height=48)
    make_sample_data(out, shape)
    small = replace(FAST, resize=Resize(short_side=32))
    for name, made in (("store", FAST), ("small.store", small)):
        with open_store(out / name, "w", made.config()) as store:
            for path in sorted(out.glob("videos/*/*g01*.avi")):
                video = path.relative_to(out / "videos").with_suffix("").as_posix()
                extract_video(path, video, store, made)
    for kind in KINDS:
        random_run(out / kind, kind, out / "store", out / "lists")
    random_fusion(out / "fusion", out, out / "store", out / "lists")
    random_run(out / "small spatial", "spatial", out / "small.store", out / "lists")
    return out


def opened(house: Path, **names: str) -> dict[str, Trained]:
    return {kind: Trained.open(house / name, kind, CPU) for kind, name in names.items()}


BOTH = {"spatial": "spatial", "temporal": "temporal"}


def scored(house: Path, kind: str, views: Views) -> ScoreTable:
    """What `twostream score` writes of the stored videos."""
    trained = Trained.open(house / kind, kind, CPU)
    data = DataOptions(house / "store", house / "lists", validation=0, empty_classes=True)
    source = open_source(data, trained.scorer.inputs, ("test",))
    loop = LoopOptions(workers=0)
    return score_table(trained.scorer, source, "test", views, CPU, loop, stream=kind, provenance={})


FEW = Views(6, 1)


def looking(views: Views = FEW, window: float = 10, stride: float = 5, **more: Any) -> Looking:
    return Looking(views, window, stride, 1, **more)


def a_video(house: Path) -> str:
    return str(min(house.glob("videos/*/*g01*.avi")))
