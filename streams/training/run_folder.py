"""The folder of a run: what is needed to repeat it, its checkpoints, its measurements.

config.json        settings that decide the result, and how the run was made
metrics.jsonl      a line every few steps and every validation
curve.png          the same, drawn
left_out.json      videos of the lists that were not used, by reason
checkpoints/       last.pt (to go on), best.safetensors (to score)
tensorboard/       the same as metrics.jsonl, for TensorBoard
"""

from __future__ import annotations

import json
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from storage import atomic
from storage.errors import UserError

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

    def begin(self, settings: dict[str, Any], origin: dict[str, Any]) -> bool:
        """Make the folder, or check that what is in it was begun with the same settings.

        True where there is a checkpoint to go on from; without one, nothing is lost by beginning
        anew.
        """
        if self.config.exists() and self.last.exists():
            different = differences(self.read()["settings"], settings)
            if different:
                raise UserError(
                    f"{self.path} was begun with other settings: {'; '.join(different[:4])}; give "
                    "the same, another --out, or --restart to throw it away"
                )
            return True
        if not self.config.exists() and self.path.exists() and any(self.path.iterdir()):
            raise UserError(f"{self.path} is not empty and not a run folder; give another --out")
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
        files = [self.config, self.metrics, self.curve, self.left_out]
        files += [self.last, self.best, self.older_best]
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
        found = []
        for line in self.metrics.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                break
        return found

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
