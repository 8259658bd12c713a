"""Features of videos, from somewhere inside a trained network, into a feature store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from storage.catalog import Clip
from storage.errors import UserError
from storage.features import FeatureConfig, FeatureStore
from streams.inputs import AnyInput, settings_of
from streams.networks import StreamNet
from streams.samples import (
    MIRRORED,
    Box,
    ClipDataset,
    Crop,
    Sample,
    Sampling,
    Slices,
    View,
    decoded,
    make_loader,
    plainly,
    quantiser_table,
    shared_moments,
    test_crops,
)
from streams.scoring.runs import Run, load_stream
from streams.scoring.scoring import PICTURES, frames_of
from streams.scoring.tap import Tap
from streams.settings import values_of
from streams.training import LoopOptions, Precision

AT_ONCE = 32
"""Moments of a video that are read at once, at most."""


class MomentPieces(ClipDataset):
    """Videos looked at moment after moment, some moments a sample: item i is a piece of a video."""

    def __init__(
        self,
        store: Path,
        clips: Sequence[Clip],
        inputs: Mapping[str, AnyInput],
        crop: Crop,
        tap: Tap,
    ) -> None:
        super().__init__(store, clips, inputs, sampling=Sampling(), crop=crop, whole=True)
        self.pieces: list[tuple[int, tuple[int, ...]]] = []
        most = max(1, AT_ONCE // max(frames_of(input_) for input_ in inputs.values()))
        for number, clip in enumerate(self.clips):
            there = shared_moments(inputs, self.store.video(clip.video), self.store.meta)
            moments = tap.moments(there)
            self.pieces += [
                (number, tuple(moments[first : first + most]))
                for first in range(0, len(moments), most)
            ]

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, which: Any) -> Sample:
        number, moments = self.pieces[which]
        clip = self.clips[number]
        video = self.store.video(clip.video)
        return self.sample(clip, video, View(moments, Box(0, 0, video.height, video.width), False))


class NetworkTap:
    """The network of a stream's run, tapped."""

    def __init__(self, run: Run, tap: Tap, device: torch.device, precision: str = "off") -> None:
        if "input" not in run.settings["recipe"]:
            raise UserError(
                f"{run.path} is a run of kind {run.kind}; features come from a run of a stream"
            )
        recipe = run.recipe
        self.kind, self.input, self.crop = run.kind, recipe.input, recipe.crop
        self.inputs: dict[str, AnyInput] = {run.kind: recipe.input}
        self.net: StreamNet
        self.net, weights = load_stream(run, device)
        self.tap, self.device = tap, device
        self.precision = Precision.choose(precision, device)
        if tap.crops in MIRRORED and not recipe.crop.flip:
            raise UserError(
                f"--crops {tap.crops} has mirror images, but {run.path} was trained without "
                f"(--no-flip): use {tap.crops // 2}"
            )
        size = recipe.crop.size
        blank = torch.zeros(1, 1, recipe.input.channels, size, size, device=device)
        self.shape = self.features(blank.expand(1, tap.crops, -1, -1, -1)).shape[1:]
        if len(self.shape) == 3 and tap.crops > 1:
            raise UserError(f"maps of {tap.crops} crops do not lie on each other; give --crops 1")
        self.about = {
            "kind": run.kind,
            "name": recipe.network.name,
            "weights": weights.hash,
            "input": settings_of(recipe.input),
            "crop": {"size": size, "test_share": recipe.crop.test_share},
            "network": values_of(recipe.network),
            "precision": precision,
        }

    def config(self, source: dict[str, Any]) -> FeatureConfig:
        """What its feature store says; `source` is the manifest of the store it reads."""
        return FeatureConfig(
            tuple(self.shape), self.tap.at, self.about, self.tap.views(), source, self.tap.dtype
        )

    @torch.inference_mode()
    def features(self, views: Tensor) -> Tensor:
        """Normalised pictures (n, crops, C, S, S) -> float32 (n, D) or (n, D, h, w)."""
        parts = []
        at_once = max(1, PICTURES // (frames_of(self.input) * views.shape[1]))
        for first in range(0, len(views), at_once):
            with self.precision.context():
                part = self.net.tapped(views[first : first + at_once], self.tap.at)
            parts.append(part.float().mean(1))
        return torch.cat(parts)

    def write(
        self,
        source: Path,
        videos: Sequence[str],
        store: FeatureStore,
        options: LoopOptions,
        watch: Callable[[int], object] = lambda done: None,
    ) -> None:
        """Features of some videos of the store `source`, one video after the other."""
        clips = [Clip(video, 0, video) for video in videos]
        data = MomentPieces(source, clips, self.inputs, self.crop, self.tap)
        table = quantiser_table(data.store.meta).to(self.device)
        loader = make_loader(
            data, Slices(len(data), 1), options.loading_processes(), self.device.type == "cuda"
        )
        for number, pieces in groupby(
            zip(data.pieces, plainly(loader), strict=True), key=lambda pair: pair[0][0]
        ):
            video = clips[number].video
            with store.write(video) as writer:
                moments: list[int] = []
                for (_, own), batch in pieces:
                    moments += own
                    writer.add(self.of_batch(batch.to(self.device), table))
                meta = data.store.video(video)
                writer.finish(moments, fps=meta.fps, source=meta.source)
            watch(1)

    def of_batch(self, batch: Any, table: Tensor) -> NDArray[np.float32]:
        (run,) = batch.runs[self.kind]
        pictures = decoded(batch.planes[self.kind], run, self.input, table)[0]
        crop = self.crop
        views = test_crops(pictures, self.input, crop.test_share, crop.size, self.tap.crops)
        return self.features(views).cpu().numpy()


def usable(
    source: Path, inputs: Mapping[str, AnyInput], videos: Sequence[str]
) -> Iterator[tuple[str, bool]]:
    """Videos, and whether there is anything in them that the inputs can stand on."""
    from storage.store import open_store

    with open_store(source) as store:
        for input_ in inputs.values():
            input_.check(store.meta)
        for video in videos:
            meta = store.video(video)
            yield video, all(input_.repeatable(meta) for input_ in inputs.values())
