"""Runs with random weights, for explanations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from feature_material import write_made
from streams_tiny import Tiny

from fusion.network import FusionOptions, FusionRecipe, FusionTask, load_tower
from streams.samples import DataOptions, open_source
from streams.sequences import (
    FeatureData,
    SequenceTask,
    Windows,
    open_feature_source,
    sequence_recipe,
)
from streams.training import RunFolder, StreamTask, recipe, save_weights


def stream_run(folder: Path, tiny: Tiny, kind: str, network: str, length: int, *extra: str) -> Path:
    """As training leaves it; random weights."""
    chosen = recipe("small", kind, network)
    chosen = replace(
        chosen,
        input=replace(chosen.input, length=length, stride=1),  # type: ignore[arg-type]
        crop=replace(chosen.crop, size=32),
        network=replace(chosen.network, network=network, extra=extra),
    )
    source = open_source(DataOptions(tiny.store, tiny.labels), {kind: chosen.input})
    torch.manual_seed(0)
    task = StreamTask(kind, chosen, source, seed=0)
    run = RunFolder(folder)
    run.begin(task.settings(), {"recipe": "small"})
    weights = task.build_model(initial=True).state_dict()
    save_weights(run.best, weights, {"classes": list(task.classes)})
    return folder


def fusion_run(folder: Path, tiny: Tiny) -> Path:
    """Of two towers with random weights, joined twice."""
    lengths = {"spatial": 1, "temporal": 3}
    towers = [
        load_tower(stream_run(folder / kind, tiny, kind, "resnet18", length), kind)
        for kind, length in lengths.items()
    ]
    fusing = FusionOptions(snapshots=3, gap=1, stages=("layer1", "layer2"))
    inputs = {tower.kind: tower.recipe.input for tower in towers}
    source = open_source(DataOptions(tiny.store, tiny.labels), inputs)
    task = FusionTask(towers[0], towers[1], FusionRecipe(fusing), source, seed=3)
    run = RunFolder(folder / "run")
    run.begin(task.settings(), {"recipe": "small"})
    weights = task.build_model(initial=True).state_dict()
    save_weights(run.best, weights, {"classes": list(task.classes)})
    return folder / "run"


def sequence_run(folder: Path, network: str) -> tuple[Path, Path, Path]:
    """A run of random weights, the features that it learned on, and their lists."""
    made = write_made(folder / "features")
    store = made.maps if network == "visual-attention" else made.rgb
    chosen = sequence_recipe("small", network)
    chosen = replace(chosen, windows=Windows(length=8), net=replace(chosen.net, hidden=8))
    source = open_feature_source(FeatureData((store,), made.labels))
    task = SequenceTask(chosen, source, 0)
    run = RunFolder(folder / "run")
    run.begin(task.settings(), {"recipe": "small"})
    weights = task.build_model(initial=True).state_dict()
    save_weights(run.best, weights, {"classes": list(task.classes)})
    return folder / "run", store, made.labels
