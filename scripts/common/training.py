"""What the training commands share: their options, the recipe that gives other defaults, and the
run itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from scripts.common.command import Talk
from scripts.common.run_options import option_values, yaml_text
from streams.samples import DataOptions
from streams.training import LoopOptions, wait_asleep

if TYPE_CHECKING:
    from streams.training import Ranks, Task


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What neither the data nor the recipe has a say in."""

    out: Path
    """The run's folder; it is made, or gone on with."""
    recipe: str = "modern"
    """Where all other values come from."""
    loop: LoopOptions = field(default_factory=LoopOptions)
    track: tuple[Literal["wandb", "mlflow"], ...] = ()
    """Send the measurements there as well (docs/training.md, Trackers)."""
    name: str = ""
    """The run's name in score tables and reports (default: its kind)."""
    resume: Path | None = None
    """Go on with the run in this folder under its own options. With more --epochs or --steps than
    it had it is trained longer: from there on the rate is what the longer schedule has."""
    config: Path | None = None
    """Take options from this file, a line `option: value` each; every run keeps its own as
    run.yaml. What is given beside it counts more."""
    restart: bool = False
    """Throw away what is in --out and start anew."""
    seed: int = 0
    """Of every random choice."""
    json: bool = False
    """Print the summary as JSON."""
    talk: Talk = field(default_factory=Talk)


@dataclass(frozen=True, kw_only=True)
class TrainOptions(RunOptions):
    """What does not depend on the recipe."""

    data: DataOptions


@dataclass(frozen=True)
class Trainable:
    """What a kind of training brings along."""

    task: Task
    left_out: dict[str, Any]
    """Videos that are not used, by reason."""
    title: str
    """What is trained, in words."""
    origin: dict[str, Any] = field(default_factory=dict)
    """More of how the run began."""
    summary: dict[str, Any] = field(default_factory=dict)
    """More of what `--json` prints."""
    check: Callable[[Ranks], None] = lambda where: None
    """Called before the first step: refuses what this machine cannot do."""
    use: str = ""
    """What the run is for, with its folder as {run}; else scoring."""


def run_task(kind: str, trainable_of: Callable[[str, Any], Trainable], options: RunOptions) -> int:
    """Train what the options of a kind ask for into the run folder, or go on with what is in it."""
    wait_asleep()
    from streams.training import RunFolder, in_words, ranks, train

    folder, trainable = RunFolder(options.out), trainable_of(kind, options)
    task = trainable.task
    with ranks(options.loop.device) as where:
        trainable.check(where)
        if options.restart and where.first:
            folder.clear()
        origin = {
            **trainable.origin,
            "recipe": options.recipe,
            "name": options.name,
            "processes": where.world,
            "device": str(where.device),
        }
        state = train(
            task,
            folder,
            where,
            options.loop,
            origin=origin,
            left_out=trainable.left_out,
            quiet=options.talk.quiet,
            options_text=yaml_text(kind, option_values(options)),
            longer=options.resume is not None,
            track=options.track,
        )
        if not where.first:
            return 0
    if options.json:
        summary = {
            "run": str(folder.path),
            "kind": task.kind,
            "steps": state.step,
            "validation": state.best,
            "seconds": round(state.seconds, 1),
        }
        print(json.dumps(summary | trainable.summary))
        return 0
    checked = len(task.data("validation"))
    use = trainable.use or "`twostream score {run}` uses"
    print(
        f"{trainable.title}: {state.step} steps in {state.seconds:.0f} s; "
        f"best validation by {task.optim.best}: {in_words(state.best or {'loss': 0.0}, checked)}\n"
        f"{folder.best} is what {use.format(run=folder.path)}; curve: {folder.curve}"
    )
    return 0


def asked(argv: list[str], option: str) -> str:
    """The value of an option that decides the defaults of others; empty without it."""
    value = ""
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        if word.startswith(f"{option}="):
            value = word.partition("=")[2]
        elif word == option:
            value = following
    return value


def asked_recipe(argv: list[str], known: tuple[str, ...]) -> str:
    """The value of --recipe, which decides the defaults of all other options."""
    value = asked(argv, "--recipe")
    return value if value in known else "modern"  # the parser names the values that are allowed
