"""Judge streams and fusions in one page that needs no network.

    twostream report fused.npz spatial.npz temporal.npz --out report.html
    twostream report fused.npz spatial.npz temporal.npz --out report.html --store ucf101.store
    twostream report F1.npz A1.npz B1.npz F2.npz A2.npz B2.npz --out splits.html --latex
    twostream report F.npz A.npz B.npz --fit A-val.npz B-val.npz --runs runs/a runs/b --out r.html

Beside OUT.html come OUT.json and CSV files with the same numbers. Tables of several splits may be
given at once; the report then has their mean too.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from scripts.common import ScoreFiles, Talk, run_command
from storage.errors import UserError

if TYPE_CHECKING:
    from storage.store import Store


@dataclass(frozen=True)
class Options:
    tables: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="SCORES...")]
    """Score files, FILE or FILE:ARRAY: streams and fusions, of one or more splits."""
    out: Path
    """The page; its numbers go beside it."""
    store: Path | None = None
    """Store to take the examples' frames and flow from."""
    fit: tuple[str, ...] = ()
    """Validation scores of the streams: their weight curve is drawn too, and the greedy ensemble is
    chosen on them."""
    runs: tuple[Path, ...] = ()
    """Run folders whose learning curves and recipes are shown and, with --store, what their
    networks look at (pip install 'twostream[explain]'). A table of one of these runs that does not
    state its parameters has them counted."""
    features: tuple[Path, ...] = ()
    """Feature stores of the runs of sequences in --runs, whose attention is then drawn."""
    title: str = "Two-stream report"
    """Heading of the page."""
    map: Literal["tsne", "pca", "none"] = "tsne"
    """How pooled features are laid out, where the tables hold them."""
    parts: Path | None = None
    """CSV file that says what classes share, with a first line such as class,object,motion; without
    it, the words of class names that are a product, as RedUp, RedDown, BlueUp, BlueDown."""
    ceilings: Path | None = None
    """JSON of accuracies that cannot be passed ({"spatial": 0.25, "fused": 1}), drawn as lines."""
    latex: bool = False
    """Write OUT.tex too, a table for a paper."""
    draws: int = 2000
    """How often the bootstrap draws the groups."""
    seed: int = 0
    """Seed of the bootstrap, the tests and the map."""
    json: bool = False
    """Print the report's numbers as JSON on standard output."""
    files: ScoreFiles = field(default_factory=ScoreFiles)
    talk: Talk = field(default_factory=Talk)


def run(options: Options) -> int:
    from fusion.report import ReportInputs, write_report

    if not options.tables:
        raise UserError("give score files, as in: report fused.npz spatial.npz --out report.html")
    if options.draws < 100:
        raise UserError(f"--draws {options.draws} is too few for an interval; give 100 or more")
    inputs = ReportInputs(
        tables=options.files.read(options.tables),
        fit=options.files.read(options.fit, part="validation"),
        store=_store(options.store),
        runs=options.runs,
        features=options.features,
        title=options.title,
        ceilings=_ceilings(options.ceilings),
        parts=options.parts,
        map_method=options.map,
        common_only=options.files.common_videos,
        draws=options.draws,
        seed=options.seed,
    )
    written = write_report(inputs, options.out, options.latex)
    if options.json:
        print(json.dumps(written.data, allow_nan=False))
        return 0
    from scripts.fuse import summary

    print("\n".join(summary(written.evaluation)))
    print(f"-> {written.paths[0]}, and beside it {', '.join(p.name for p in written.paths[1:])}")
    return 0


def _store(path: Path | None) -> Store | None:
    if path is None:
        return None
    from storage.store import open_store

    return open_store(path)


def _ceilings(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        stated = json.loads(path.read_text("utf-8"))
        return {k: float(v) for k, v in stated.items() if isinstance(v, int | float)}
    except (ValueError, AttributeError) as error:
        raise UserError(f"--ceilings {path} is no JSON object of numbers ({error})") from None


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="report", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
