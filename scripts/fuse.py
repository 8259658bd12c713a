"""Combine the class scores of several streams into one table.

    twostream fuse spatial.npz temporal.npz --out fused.npz
    twostream fuse spatial.npz temporal.npz --normalise l1 --weights 1,1.5 --out fused.npz
    twostream fuse A.npz B.npz --method weighted --fit A-val.npz B-val.npz --out fused.npz
    twostream fuse A.npz B.npz --method svm --fit A-val.npz B-val.npz --out fused.npz
    twostream fuse A.npz B.npz C.npz --method greedy --fit A-v.npz B-v.npz C-v.npz --out fused.npz
    twostream fuse A.npz B.npz --method svm --folds 5 --out fused.npz
    twostream fuse published.npz:spatial published.npz:temporal --out fused.csv
    twostream fuse rgb.mat --video-list testlist01.txt --class-list classInd.txt --out rgb.npz

Files are .npz, .csv, .json, .mat or .h5; one table alone is converted. Weights and SVMs are
fitted on validation scores, or out of group folds; `twostream report` judges what comes out.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from scripts.common import ScoreFiles, Talk, run_command
from storage.errors import UserError

if TYPE_CHECKING:
    from fusion.judge import Evaluation, SplitEvaluation
    from storage.scores import ScoreTable


@dataclass(frozen=True)
class Options:
    tables: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SCORES...")]
    """Score files, FILE or FILE:ARRAY, one a stream."""
    out: Path
    """Where the fused table goes; the ending names the format."""
    method: Literal["average", "weighted", "svm", "greedy"] = "average"
    """average: given weights. weighted: weights searched on --fit. svm: a linear SVM on --fit.
    greedy: an ensemble of the streams that help most on --fit."""
    normalise: Literal["logits", "softmax", "l1", "l2", "unit", "zscore"] | None = None
    """How scores are brought to one scale; softmax when not given, l2 for svm."""
    weights: tuple[str, ...] = ()
    """One number a stream for --method average, as in 1 1.5 or 1,1.5; equal when not given."""
    fit: tuple[str, ...] = ()
    """Validation (or out-of-fold training) scores to fit on, one a stream, in the same order."""
    fit_on_test: bool = False
    """Fit on the test part all the same: a leak, marked in the table and in red in the report."""
    out_of_fold: bool = False
    """The --fit tables are training scores of models that did not see these videos."""
    folds: int = 0
    """Fit on the tables themselves, in so many folds that keep groups whole: each video is fused by
    what the other folds gave. No leak, also on a test part; table and report say so."""
    name: str | None = None
    """What to call the result in tables and reports."""
    seed: int = 0
    """Seed of the SVM's folds and of the intervals."""
    json: bool = False
    """Print the figures as JSON on standard output."""
    files: ScoreFiles = field(default_factory=ScoreFiles)
    talk: Talk = field(default_factory=Talk)


def run(options: Options) -> int:
    from fusion.judge import evaluate, fusion_of, how_fused
    from storage.scores import write_scores

    if not options.tables:
        raise UserError("give one score file a stream, as in: fuse A.npz B.npz --out F.npz")
    tables = options.files.read(options.tables)
    if len(tables) == 1 and options.method == "average" and not options.normalise:
        fused = tables[0]
    else:
        fused = fuse(options, tables)
    if options.name:
        fused = replace(fused, stream=options.name)
    write_scores(fused, options.out)
    judged = evaluate(
        tables if fused is tables[0] else [*tables, fused],
        seed=options.seed,
        common_only=options.files.common_videos,
    )
    if options.json:
        print(json.dumps(figures(judged) | {"out": str(options.out), "made": fused.provenance}))
    else:
        print("\n".join(summary(judged)))
        fusion = fusion_of(fused)
        how = how_fused(fusion, fused.stream) if fusion else ""
        print(f"{fused}{how and f' ({how})'} -> {options.out}")
    return 0


