"""Measure the flow engines: each is first held to the definition, then timed beside OpenCV.

    twostream bench flow
    twostream bench flow --clips videos/ --truth middlebury/ --preset opencv-cpu
    twostream bench flow --engine cpu --threads 2
    twostream bench flow --engine gpu --check

Without --clips or --truth, motion is drawn at four sizes. Engines take turns on every pair and the
best of the rounds counts: processor time where one thread works, otherwise time on the wall.
OpenCV's own threads are off, so that one thread is compared with one.
"""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from flow.tvl1 import DIALECTS, ENGINES, TVL1, engines, load_engine
from flow.video import Resize
from scripts.bench.flow_material import Material, draw_motion, from_clips, from_truth
from scripts.bench.flow_measure import BASELINE, Agreement, Result, agreement, measure_engines
from storage.errors import UserError, WorkFailed

log = logging.getLogger(__name__)

REFERENCE = "reference"
"""The engine that the others are held to: it is slow, and never timed beside them."""
SIZES = ("160x120", "320x240", "340x256", "640x480")
ODD_SIZES = ("16x16", "17x31", "129x97", "333x250")
"""What --check adds: the smallest, and such as nothing divides."""


@dataclass
class FlowBench:
    """What is measured, and on what."""

    engine: str = "all"
    """gpu, cpu, opencv or reference; all: every one that works here, but the slow reference."""
    preset: str = "all"
    """opencv-cuda, opencv-cpu, or all: both."""
    sizes: tuple[str, ...] = SIZES
    """Sizes of the drawn motion, WIDTHxHEIGHT."""
    clips: Path | None = None
    """Measure on the videos under this folder, in their own size."""
    truth: Path | None = None
    """Measure on the Middlebury pairs under this folder, and give the end-point errors."""
    most: int | None = None
    """At most so many of the clips, spread evenly."""
    pairs: int = 1
    """Pairs from the middle of each clip; a GPU is given 512, the same ones forth and back."""
    threads: int = 1
    """Threads of the cpu engine; ratios to OpenCV are given for 1 only."""
    rounds: int = 3
    """Every engine computes everything so many times; the best counts."""
    check: bool = False
    """Hold the engines to the reference on odd sizes as well, for both presets."""
    json: bool = False
    """Print everything as JSON."""
    quiet: bool = False
    """No progress."""

    def __post_init__(self) -> None:
        for name in ("most", "pairs", "threads", "rounds"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"--{name} is {value}; it must be at least 1")
        if self.engine not in ("all", *ENGINES):
            raise UserError(f"no flow engine {self.engine!r}; choose all, {', '.join(ENGINES)}")
        if self.preset not in ("all", *DIALECTS):
            raise UserError(f"no preset {self.preset!r}; choose all, {', '.join(DIALECTS)}")


def run(options: FlowBench) -> int:
    """Check, measure, print. Engines that disagree with the reference are an error."""
    presets = DIALECTS if options.preset == "all" else (options.preset,)
    materials = gather(options)
    checked: list[Agreement] = []
    results: list[Result] = []
    for preset in presets:
        params = TVL1.preset(preset)
        names = engines_for(options, params)
        report(options, f"{preset}: holding {', '.join(names)} to the reference ...")
        odd = [draw_motion(*reversed(parse(size))) for size in ODD_SIZES] if options.check else []
        checked += [
            agreement(load_engine(name).compute, name, preset, params, materials + odd)
            for name in names
            if name != REFERENCE
        ]
        for material in materials:
            report(options, f"{preset}: timing on {material.name} ({material.size}) ...")
            results += measure_engines(
                names, preset, params, material, options.rounds, options.threads
            )
    if options.json:
        print(json.dumps(flow_report(checked, results), indent=2))
    else:
        print(flow_table(checked, results))
    wrong = [
        f"engine {row.engine} does not give the flow of {row.preset} on {name}"
        for row in checked
        for name in row.wrong
    ]
    if wrong:
        raise WorkFailed("; ".join(wrong))
    return 0


