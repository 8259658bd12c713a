"""The command `twostream exam`."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import scripts.exam
from scripts.common import Talk, run_command
from scripts.exam.budget import Budget
from scripts.samples import FAMILIES
from storage.errors import UserError, WorkFailed


@dataclass(frozen=True, kw_only=True)
class Options:
    out: Path = Path("exam")
    """Folder for everything that is made."""
    systems: tuple[str, ...] = ()
    """Names of systems, with spaces or commas, or systems of your own as said above (default: all
    of --list)."""
    questions: tuple[str, ...] = ()
    """Names of questions (default: all of --list)."""
    seeds: int = 1
    """Seeds 0 to N - 1, each with videos and networks of its own; answers are counted together."""
    budget: Budget = field(default_factory=Budget)
    quick: bool = False
    """LSTM, VLAD and attention on two questions, with less of everything: minutes."""
    list: bool = False
    """Say which systems and questions there are, and do nothing."""
    dry_run: bool = False
    """Print the commands that are left to do and the forecast, and do nothing."""
    so_far: bool = False
    """Judge what is done so far, write its page, and do no step."""
    json: bool = False
    """Print the result as JSON."""
    talk: Talk = field(default_factory=Talk)


def run(options: Options) -> int:
    from scripts.exam.candidates import CANDIDATES, QUICK, QUICK_QUESTIONS
    from scripts.exam.own import candidate
    from scripts.exam.results import Exam, judged, write_results
    from scripts.exam.sitting import SETTINGS, Sitting
    from scripts.exam.walking import Forecast, Outcome, undone, walk_all
    from scripts.exam.way import Way

    if options.list:
        print(listing())
        return 0
    if options.out.exists() and not options.out.is_dir():
        raise UserError(f"--out {options.out} is a file; give a folder")
    if not 1 <= options.seeds <= 100:
        raise UserError(f"--seeds {options.seeds} must lie in 1 to 100")
    out, budget = options.out.resolve(), options.budget
    names = in_commas(options.systems) or (QUICK if options.quick else tuple(CANDIDATES))
    asked = in_commas(options.questions) or (QUICK_QUESTIONS if options.quick else tuple(SETTINGS))
    if options.quick:
        budget = budget.quick
    systems = [candidate(name) for name in dict.fromkeys(names)]
    sittings = [
        Sitting.of(out, question, seed, budget)
        for seed in range(options.seeds)
        for question in dict.fromkeys(asked)
    ]
    way, tables = Way(), {}
    for sitting in sittings:
        for system in systems:
            if system.is_asked(sitting.name):
                tables[system.name, sitting.name, sitting.seed] = system.leads(way, sitting)
    steps = list(way)
    if options.dry_run:
        left = undone(out, steps)
        for step in left:
            print(step.typed)
        print(f"{len(left)} of {len(steps)} steps, about {Forecast(s.cost for s in left).text}")
        return 0
    if options.so_far:
        outcome = Outcome()
        missing = {step.makes for step in undone(out, steps)}
        tables = {key: path for key, path in tables.items() if path not in missing}
        if not tables:
            raise UserError(f"{out} has no score table yet; without --so-far they are made")
    else:
        outcome = walk_all(out, steps, options.talk)
    exam = Exam(systems, sittings, tables, outcome.failed, budget)
    result = judged(exam)
    paths = write_results(out, result, exam)
    if options.json:
        print(json.dumps(result.to_json()))
    else:
        print(f"{result.text}\n\n{paths[0]} shows it")
    if outcome.failed:
        raise WorkFailed(
            f"{len(outcome.failed)} steps failed; {next(iter(outcome.failed.values()))}"
        )
    return 0


def in_commas(words: tuple[str, ...]) -> list[str]:
    """`A,B` is the same as `A B`."""
    return [name for word in words for name in word.split(",") if name]


def listing() -> str:
    """Systems and questions, a line each."""
    from scripts.exam.candidates import CANDIDATES
    from scripts.exam.sitting import SETTINGS
    from scripts.samples import QUESTIONS

    lines = ["systems:"]
    lines += [f"  {one.name:<16} {one.title}; {one.family}" for one in CANDIDATES.values()]
    lines += ["", "questions:"]
    lines += [f"  {name:<16} {QUESTIONS[name].asks}" for name in SETTINGS]
    lines += ["", "families:"]
    lines += [f"  {name:<18} {text}" for name, text in FAMILIES.items()]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    return run_command(
        Options, run, argv, prog="exam", description=(scripts.exam.__doc__ or "").strip()
    )


if __name__ == "__main__":
    sys.exit(main())
