"""The runs that a prediction is made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from scripts.common import scorer_module
from storage.errors import UserError
from storage.store import StoreConfig
from streams.scoring import Run, Scorer, fields_needed
from streams.sequences import SequenceOnVideo

OWN_OPTIONS = ("spatial", "temporal", "difference", "fusion")
"""Kinds of runs that `predict` has an option for."""


@dataclass(frozen=True)
class Trained:
    """A run, its network, and how the store was made that it learned from."""

    run: Run
    scorer: Scorer | SequenceOnVideo
    config: StoreConfig

    @classmethod
    def open(
        cls,
        path: Path,
        kind: str | None,
        device: torch.device,
        feature_runs: Sequence[Run] = (),
    ) -> Trained:
        """`kind` None takes a run of any kind; `feature_runs` are for one of sequences."""
        run = Run.open(path)
        if kind is not None and run.kind != kind:
            how = f"as --{run.kind}" if run.kind in OWN_OPTIONS else "by --run"
            raise UserError(f"{path} is a {run.kind} run; give it {how}")
        if run.kind == "sequence":
            sequence = SequenceOnVideo(run, feature_runs, device)
            return cls(run, sequence, sequence.config)
        return cls(
            run,
            scorer_module(run.kind).open_scorer(run, device),
            StoreConfig.from_json(run.settings["data"]["store"]),
        )

    def served_by(self, config: StoreConfig) -> bool:
        """Whether what is made as `config` says is what this run was trained on."""
        mine, other = self.config.to_json(), config.to_json()
        relied = {name for made in self.scorer.inputs.values() for name in made.relies_on}
        return all(mine[name] == other[name] for name in relied)

    @property
    def needs_flow(self) -> bool:
        return bool(fields_needed(self.scorer.inputs, self.config.step))


def open_runs(
    of_kind: Mapping[str, Path],
    others: Sequence[Path],
    device: torch.device,
    features_of: Sequence[Path] = (),
) -> dict[str, Trained]:
    """Name -> run: those of a kind under its name, the others under their own name in tables.

    Where that is taken, the name of the run's folder stands behind it. `features_of` are the runs
    whose features those of sequences learned on.
    """
    runs = {kind: Trained.open(path, kind, device) for kind, path in of_kind.items()}
    feature_runs = [Run.open(path) for path in features_of]
    for path in others:
        trained = Trained.open(path, None, device, feature_runs)
        own, folder = trained.run.name, path.resolve().name
        numbered = (f"{own} ({folder} {k})" for k in range(2, len(others) + 2))
        choices = (own, f"{own} ({folder})", *numbered)
        runs[next(name for name in choices if name not in runs)] = trained
    first = next(iter(runs.values())).run
    for trained in runs.values():
        if trained.run.classes != first.classes:
            raise UserError(
                f"{trained.run.path} and {first.path} were trained for different classes "
                f"({len(trained.run.classes)} and {len(first.classes)})"
            )
    return runs
