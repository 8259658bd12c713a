"""The folder of a run: what is needed to repeat it, its checkpoints, its measurements.

config.json        settings that decide the result, and how the run was made
run.yaml           all options, for `twostream train KIND --config run.yaml`
log.txt            what was said on the way
lock               held while a process trains here
metrics.jsonl      a line every few steps and every validation
curve.png          the same, drawn
left_out.json      videos of the lists that were not used, by reason
checkpoints/       last.pt (to go on), best.safetensors (to score)
tensorboard/       the same as metrics.jsonl, for TensorBoard
trackers.json      what other trackers know the run by
"""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from storage import atomic
from storage.errors import UserError
from streams.training import run_lock
from streams.training.schedule import steps_per_epoch

FORMAT = 1


class RunFolder:
    """Paths and plain files; the loop decides what goes into them."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.jsonl"
        self.curve = self.path / "curve.png"
        self.left_out = self.path / "left_out.json"
        self.last = self.path / "checkpoints" / "last.pt"
        self.best = self.path / "checkpoints" / "best.safetensors"
        self.older_best = self.path / "checkpoints" / "best.pt"
        """Of runs that were made before weights were kept as safetensors."""
        self.tensorboard = self.path / "tensorboard"
        self.trackers = self.path / "trackers.json"
        self.options = self.path / "run.yaml"
        self.log_file = self.path / "log.txt"
        self.lock = self.path / "lock"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process trains here inside the block. The folder is made if need be."""
        self.check_ours()
        self.path.mkdir(parents=True, exist_ok=True)
        with run_lock.alone(self.lock):
            yield

    def check_ours(self) -> None:
        """A folder of something else is left alone."""
        if self.config.exists() or not self.path.exists():
            return
        if any(file != self.lock for file in self.path.iterdir()):
            raise UserError(f"{self.path} is not empty and not a run folder; give another --out")

    def begin(
        self, settings: dict[str, Any], origin: dict[str, Any], *, longer: bool = False
    ) -> bool:
        """Make the folder, or check that what is in it was begun with the same settings.

        True where there is a checkpoint to go on from; without one, nothing is lost by beginning
        anew. `longer`: accept more epochs or steps than before, and write them down.
        """
        if self.config.exists() and self.last.exists():
            config = self.read()
            different = differences(config["settings"], settings)
            if not different:
                return True
            lengthened = longer_than(config["settings"], settings)
            if lengthened and longer:
                from streams.training import checkpoint  # brings torch, which help must not

                step = checkpoint.load(self.last)["state"]["step"]
                history = [*config["made"].get("lengthened", ()), {"step": step, **lengthened}]
                config["made"]["lengthened"] = history
                write_json(self.config, config | {"settings": settings})
                return True
            remedy = "give the same, another --out, or --restart to throw it away"
            if lengthened:
                remedy = f"`twostream train --resume {self.path}` with them trains it longer"
            raise UserError(
                f"{self.path} was begun with other settings: {'; '.join(different[:4])}; {remedy}"
            )
        self.check_ours()
        self.last.parent.mkdir(parents=True, exist_ok=True)
        # Of a run that was killed between its first two checkpoints, perhaps with other settings.
        for best in (self.best, self.older_best):
            best.unlink(missing_ok=True)
        config = {"format": FORMAT, "settings": settings, "made": origin | environment()}
        write_json(self.config, config)
        return False

    def read(self) -> dict[str, Any]:
        """config.json, checked to be one."""
        try:
            config = json.loads(self.config.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UserError(f"{self.path} is not a run folder: it has no config.json") from None
        except ValueError as error:
            raise UserError(f"{self.config} is damaged: {error}") from None
        if not isinstance(config, dict) or config.get("format") != FORMAT:
            raise UserError(f"{self.config} is of another version of twostream")
        return config

    def clear(self) -> None:
        """Throw away what a run wrote, and nothing else."""
        if not self.config.exists():
            return
        with self.alone():
            self._clear()

    def lengthened_at(self) -> int:
        """The step at which the run was last made longer; -1: never."""
        history = self.read()["made"].get("lengthened") or [{"step": -1}]
        return int(history[-1]["step"])

    def _clear(self) -> None:
        files = [self.config, self.metrics, self.curve, self.left_out]
        files += [self.last, self.best, self.older_best, self.options, self.log_file, self.trackers]
        if self.tensorboard.is_dir():
            files += list(self.tensorboard.glob("events.out.tfevents.*"))
        for file in files:
            file.unlink(missing_ok=True)
            atomic.draft_of(file).unlink(missing_ok=True)
        for inner in (self.last.parent, self.tensorboard):
            if inner.is_dir() and not any(inner.iterdir()):
                inner.rmdir()

    @property
    def best_weights(self) -> Path:
        """The file of the best weights, of this program or an older one."""
        older = self.older_best.exists() and not self.best.exists()
        return self.older_best if older else self.best

    def rows(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl; a half-written last one is left out."""
        if not self.metrics.exists():
            return []
        rows: list[dict[str, Any]] = []
        lines = self.metrics.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            try:
                rows.append(json.loads(line))
            except ValueError:
                if number < len(lines):
                    raise UserError(
                        f"{self.metrics}, line {number}, is no JSON; delete the line"
                    ) from None
        return rows

    def log(self, row: dict[str, Any]) -> None:
        with atomic.naming(self.metrics), self.metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def forget_after(self, step: int) -> None:
        """Drop the lines of steps that will be done again."""
        kept = [row for row in self.rows() if row["step"] <= step]
        text = "".join(json.dumps(row) + "\n" for row in kept)
        atomic.write_text(self.metrics, text, alone=True)


def write_json(path: Path, value: Any) -> None:
    """Whole or not at all."""
    atomic.write_text(path, json.dumps(value, indent=1) + "\n", alone=True)


def environment() -> dict[str, Any]:
    """Versions and command, to repeat a run by."""
    versions = {}
    for name in ("twostream", "torch", "torchvision", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return {"command": sys.argv, "python": platform.python_version(), "versions": versions}


OF_LENGTH = ("epochs", "steps")


def longer_than(old: dict[str, Any], new: dict[str, Any]) -> dict[str, int]:
    """Steps of both, `from` and `to`, where `new` is `old` but for a longer training; else {}."""
    plans = [settings.get("recipe", {}).get("optim", {}) for settings in (old, new)]
    rest = [
        settings
        | {"recipe": settings.get("recipe", {}) | {"optim": plan | dict.fromkeys(OF_LENGTH)}}
        for settings, plan in zip((old, new), plans, strict=True)
    ]
    if differences(rest[0], rest[1]) or not all("batch" in plan for plan in plans):
        return {}
    videos = new["data"]["count"]["train"]
    before, after = (
        plan["steps"] or plan["epochs"] * steps_per_epoch(videos, plan["batch"]) for plan in plans
    )
    return {"from": before, "to": after} if after > before else {}


def differences(old: Any, new: Any, name: str = "") -> list[str]:
    """Where two JSON values differ, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        found = []
        for key in sorted(old.keys() | new.keys()):
            inner = f"{name}.{key}" if name else key
            found += differences(old.get(key), new.get(key), inner)
        return found
    if isinstance(old, list | tuple) and isinstance(new, list | tuple):
        old, new = list(old), list(new)
    return [] if old == new else [f"{name} was {shorten(old)}, now {shorten(new)}"]


def shorten(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
