"""A network over sequences on a stretch of video that is in memory: its features are made there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from storage.errors import UserError
from storage.features import FeatureConfig
from storage.store import StoreConfig, Window
from streams.aggregators import matching_steps, mean_over_views
from streams.inputs import AnyInput
from streams.samples import Box, Sample, collate, quantiser_table, shared_moments
from streams.scoring import NetworkTap, Run, Tap, WindowScores, moments_within
from streams.sequences.looks import on_steps
from streams.sequences.scoring import SequenceScorer

AT_ONCE = 4
"""Moments whose pictures are in memory at once."""
WINDOWS = 10
"""As `twostream score` has it."""


@dataclass(frozen=True)
class SequenceScores(WindowScores):
    """What it says of some frames, and where it looked in them."""

    moments: tuple[int, ...] = ()
    """(T,): the frame at which each step stands."""
    weights: NDArray[np.float32] | None = None
    """As `VideoWeights` has them, (T,) or (T, h, w); None for a network without attention."""
    share: float = 1.0
    """How much of the shorter side of a frame the features saw: places lie in that square."""

    @property
    def over_places(self) -> bool:
        return self.weights is not None and self.weights.ndim == 3


class SequenceOnVideo:
    """The network of a sequence's run, and the networks whose features it learned on."""

    def __init__(self, run: Run, feature_runs: Sequence[Run], device: torch.device) -> None:
        self.scorer = SequenceScorer(run, device)
        self.windows = self.scorer.recipe.windows
        self.device = device
        configs = [FeatureConfig.from_json(made) for made in run.settings["data"]["features"]]
        self.dtypes = [config.dtype for config in configs]
        self.taps = [tap_of(run, config, feature_runs, device) for config in configs]
        self.inputs: dict[str, AnyInput] = {
            f"{number} {tap.kind}": tap.input for number, tap in enumerate(self.taps)
        }
        self.crop = self.taps[0].crop
        self.config = StoreConfig.from_json(configs[0].source)
        relied = {name for made in self.inputs.values() for name in made.relies_on}
        for config in configs[1:]:
            mine, other = self.config.to_json(), config.source
            different = sorted(name for name in relied if mine[name] != other.get(name))
            if different:
                raise UserError(
                    f"{run.path} learned on features of two stores that differ in "
                    f"{', '.join(different)}: no one video has both; score it with --features"
                )

    @torch.inference_mode()
    def score_window(self, window: Window, within: range) -> SequenceScores | None:
        """What the network says of the frames `within`; it stands at the middle one.

        Of a whole video the logits are those of `twostream score`. None where an input finds no
        place in them.
        """
        moments = [self.moments(number, window, within) for number in range(len(self.taps))]
        if not all(moments):
            return None
        features = [self.features(number, window, own) for number, own in enumerate(moments)]
        steps = len(features[0])
        chosen = self.windows.testing(steps, WINDOWS)
        columns = [rows[matching_steps(chosen, steps, len(rows))] for rows in features]
        x = torch.from_numpy(np.concatenate(columns, 2)).to(self.device)
        lengths = torch.full((len(x),), x.shape[1], device=self.device)
        logits = self.scorer.net(x, lengths).float()
        whole = mean_over_views(logits[None])[0].cpu().numpy()
        looked = self.scorer.net.aggregator.weights(self.scorer.net.standardised(x))
        return SequenceScores(
            whole,
            (moments[0][len(moments[0]) // 2],),
            whole[None],
            tuple(moments[0]),
            None if looked is None else on_steps(looked.float().cpu().numpy(), chosen, steps),
            self.crop.test_share,
        )

    def moments(self, number: int, window: Window, within: range) -> list[int]:
        """Where a network looks; a video that is too short for it repeats its last frames."""
        tap, about = self.taps[number], window.about
        possible = shared_moments(tap.inputs, about, window.meta)
        return tap.tap.moments(moments_within(possible, within, about))

    def features(self, number: int, window: Window, moments: list[int]) -> NDArray:
        """(T, D) or (T, D, h, w), as a feature store would give them."""
        tap, about = self.taps[number], window.about
        table = quantiser_table(window.meta).to(self.device)
        whole = Box(0, 0, about.height, about.width)
        rows = []
        for first in range(0, len(moments), AT_ONCE):
            planes = [
                tap.input.read(window, about, moment, window.meta)  # type: ignore[arg-type]
                for moment in moments[first : first + AT_ONCE]
            ]
            boxes = {tap.kind: whole}
            sample = Sample(about.video, 0, {tap.kind: planes}, boxes, False, whole)
            rows.append(tap.of_batch(collate([sample]).to(self.device), table))
        return np.concatenate(rows).astype(self.dtypes[number])


def tap_of(
    run: Run, config: FeatureConfig, feature_runs: Sequence[Run], device: torch.device
) -> NetworkTap:
    """The network that made the features, found by the hash of its weights."""
    name, wanted = config.network.get("name") or config.network.get("kind"), config.network
    if "weights" not in wanted:
        raise UserError(
            f"{run.path} learned on features that no run makes ({name}): it cannot predict a "
            "video; score it with `twostream score --features`"
        )
    views = {"every": 0, "snapshots": 1} | config.views
    tap = Tap(at=config.at, dtype=config.dtype, **views)
    different: list[str] = []
    for candidate in feature_runs:
        if candidate.best().hash != wanted["weights"]:
            continue
        tapped = NetworkTap(candidate, tap, device, wanted.get("precision", "off"))
        different = tapped.config(config.source).differences(config)
        if not different:
            return tapped
    if different:
        said = different[0].replace("the store has", "it has").replace("asked for", "learned on")
        raise UserError(f"--features-of looks at videos otherwise than {run.path} knows: {said}")
    raise UserError(
        f"{run.path} learned on features of the network {name} with the weights "
        f"{wanted['weights']}: give its run by --features-of RUN"
    )
