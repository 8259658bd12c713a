"""Walk the whole way on sample videos: extraction, two streams, every fusion, and the report.

    twostream demo
    twostream demo --out demo --quick
    twostream demo --out demo --seed 7

Each step is a command that is printed before it runs, so that it can be typed for videos of your
own. The same command again goes on where the last one stopped, and skips what is done.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.common import INTERRUPTED, Journal, Step, Talk, run_command, walk
from storage.errors import UserError, WorkFailed


@dataclass(frozen=True)
class Options:
    out: Path = Path("demo")
    """Folder for everything that is made."""
    quick: bool = False
    """A quarter of the classes and of the videos."""
    seed: int = 0
    """Of the videos, the networks and the report."""
    json: bool = False
    """Print the closing table as JSON."""
    talk: Talk = field(default_factory=Talk)


def steps(out: Path, quick: bool, seed: int) -> Iterator[Step]:
    """The whole way, in the order in which the data walks it."""
    videos, lists = out / "sample" / "videos", out / "sample" / "lists"
    store, runs, scores = out / "store", out / "runs", out / "scores"
    at = ("--store", str(store), "--labels", str(lists))
    # Two groups of each class for choosing: weights, the SVM and the checkpoints need them.
    learn = (*at, "--validation", "0.25")
    size = ("--appearances", "2", "--motions", "2") if quick else ()

    words = ("sample_data", str(out / "sample"), "--seed", str(seed), *size)
    yield Step("make sample videos", words, lists / "ceilings.json")
    words = ("extract", str(videos), "--out", str(store))
    yield Step("compute their flow into one store", words, store)
    for kind in ("spatial", "temporal"):
        run = runs / kind
        words = ("train", kind, *learn, "--out", str(run), "--recipe", "small", "--seed", str(seed))
        yield Step(f"train the {kind} stream", words, run / "checkpoints" / "best.safetensors")
        for part in ("validation", "test"):
            table = scores / f"{kind}-{part}.npz"
            words = ("score", str(run), *at, "--part", part, "--views", "5x1", "--out", str(table))
            yield Step(f"score the {part} videos with it", words, table)
    towers = ("--spatial", str(runs / "spatial"), "--temporal", str(runs / "temporal"))
    run = runs / "fusion"
    words = ("train", "fusion", *towers, *learn, "--out", str(run), "--recipe", "small")
    yield Step(
        "train the fusion of both networks",
        (*words, "--seed", str(seed)),
        run / "checkpoints" / "best.safetensors",
    )
    table = scores / "conv-test.npz"
    words = ("score", str(run), *at, "--part", "test", "--views", "1x1", "--out", str(table))
    yield Step("score the test videos with it", words, table)

    streams = [str(scores / f"{kind}-test.npz") for kind in ("spatial", "temporal")]
    fit = [str(scores / f"{kind}-validation.npz") for kind in ("spatial", "temporal")]
    for method in ("average", "weighted", "svm"):
        table = scores / f"{method}-test.npz"
        learnt = ("--fit", *fit) if method != "average" else ()
        words = ("fuse", *streams, "--method", method, *learnt, "--out", str(table))
        yield Step(f"fuse the scores: {method}", words, table)

    fused = [str(scores / f"{name}-test.npz") for name in ("average", "weighted", "svm", "conv")]
    page = out / "report.html"
    words = ("report", *fused, *streams, "--out", str(page), "--store", str(store), "--fit", *fit)
    runs_given = [str(runs / kind) for kind in ("spatial", "temporal", "fusion")]
    words = (*words, "--runs", *runs_given, "--ceilings", str(lists / "ceilings.json"))
    yield Step("judge them all", (*words, "--title", "Two streams on sample videos"), page)


def run(options: Options) -> int:
    out = options.out
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file; give a folder")
    (out / "scores").mkdir(parents=True, exist_ok=True)
    journal = Journal(out / "steps.json")
    way = list(steps(out, options.quick, options.seed))
    if (other := journal.changed(way)) is not None:
        raise UserError(
            f"{out} holds a demo with other options ({other.makes.name} was made by another "
            "command); give another --out, or delete it"
        )
    began, fresh = time.monotonic(), False
    for number, step in enumerate(way, 1):
        head = f"[{number}/{len(way)}] {step.title}"
        if not fresh and journal.holds(step):
            announce(options, f"{head}: done before")
            continue
        fresh = True  # whatever follows was made from something older
        announce(options, f"{head}\n      {step.typed}")
        started = time.monotonic()
        code = walk(step, quiet=options.talk.quiet)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
        if code:
            raise WorkFailed(f"step {number} ({step.title}) ended with exit code {code}")
        journal.add(step)
        announce(options, f"      {time.monotonic() - started:.0f} s")
    closing = closing_table(out)
    if options.json:
        print(json.dumps(closing))
        return 0
    print(closing_text(closing))
    print(f"\n{out / 'report.html'} shows it all ({time.monotonic() - began:.0f} s this time)")
    return 0


def announce(options: Options, text: str) -> None:
    if not options.talk.quiet:
        print(text, file=sys.stderr, flush=True)


def closing_table(out: Path) -> dict[str, Any]:
    """What each could reach, and what it reached on the test part."""
    numbers = json.loads((out / "report.json").read_text("utf-8"))
    limits = json.loads((out / "sample" / "lists" / "ceilings.json").read_text("utf-8"))
    rows = []
    for figures in numbers["splits"][0]["tables"]:
        name = figures["name"]
        top = figures["top1"]
        ceiling = limits.get(name, limits["fused"])
        rows.append({"name": name, "ceiling": ceiling, **top})
    return {"report": str(out / "report.html"), "rows": rows}


def closing_text(closing: dict[str, Any]) -> str:
    """The table for the terminal, with a bar that ends at the ceiling."""
    rows = closing["rows"]
    width = max(len(row["name"]) for row in rows)
    lines = [f"{'':<{width}}   can reach   reached   95 % interval"]
    for row in rows:
        full = round(30 * row["ceiling"])
        bar = "█" * min(full, round(30 * row["value"]))
        bar += "░" * (full - len(bar))
        interval = f"{row['low']:6.1%} to {row['high']:6.1%}" if row["low"] is not None else ""
        lines.append(
            f"{row['name']:<{width}}   {row['ceiling']:9.0%}   {row['value']:7.1%}   "
            f"{interval:<17}  {bar}"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="demo", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