def fuse(options: Options, tables: list[ScoreTable]) -> ScoreTable:
    """One call for the method asked for; mistakes in the combination of options are named."""
    from fusion.scores import average, by_folds, greedy, svm, weighted

    common = options.files.common_videos
    if options.method == "average":
        if options.fit or options.fit_on_test or options.folds:
            given = "--folds is for --method weighted or svm"
            if not options.folds:
                given = "--fit is for --method weighted, svm or greedy"
            raise UserError(f"{given}; an average learns nothing")
        weights = parse_weights(options.weights) if options.weights else None
        how = options.normalise or "softmax"
        return average(tables, weights, how, common_only=common)
    if options.weights:
        raise UserError(f"--weights is for --method average; {options.method} finds its own")
    how = options.normalise or ("l2" if options.method == "svm" else "softmax")
    if options.folds:
        if options.fit or options.fit_on_test:
            raise UserError("--folds fits on the tables themselves; leave --fit out, or --folds")
        return by_folds(
            tables, options.method, how, options.folds, seed=options.seed, common_only=common
        )
    fit = options.files.read(options.fit, part="validation") if options.fit else None
    if options.out_of_fold and fit:
        fit = [replace(table, provenance=table.provenance | {"out_of_fold": True}) for table in fit]
    settings: dict[str, Any] = {"fit_on_test": options.fit_on_test, "common_only": common}
    if options.method in ("weighted", "greedy"):
        search = weighted if options.method == "weighted" else greedy
        return search(tables, fit, how, **settings)
    return svm(tables, fit, how, seed=options.seed, **settings)


def parse_weights(words: Sequence[str]) -> list[float]:
    text = " ".join(words)
    try:
        return [float(part) for part in re.split(r"[\s,:]+", text.strip())]
    except ValueError:
        raise UserError(f"--weights {text!r} must be numbers, as in 1 1.5 or 1,1.5") from None


def figures(judged: Evaluation) -> dict[str, Any]:
    """Top-1 of each table with its interval, and the gain of the fusion, as JSON values."""
    split = judged.splits[0]
    return {
        "split": split.split,
        "part": split.part,
        "videos": len(split.videos),
        "top1": {
            f.name: {"value": f.accuracy, "low": f.top[1].low, "high": f.top[1].high}
            for f in split.figures
        },
        "tests": [
            {
                "name": t.name,
                "against": t.against,
                "gain": t.gain.value,
                "p": t.p,
                "p_holm": t.p_holm,
            }
            for t in split.tests
        ],
    }


def summary(judged: Evaluation) -> list[str]:
    """What a person wants to see at once: every table's top-1, and every fusion's gain."""
    lines = [line for split in judged.splits for line in split_summary(split)]
    if judged.mean:
        lines.append(f"mean over {len(judged.averaged)} splits")
        width = max(map(len, judged.mean))
        lines += [f"  {n:<{width}}  top-1 {m.percent()}" for n, m in judged.mean.items()]
    return lines


def split_summary(split: SplitEvaluation) -> list[str]:
    width = max(len(f.name) for f in split.figures)
    lines = [f"split {split.split} {split.part}, {len(split.videos)} videos, {split.groups} groups"]
    for f in split.figures:
        mark = "  FITTED ON THE TEST PART" if f.fitted_on_test else ""
        mark += "  SCORED ON OTHER LISTS THAN LEARNED FROM" if f.learned_lists else ""
        mark += "  NOT TRAINED TO ITS END" if f.unfinished else ""
        if f.only_class is not None:
            mark += f"  ONE ANSWER FOR EVERY VIDEO: {split.classes[f.only_class]}"
        lines.append(f"  {f.name:<{width}}  top-1 {f.top[1].percent()}{mark}")
    several = len(split.tests) > 1
    note = f", Holm's correction for {len(split.tests)} fusions" if several else ""
    for t in split.tests:
        lines.append(
            f"  {t.name} against {t.against}: {100 * t.gain.value:+.2f} points, "
            f"p = {t.p_holm:.2g} (sign-flip test over groups{note})"
        )
    return lines


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="fuse", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
