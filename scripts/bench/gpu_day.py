"""Everything to find out on a machine with a GPU, in 20 minutes, on one page of Markdown.

    twostream bench gpu-day --out gpu-day

Each step is a process of its own with a limit; one that fails or is not possible here stops no
other. What each printed lies beside the page, gpu-day.md.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage import atomic
from storage.errors import UserError

LIMIT = 20 * 60.0
"""Seconds for all of it; a step that would begin later is left out."""
PAGE = "gpu-day.md"
TWOSTREAM = (sys.executable, "-m", "twostream")
CHECK = (sys.executable, "-m", "scripts.bench.gpu_check")


@dataclass(frozen=True)
class GpuDay:
    """What to find out, and where to write it."""

    out: Path
    """A new or empty folder for the page, and for what each step printed."""
    clips: str | None = None
    """A folder of videos to extract (default: sample videos that are made for it)."""
    json: bool = False
    """Print what came of each step as JSON."""
    quiet: bool = False
    """No progress."""


@dataclass(frozen=True)
class DayStep:
    """One thing to find out."""

    name: str
    question: str
    command: tuple[str, ...]
    limit: float
    figures: Callable[[Any], list[str]] | None = None
    """From the JSON that the command prints to lines for the page."""


@dataclass(frozen=True)
class Answer:
    """What came of a step."""

    step: DayStep
    state: str
    """ok, FAILED (with the exit code), TOO LONG, or not possible here, and why."""
    seconds: float
    lines: tuple[str, ...]


def plan(options: GpuDay) -> list[DayStep]:
    """The steps, the most telling first."""
    clips = ("--clips", options.clips) if options.clips else ()
    bench, sanitizer = (*TWOSTREAM, "bench"), ("compute-sanitizer", "--error-exitcode", "1")
    check_small = (*CHECK, "--small")
    return [
        DayStep("machine", "What is here?", (*TWOSTREAM, "doctor", "--json"), 120, machine_lines),
        DayStep("check", "Does the engine keep to the definition here?", CHECK, 180),
        DayStep(
            "flow",
            "Pairs/s with frames in and codes out, agreement, and shares of the device's ceilings?",
            (*bench, "flow", "--engine", "gpu", "--check", "--json", "--quiet"),
            300,
            flow_lines,
        ),
        DayStep(
            "extract",
            "Extraction end to end against the engine alone?",
            (*bench, "extract", "--engine", "gpu", "--json", "--quiet", *clips),
            280,
            extract_lines,
        ),
        DayStep(
            "feed",
            "What would the rest sustain, were the GPU to give 3,000 pairs/s?",
            (*bench, "extract", "--engine", "simulated:3000", "--json", "--quiet", *clips),
            200,
            feed_lines,
        ),
        DayStep(
            "memcheck",
            "Does a kernel touch what is not its own?",
            (*sanitizer, "--tool", "memcheck", *check_small),
            240,
        ),
        DayStep(
            "racecheck",
            "Do threads of a block race in shared memory?",
            (*sanitizer, "--tool", "racecheck", *check_small),
            240,
        ),
        DayStep(
            "profile",
            "What does the solver wait for?",
            ("ncu", "--set", "basic", "-k", "solve_level", "-c", "6", *check_small),
            180,
        ),
    ]


def run(options: GpuDay) -> int:
    """All steps; 1 where one failed."""
    folder = options.out
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f"--out {folder} is not empty; give a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    answers = perform_all(plan(options), folder, options.quiet)
    rows = [
        {"step": answer.step.name, "state": answer.state, "seconds": answer.seconds}
        for answer in answers
    ]
    print(json.dumps(rows, indent=1) if options.json else folder / PAGE)
    return 1 if any(answer.state.startswith(("FAILED", "TOO LONG")) for answer in answers) else 0


def perform_all(steps: Sequence[DayStep], folder: Path, quiet: bool) -> list[Answer]:
    """Each step in turn; the page is written anew after each."""
    began = time.monotonic()
    answers: list[Answer] = []
    for step in steps:
        if not quiet:
            print(f"{step.name}: {step.question}", file=sys.stderr)
        answers.append(perform(step, folder, LIMIT - (time.monotonic() - began)))
        atomic.write_text(folder / PAGE, page(answers))
    return answers


def perform(step: DayStep, folder: Path, left: float) -> Answer:
    """Run a step's command, within its limit and the time that is left."""
    if shutil.which(step.command[0]) is None:
        return Answer(step, f"not possible here: no {step.command[0]}", 0.0, ())
    if left <= 0:
        return Answer(step, "not possible here: the time is up", 0.0, ())
    began = time.monotonic()
    with (
        open(folder / f"{step.name}.txt", "wb") as out,
        open(folder / f"{step.name}.log", "wb") as log,
    ):
        try:
            code = subprocess.run(
                step.command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
                timeout=min(step.limit, left),
            ).returncode
            state = "ok" if code == 0 else f"FAILED (exit code {code})"
        except subprocess.TimeoutExpired:
            state = f"TOO LONG (over {min(step.limit, left):.0f} s)"
    text = (folder / f"{step.name}.txt").read_text(encoding="utf-8", errors="replace")
    said = (folder / f"{step.name}.log").read_text(encoding="utf-8", errors="replace")
    lines = figures_of(step, text)
    if lines is None or (state != "ok" and not lines):
        lines = [f"    {line}" for line in (text + said).strip().splitlines()[-12:]]
    return Answer(step, state, time.monotonic() - began, tuple(lines))


