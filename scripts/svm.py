"""Train a linear SVM on features, and write its class scores.

    twostream svm c3d.features --labels L --out c3d-svm.npz
    twostream svm c3d.features idt.features --labels L --split 1 --out both.npz
    twostream svm F1 F2 --labels L --out test.npz --out-of-fold train.npz

Each video's features are averaged over its steps and brought to length 1; several stores stand
side by side. C is chosen on the training part alone, by folds that never cut a group. Tables of
the validation part (--part validation), or the out-of-fold ones, are what `twostream fuse --fit`
finds weights on.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from scripts.common import OK, Talk, run_command
from storage.errors import UserError


@dataclass(frozen=True)
class Options:
    features: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="F1 F2...")]
    """Feature stores that `twostream features` wrote."""
    labels: Path
    """The label lists, as for `train`."""
    out: Path
    """The score table to write (.npz)."""
    split: int = 1
    """Which split of the lists."""
    part: Literal["validation", "test"] = "test"
    """Whose scores."""
    validation: float = 0.15
    """Share of each class's training videos that is cut off, by group; the SVM never sees it."""
    out_of_fold: Path | None = None
    """Also write the training part's scores, each by a machine that did not see its fold."""
    c: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0, 100.0)
    """Values of C to choose from."""
    name: str = "svm"
    """The stream's name in tables and reports."""
    missing: Literal["skip", "stop"] = "skip"
    """What to do about listed videos that one of the stores does not hold."""
    any_counts: bool = False
    """Accept UCF-101 and HMDB-51 lists of other lengths than the official ones."""
    empty_classes: bool = False
    """Accept classes of which the stores hold no training video."""
    seed: int = 0
    """Of the folds and of the machine."""
    json: bool = False
    """Print the summary as JSON."""
    talk: Talk = field(default_factory=Talk)

    def __post_init__(self) -> None:
        if not self.c or not all(value > 0 for value in self.c):
            raise UserError(f"--c {' '.join(map(str, self.c))}: every C must be over 0")


def run(options: Options) -> int:
    from fusion.features import FeatureSVM
    from fusion.judge import evaluate
    from fusion.scores import GroupedSVM
    from storage.progress import progress_bar
    from streams.sequences import FeatureData, open_feature_source

    if not options.features:
        raise UserError("name one feature store or more; `twostream features` writes them")
    for path in (options.out, options.out_of_fold or options.out):
        if not path.parent.is_dir():
            raise UserError(f"the folder {path.parent} does not exist; give another --out")
    data = FeatureData(
        features=options.features,
        labels=options.labels,
        split=options.split,
        validation=options.validation,
        missing=options.missing,
        any_counts=options.any_counts,
        empty_classes=options.empty_classes,
    )
    source = open_feature_source(data, ("train", options.part), beside=False)
    clips = source.parts[options.part]
    if not clips:
        raise UserError(
            f"the {options.part} part is empty; raise --validation, or look at --labels"
        )
    about = {
        "features": [config.to_json() for config in source.configs],
        "validation": options.validation,
        "trained_on_split": options.split,
        **source.left_out(),
    }
    machine = GroupedSVM(options.c, options.seed)
    svm = FeatureSVM(options.features, source.classes, options.split, machine, about)
    with progress_bar(None, "machine", "svm", quiet=options.talk.quiet) as bar:

        def count(total: int) -> None:
            bar.total = total
            bar.update()

        svm.fit(source.parts["train"], count)
    table = svm.table(clips, options.part, options.name)
    table.save(options.out)
    if options.out_of_fold is not None:
        svm.out_of_fold(source.parts["train"], options.name).save(options.out_of_fold)
    top1 = evaluate([table]).splits[0].figures[0].top[1]
    summary = {
        "out": str(options.out),
        "videos": len(table.videos),
        "missing": len(source.missing[options.part]),
        "numbers": sum(source.widths),
        "C": machine.c,
        "cross_validated": machine.cross_validated,
        "top1": round(top1.value, 5),
        "interval": None if top1.low is None else [round(top1.low, 5), round(top1.high or 0, 5)],
    }
    if options.json:
        print(json.dumps(summary))
    else:
        print(
            f"{table!r}\n{options.out}: top-1 {top1.percent().strip()}, C {machine.c:g} on "
            f"{summary['numbers']} numbers a video, {summary['missing']} videos missing"
        )
    return OK


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="svm", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
