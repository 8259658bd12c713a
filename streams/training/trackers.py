"""Weights & Biases and MLflow beside TensorBoard: the lines of metrics.jsonl, sent there as well.

A run here is one run there, over all its sittings: its id is kept in the run's folder. Where it is
kept, under which project and as whom is a matter of their own environment variables (WANDB_MODE,
WANDB_PROJECT, MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, ...). A tracker that fails is left out
from then on: it never ends a training. Nothing is imported where none is asked for.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from storage import atomic
from storage.errors import UserError

log = logging.getLogger(__name__)

PROJECT = "twostream"
"""The project, or experiment, where their variables name none."""


class Tracker(Protocol):
    """One run of a tracker's."""

    id: str
    """What the tracker knows it by."""

    def add(self, part: str, step: int, row: dict[str, float]) -> None:
        """One line of metrics.jsonl as curves `part/name`."""

    def close(self, whole: bool) -> None:
        """The sitting is over; `whole`: not by an error."""


class WandbTracker:
    """A run of Weights & Biases. Steps are an axis of ours, for its own may never go back."""

    def __init__(self, name: str, known: str | None, settings: dict[str, Any]) -> None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=name,
            id=known,
            resume="allow",
            config=settings,
            settings=wandb.Settings(console="off"),
        )
        self._run.define_metric("*", step_metric="step")
        self.id = str(self._run.id)

    def add(self, part: str, step: int, row: dict[str, float]) -> None:
        self._run.log({f"{part}/{name}": value for name, value in row.items()} | {"step": step})

    def close(self, whole: bool) -> None:
        self._run.finish(exit_code=0 if whole else 1)


class MlflowTracker:
    """A run of MLflow's, by its client: the state of its module is the user's."""

    def __init__(self, name: str, known: str | None, settings: dict[str, Any]) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient()
        if known is not None:
            self.id = known
            self._client.update_run(known, status="RUNNING")
            return
        title = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        experiment = self._client.get_experiment_by_name(title)
        place = experiment.experiment_id if experiment else self._client.create_experiment(title)
        self.id = str(self._client.create_run(place, run_name=name).info.run_id)
        for key, value in dotted(settings).items():
            self._client.log_param(self.id, key, value)

    def add(self, part: str, step: int, row: dict[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        curves = [Metric(f"{part}/{name}", value, now, step) for name, value in row.items()]
        self._client.log_batch(self.id, curves)

    def close(self, whole: bool) -> None:
        self._client.set_terminated(self.id, "FINISHED" if whole else "FAILED")


TRACKERS: dict[str, Callable[[str, str | None, dict[str, Any]], Tracker]] = {
    "wandb": WandbTracker,
    "mlflow": MlflowTracker,
}
"""Name of option, package and extra -> (the run's name, its id there, settings) -> a tracker."""


def check_trackers(names: Sequence[str]) -> None:
    """Refuse what is not known or not installed, before the work."""
    for name in names:
        if name not in TRACKERS:
            raise UserError(f"--track {name!r} is not known; choose {' or '.join(TRACKERS)}")
        if find_spec(name) is None:
            raise UserError(f"--track {name} needs its package: pip install 'twostream[{name}]'")


class Trackers:
    """All that were asked for; the ones that fail are left out."""

    def __init__(
        self, names: Sequence[str], run: Path, ids: Path, settings: dict[str, Any]
    ) -> None:
        """`run`: the run's folder, whose name is theirs. `ids`: the file that keeps their ids."""
        known = json.loads(ids.read_text(encoding="utf-8")) if ids.exists() else {}
        self._open: dict[str, Tracker] = {}
        for name in names:
            try:
                self._open[name] = TRACKERS[name](run.name, known.get(name), settings)
            except Exception as error:
                raise UserError(
                    f"--track {name} does not work here: {' '.join(str(error).split())}; "
                    "mend that, or leave it out"
                ) from None
        if self._open:
            known |= {name: tracker.id for name, tracker in self._open.items()}
            atomic.write_text(ids, json.dumps(known) + "\n", alone=True)

    def add(self, part: str, step: int, row: dict[str, float]) -> None:
        """One line of metrics.jsonl, to all of them."""
        self._each(lambda tracker: tracker.add(part, step, row))

    def close(self, whole: bool) -> None:
        self._each(lambda tracker: tracker.close(whole))
        self._open.clear()

    def _each(self, act: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._open.items()):
            try:
                act(tracker)
            except Exception as error:
                del self._open[name]
                log.warning(
                    "%s fails and is left out from here on (the training goes on): %s: %s",
                    name,
                    type(error).__name__,
                    " ".join(str(error).split()),
                )


def dotted(value: dict[str, Any], before: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    values: dict[str, Any] = {}
    for name, item in value.items():
        values |= (
            dotted(item, f"{before}{name}.") if isinstance(item, dict) else {before + name: item}
        )
    return values