def figures_of(step: DayStep, text: str) -> list[str] | None:
    """The step's lines of its JSON; None where it has no figures, or printed no such JSON."""
    if step.figures is None:
        return None
    try:
        return step.figures(json.loads(text))
    except (ValueError, KeyError, TypeError):
        return None


def page(answers: Sequence[Answer]) -> str:
    lines = ["# The GPU engine on this machine", ""]
    lines += ["| step | question | answer | s |", "|---|---|---|---|"]
    lines += [
        f"| {answer.step.name} | {answer.step.question} | {answer.state} | {answer.seconds:.0f} |"
        for answer in answers
    ]
    for answer in answers:
        if answer.lines:
            lines += ["", f"## {answer.step.name}", "", *answer.lines]
    lines += ["", "What each step printed lies beside this page, NAME.txt and NAME.log."]
    return "\n".join(lines) + "\n"


def machine_lines(report: Any) -> list[str]:
    gpus = [f"- {gpu['name']}, {gpu['memory.total']}, driver {gpu['driver_version']}, "
            f"compute capability {gpu['compute_cap']}" for gpu in report["gpus"]]  # fmt: skip
    return [
        *(gpus or ["- no GPU that nvidia-smi lists"]),
        f"- {report['platform']}, {report['machine']['cores']} cores, Python {report['python']}",
        *(f"- engine gpu, {preset}: {states['gpu']}" for preset, states in report["engines"].items()
          if "gpu" in states),
    ]  # fmt: skip


def flow_lines(report: Any) -> list[str]:
    lines = [
        f"- {row['engine']}, {row['preset']}: {row['difference']:.5f} px from the reference "
        f"(motion {row['motion']:.2f} px); wrong on {', '.join(row['wrong']) or 'nothing'}"
        for row in report["agreement"]
    ]
    lines += ["", "| preset | size | engine | pairs/s | times OpenCV | of the ceilings |"]
    lines += ["|---|---|---|---|---|---|"]
    for row in report["results"]:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in (row["ceilings"] or {}).items())
        ratio = "-" if row["times_opencv"] is None else f"{row['times_opencv']:.1f}"
        lines.append(
            f"| {row['preset']} | {row['size']} | {row['engine']} | "
            f"{row['pairs_per_second']:.0f} | {ratio} | {shares or '-'} |"
        )
    return lines


def extract_lines(report: Any) -> list[str]:
    return [
        f"- {row['workers']} workers: engine alone {row['engine_pairs_per_second']:.0f} pairs/s, "
        f"end to end {row['extract_pairs_per_second']:.0f} ({row['ratio']:.0%})"
        for row in report["results"]
    ]


def feed_lines(report: Any) -> list[str]:
    stages = ", ".join(f"{name} {ms:.2f}" for name, ms in report["own_cost_ms"].items())
    return [
        f"- own cost of a pair: {report['own_ms']:.2f} ms of one core ({stages})",
        *(
            f"- {row['workers']} workers: {row['pairs_per_second']:.0f} pairs/s, "
            f"{row['ratio']:.0%} of what that allows"
            for row in report["results"]
        ),
        f"- 3,000 pairs/s need {report['cores_for_3000']:.1f} such cores",
    ]
