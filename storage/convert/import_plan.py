"""Decide how a collection of another tool is to be read, and say what was taken for granted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from storage.codecs import Quantizer
from storage.convert.foreign_names import BOTH, IMAGE, TABLE, X, Y
from storage.convert.foreign_survey import FLOW, FoundVideo, Survey, survey
from storage.convert.foreign_video import Reading
from storage.convert.frame_rates import read_rates
from storage.convert.import_options import ImportOptions
from storage.convert.import_values import USUAL_BOUND, settle_values
from storage.errors import UserError
from storage.store import StoreConfig
from storage.videos import FRAME_RATES

TOOLS = {
    "flow_x_": "denseflow, dense_flow, TSN or mmaction2",
    "x_": "mmaction2's flow_extraction, or dense_flow's zips",
    "NAME-00001x": "pytorch-i3d",
    "flow_.png": "denseflow with -st=png",
    ".flo": "Middlebury files",
    ".npy": "arrays",
    "HDF5": "denseflow with -st=h5",
}


@dataclass(frozen=True)
class Plan:
    """How everything will be read and stored."""

    survey: Survey
    videos: list[FoundVideo]
    reading: Reading
    config: StoreConfig
    layout: str
    notes: list[str]
    """What was recognised or assumed, one line each."""
    fps: float
    rates: dict[str, float] = field(default_factory=dict)
    """Of single videos, where they are written down."""


def plan_import(sources: Sequence[Path], options: ImportOptions | None = None) -> Plan:
    """Survey the sources and settle what the names and a few pictures tell."""
    options = options or ImportOptions()
    collection = survey(sources)
    videos = [video for video in collection.videos.values() if video.steps]
    names = ", ".join(str(source) for source in sources)
    if not videos:
        other = len(collection.videos)
        raise UserError(
            f"no flow was recognised in {names}"
            + (f"; {other} videos have frames only" if other else "")
            + "; docs/convert.md lists the layouts that are read"
        )
    layouts = Counter(video.layout for video in videos)
    layout = layouts.most_common(1)[0][0]
    notes = [f"layout: {layout} ({TOOLS.get(layout, 'a folder a component')})"]
    if len(layouts) > 1:
        others = ", ".join(f"{name} ({count})" for name, count in layouts.items())
        notes.append(f"several layouts are mixed: {others}")
    kinds = {kind for video in videos for kind, _ in video.spans}
    named_step, step = _steps(videos, options.step)
    notes.append(f"step: {step}" + ("" if options.step else " (from the names)"))
    reading = Reading(Quantizer("round", USUAL_BOUND), named_step, step, trim=options.trim)
    reading = _bases(collection, reading, options, notes)
    reading = _alignment(videos, reading, options, notes)
    if all((kind, -named_step) in v.spans for v in videos for kind in _flow_kinds(v)):
        reading = replace(reading, backward=True)
        notes.append("backward flow lies beside the forward one: it is taken too")
    reading, coded = settle_values(videos, reading, options, notes, layout)
    files = bool(kinds & {X, Y})
    config = StoreConfig(
        quantizer=reading.quantizer,
        codec=options.codec or ("files" if files else "lossless" if coded else "jpeg:95"),
        frame_codec="none" if reading.images == "none" else options.frame_codec or "files",
        size=options.size or "source",
        step=step,
        fields=("forward", "backward") if reading.backward else ("forward",),
        algorithm=options.algorithm,
        parameters=options.parameters,
        fingerprint=options.fingerprint,
    )
    if options.algorithm == "unknown":
        notes.append(
            "flow algorithm: unknown, for files do not say; state --preset if videos that are "
            "not in this store shall be predicted later"
        )
    if options.size is None:
        notes.append("size: taken for the videos' own; state --size if the tool resized them")
    rates = {} if options.fps else read_rates(sources)
    if rates:
        notes.append(f"frame rate: as {FRAME_RATES} says, of {len(rates)} videos")
    elif options.fps is None:
        notes.append("frame rate: 25 a second is written down, for files do not say (--fps)")
    return Plan(collection, videos, reading, config, layout, notes, options.fps or 25.0, rates)


def _flow_kinds(video: FoundVideo) -> set[str]:
    return {kind for kind, _ in video.spans if kind in FLOW}


def _steps(videos: list[FoundVideo], wanted: int | None) -> tuple[int, int]:
    """(the step in the names, the step that is meant)."""
    named = Counter(step for video in videos for step in video.steps if step > 0)
    if not named:
        raise UserError("only backward flow was found (flow_x_m...); there must be forward flow")
    if wanted is not None and wanted in named:
        return wanted, wanted
    if len(named) > 1:
        raise UserError(
            f"flow of the steps {', '.join(map(str, sorted(named)))} was found; choose one, --step"
        )
    only = next(iter(named))
    if wanted is None or only == wanted:
        return only, only
    if only != 1:
        raise UserError(f"--step {wanted} was asked for, and the names say step {only}")
    return 1, wanted  # most tools do not write the step into names


def _bases(
    collection: Survey, reading: Reading, options: ImportOptions, notes: list[str]
) -> Reading:
    """What most sequences start with. One that starts elsewhere has lost files."""
    bases: dict[str, int] = {}
    for what, kinds in (("flow", (X, Y, BOTH, TABLE)), ("images", (IMAGE,))):
        firsts = collection.firsts(kinds)
        if not firsts:
            continue
        if options.index_base is not None:
            bases[what] = options.index_base
            continue
        low = {number: count for number, count in firsts.items() if number in (0, 1)}
        if not low:
            number = min(firsts)
            raise UserError(
                f"the {what} start to count at {number}; 0 and 1 are usual: say --index-base"
            )
        bases[what] = max(low, key=lambda number: (low[number], -number))
        notes.append(
            f"{what}: counted from {bases[what]} ({firsts[bases[what]]} of {firsts.total()} videos)"
        )
    if len(set(bases.values())) == 2:
        notes.append(
            f"flow counts from {bases['flow']} and images from {bases['images']}: two tools made "
            "them, and the first of each belong together"
        )
    return replace(reading, flow_base=bases.get("flow", 0), image_base=bases.get("images", 0))


def _alignment(
    videos: list[FoundVideo], reading: Reading, options: ImportOptions, notes: list[str]
) -> Reading:
    """Which frame of its pair image i is."""
    pictured = [video for video in videos if (IMAGE, 1) in video.spans]
    if options.images == "none" or not pictured:
        notes.append("frames: none" + ("" if options.images == "none" else " were found"))
        return replace(reading, images="none")
    if len(pictured) < len(videos):
        notes.append(f"frames: only {len(pictured)} of {len(videos)} videos have them")
    if options.images != "auto":
        return replace(reading, images=options.images)
    surplus: Counter[int] = Counter()
    for video in pictured:
        pairs = [
            span.count
            for (kind, step), span in video.spans.items()
            if kind in (X, BOTH) and step == reading.named_step
        ]
        if pairs:
            surplus[video.spans[IMAGE, 1].count - pairs[0]] += 1
    if surplus and surplus.most_common(1)[0][0] == 0 and reading.step == 1:
        notes.append(
            "frames: as many as pairs, so image i is the second frame of its pair, as dense_flow "
            "(TSN) and py-denseflow write it; the first pair is left out, for its first frame "
            "was never written (--images first says otherwise)"
        )
        return replace(reading, images="second")
    notes.append("frames: image i is the first frame of pair i")
    return replace(reading, images="first")