def engines_for(options: FlowBench, params: TVL1) -> list[str]:
    """The engines to run: one that is asked for must work; OpenCV runs along where it can."""
    states = engines(params)
    working = [name for name, state in states.items() if state == "ok"]
    if options.engine == "all":
        for name, state in states.items():
            if state != "ok":
                report(options, f"not {name}: {state}")
        chosen = [name for name in working if name != REFERENCE]
        return chosen or [REFERENCE]
    if options.engine not in working:
        raise UserError(
            f"flow engine {options.engine!r} does not work here: {states[options.engine]}"
        )
    along = [BASELINE] if BASELINE in working and options.engine != BASELINE else []
    return [options.engine, *along]


def gather(options: FlowBench) -> list[Material]:
    """What the options ask to measure on."""
    materials: list[Material] = []
    for name, folder in (("clips", options.clips), ("truth", options.truth)):
        if folder is not None and not folder.is_dir():
            raise UserError(f"--{name} {folder} is not a folder")
    if options.truth is not None:
        materials += from_truth(options.truth)
    if options.clips is not None:
        materials += from_clips(options.clips, options.pairs, options.most)
    return materials or [draw_motion(*reversed(parse(size))) for size in options.sizes]


def parse(size: str) -> tuple[int, int]:
    """(width, height)."""
    parsed = Resize.parse(size).size
    if parsed is None:
        raise UserError(f"size {size!r} is not WIDTHxHEIGHT, for example 340x256")
    return parsed


def geometric_mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))


def headline(results: list[Result]) -> dict[str, dict[str, float]]:
    """For every preset and engine: pairs/s and times OpenCV, geometric means over everything."""
    summary: dict[str, dict[str, float]] = {}
    for key in dict.fromkeys((row.preset, row.engine) for row in results):
        rows = [row for row in results if (row.preset, row.engine) == key]
        means = {"pairs_per_second": geometric_mean([row.pairs_per_second for row in rows])}
        ratios = [row.times_opencv for row in rows if row.times_opencv is not None]
        if len(ratios) == len(rows):
            means["times_opencv"] = geometric_mean(ratios)
        summary[" ".join(key)] = means
    return summary


def flow_report(checked: list[Agreement], results: list[Result]) -> dict[str, object]:
    return {
        "agreement": [asdict(row) for row in checked],
        "results": [
            asdict(row)
            | {
                "pairs_per_second": row.pairs_per_second,
                "ns_per_pixel_iteration": row.ns_per_iteration,
            }
            for row in results
        ],
        "geometric_means": headline(results),
    }


def flow_table(checked: list[Agreement], results: list[Result]) -> str:
    lines = ["mean difference to the reference, pixels:"]
    for check in checked:
        lines.append(
            f"  {check.preset:<12} {check.engine:<10} {check.difference:.5f} "
            f"(mean motion {check.motion:.2f})"
            + (", WRONG on " + ", ".join(check.wrong) if check.wrong else "")
        )
        if check.unstable:
            lines.append(
                "    not to be compared, since there the reference moves as far when a parameter "
                "is nudged by a millionth: " + ", ".join(check.unstable)
            )
    wide = max(len(row.material) for row in results)
    lines.append("")
    lines.append(
        f"{'preset':<12} {'material':<{wide}} {'size':>9} {'engine':<9} {'pairs/s':>9} "
        f"{'ms/pair':>9} {'x OpenCV':>9} {'ns/px-it':>9} {'EPE':>7}"
    )
    for row in results:
        lines.append(
            f"{row.preset:<12} {row.material:<{wide}} {row.size:>9} {row.engine:<9} "
            f"{row.pairs_per_second:>9.1f} {row.seconds * 1e3:>9.2f} "
            f"{number(row.times_opencv, 1):>9} {number(row.ns_per_iteration, 3):>9} "
            f"{number(row.error, 3):>7}"
            + "".join(f"  {name} {share:.0%}" for name, share in (row.ceilings or {}).items())
        )
    lines.append("")
    for name, means in headline(results).items():
        ratio = means.get("times_opencv")
        lines.append(
            f"geometric mean, {name}: {means['pairs_per_second']:.1f} pairs/s"
            + (f", {ratio:.1f} times OpenCV" if ratio is not None else "")
        )
    return "\n".join(lines)


def number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def report(options: FlowBench, text: str) -> None:
    if not options.quiet:
        log.info(text)
