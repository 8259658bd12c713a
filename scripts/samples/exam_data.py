"""Make the exam's videos, of which it is known what each family of systems can learn from them.

python -m scripts.samples.exam_data exam
python -m scripts.samples.exam_data exam --questions binding order --seed 7
python -m scripts.samples.exam_data tiny --questions needle --train 2 --test 1
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from scripts.common import Talk, run_command
from storage.progress import progress_bar, watched


@dataclass(frozen=True, kw_only=True)
class Options:
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder that gets one folder a question, with videos/ and lists/."""
    questions: tuple[str, ...] = (
        "what-and-how",
        "binding",
        "order",
        "needle",
        "variety",
        "strobe",
        "fine",
        "scene",
    )
    """Besides these: order-4, order-12, order-24, order-48, needle-320, scene-certain."""
    seed: int = 0
    """The same seed gives the same bytes."""
    train: int | None = None
    """Families of twins in each training part (default: the question's own)."""
    test: int | None = None
    """Families of twins in each test part (default: the question's own)."""
    within: str = ""
    """Folder inside each question's, for videos/ and lists/ (default: none)."""
    json: bool = False
    """Print the summary as JSON."""
    talk: Talk = field(default_factory=Talk)


def run(options: Options) -> int:
    from scripts.samples.question import make_question
    from scripts.samples.questions import question

    sizes = {name: getattr(options, name) for name in ("train", "test")}
    sizes = {name: value for name, value in sizes.items() if value is not None}
    asked = [replace(question(name), seed=options.seed, **sizes) for name in options.questions]
    summary = {}
    for one in asked:
        number = one.size()
        bar = progress_bar(number, "video", one.name, quiet=options.talk.quiet)
        ceilings = make_question(
            options.out / one.name / options.within, one, watched(one.clips(), bar)
        )
        summary[one.name] = {"videos": number, **ceilings}
        if not options.json:
            blind = sum(f["answer"] == "blind" for f in ceilings["families"].values())
            print(f"{one.name}: {number} videos; {one.asks} {blind} families are blind to it")
    if options.json:
        print(json.dumps({"out": str(options.out), "questions": summary}))
    return 0


def main(argv: list[str] | None = None) -> int:
    description = (__doc__ or "").strip()
    return run_command(Options, run, argv, prog="exam_data", description=description)


if __name__ == "__main__":
    sys.exit(main())
