"""Runs with random weights, for predictions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from flow.algorithms.table import algorithm
from flow.extraction.recipe import Recipe
from streams.samples.options import DataOptions
from streams.samples.source import open_source
from streams.training.recipes import recipe
from streams.training.run_folder import RunFolder
from streams.training.stream_task import StreamTask
from streams.training.weights_file import save_weights

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
