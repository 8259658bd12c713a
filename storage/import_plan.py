"""Decide how a collection of another tool is to be read, and say what was taken for granted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.config import StoreConfig
from storage.errors import UserError
from storage.flow_files import open_array
from storage.foreign_names import ARRAY, BOTH, IMAGE, TABLE, X, Y
from storage.foreign_survey import FLOW, FoundVideo, Survey, survey
from storage.foreign_video import ForeignVideo, Reading
from storage.quantize import RULES, Quantizer

IMAGES = ("auto", "first", "second", "none")
SAMPLES = 8
"""Videos that are looked into before the import starts."""
USUAL_BOUND = 20.0
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
class Wishes:
    """What the caller states; None is to be recognised."""

    bound: float | None = None
    rule: str | None = None
    index_base: int | None = None
    step: int | None = None
    images: str = "auto"
    trim: bool = False
    values: str = "auto"
    """Floats in `.npy` files are `pixels`, or a `unit` of the bound."""
    codec: str | None = None
    frame_codec: str | None = None
    algorithm: str = "unknown"
    parameters: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    size: str = "source"
    """The rule by which the tool sized its pictures: `short-side 256`, `340x256`, `source`."""
    fps: float | None = None
    """The videos' rate; files of flow do not say."""

    def __post_init__(self) -> None:
        if self.rule is not None and self.rule not in RULES:
            raise UserError(f"--rule {self.rule!r} is not known; choose {', '.join(RULES)}")
        if self.images not in IMAGES:
            raise UserError(f"--images {self.images!r} is not one of {', '.join(IMAGES)}")
        if self.values not in ("auto", "pixels", "unit"):
            raise UserError(f"--values {self.values!r} is not one of auto, pixels, unit")
        if self.index_base is not None and self.index_base < 0:
            raise UserError(f"--index-base {self.index_base} is below 0")
        if not re.fullmatch(r"source|short-side \d+|\d+x\d+", self.size):
            raise UserError(f"--size {self.size!r} is not source, 'short-side 256' or 340x256")
        if self.step is not None and self.step < 1:
            raise UserError(f"--step {self.step} is not 1 or more frames")


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


def plan_import(sources: Sequence[Path], wishes: Wishes = Wishes()) -> Plan:
    """Survey the sources and settle what the names and a few pictures tell."""
    found = survey(sources)
    videos = [video for video in found.videos.values() if video.steps]
    names = ", ".join(str(source) for source in sources)
    if not videos:
        other = len(found.videos)
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
    kinds = {kind for video in videos for kind, _ in video.places}
    named_step, step = _steps(videos, wishes.step)
    notes.append(f"step: {step}" + ("" if wishes.step else " (from the names)"))
    reading = Reading(Quantizer("round", USUAL_BOUND), named_step, step, trim=wishes.trim)
    reading = _bases(found, reading, wishes, notes)
    reading = _alignment(videos, reading, wishes, notes)
    if all((kind, -named_step) in v.places for v in videos for kind in _flow_kinds(v)):
        reading = replace(reading, backward=True)
        notes.append("backward flow lies beside the forward one: it is taken too")
    reading, coded = _values(videos, reading, wishes, notes, layout)
    files = bool(kinds & {X, Y})
    config = StoreConfig(
        quantizer=reading.quantizer,
        codec=wishes.codec or ("files" if files else "lossless" if coded else "jpeg:95"),
        frame_codec="none" if reading.images == "none" else wishes.frame_codec or "files",
        size=wishes.size,
        step=step,
        fields=("forward", "backward") if reading.backward else ("forward",),
        algorithm=wishes.algorithm,
        parameters=wishes.parameters,
        fingerprint=wishes.fingerprint,
    )
    if wishes.algorithm == "unknown":
        notes.append(
            "flow algorithm: unknown, for files do not say; state --preset if videos that are "
            "not in this store shall be predicted later"
        )
    if wishes.fps is None:
        notes.append("frame rate: 25 a second is written down, for files do not say (--fps)")
    return Plan(found, videos, reading, config, layout, notes, wishes.fps or 25.0)


def _flow_kinds(video: FoundVideo) -> set[str]:
    return {kind for kind, _ in video.places if kind in FLOW}


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


def _bases(found: Survey, reading: Reading, wishes: Wishes, notes: list[str]) -> Reading:
    """What most sequences start with; one that starts elsewhere has lost files."""
    bases: dict[str, int] = {}
    for what, kinds in (("flow", (X, Y, BOTH, TABLE)), ("images", (IMAGE,))):
        firsts = found.firsts(kinds)
        if not firsts:
            continue
        if wishes.index_base is not None:
            bases[what] = wishes.index_base
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
    videos: list[FoundVideo], reading: Reading, wishes: Wishes, notes: list[str]
) -> Reading:
    """Which frame of its pair image i is."""
    pictured = [video for video in videos if (IMAGE, 1) in video.places]
    if wishes.images == "none" or not pictured:
        notes.append("frames: none" + ("" if wishes.images == "none" else " were found"))
        return replace(reading, images="none")
    if len(pictured) < len(videos):
        notes.append(f"frames: only {len(pictured)} of {len(videos)} videos have them")
    if wishes.images != "auto":
        return replace(reading, images=wishes.images)
    surplus: Counter[int] = Counter()
    for video in pictured:
        pairs = [
            place.count
            for (kind, step), place in video.places.items()
            if kind in (X, BOTH) and step == reading.named_step
        ]
        if pairs:
            surplus[video.places[IMAGE, 1].count - pairs[0]] += 1
    if surplus and surplus.most_common(1)[0][0] == 0 and reading.step == 1:
        notes.append(
            "frames: as many as pairs, so image i is the second frame of its pair, as dense_flow "
            "(TSN) and py-denseflow write it; the first pair is left out, for its first frame "
            "was never written (--images first says otherwise)"
        )
        return replace(reading, images="second")
    notes.append("frames: image i is the first frame of pair i")
    return replace(reading, images="first")


def _values(
    videos: list[FoundVideo], reading: Reading, wishes: Wishes, notes: list[str], layout: str
) -> tuple[Reading, bool]:
    """Settle quantiser and scale; True when the source holds codes, not floats."""
    bound = USUAL_BOUND if wishes.bound is None else wishes.bound
    array = next(
        (p.source.container for v in videos for (k, _), p in v.places.items() if k == ARRAY), None
    )
    floats = layout in (".flo", "HDF5", "flow_.png")
    if layout == ".npy" and array is not None:
        floats = not open_array(array).coded
    if floats:
        quantizer = Quantizer(wishes.rule or "companded", bound)
        notes.append(f"values: floats, stored as {quantizer.rule} codes with bound {bound:g} px")
        if layout == ".npy":
            scale = _scale(videos, wishes, bound, notes)
            return replace(reading, quantizer=quantizer, scale=scale), False
        return replace(reading, quantizer=quantizer), False
    pairs = _samples(videos, reading)
    rest = Counter(int(np.bincount(plane.ravel()).argmax()) for pair in pairs for plane in pair)
    rule = wishes.rule or ("truncate" if layout == "x_" else "round")
    seen = {127: "truncate", 128: "round"}.get(rest.most_common(1)[0][0]) if rest else None
    telling = seen is not None and rest.most_common(1)[0][1] >= 0.6 * rest.total()
    if telling and wishes.rule is None:
        rule = str(seen)
        notes.append(f"rule: {rule}, for rest is {rest.most_common(1)[0][0]} in most pictures")
    elif wishes.rule is None:
        notes.append(f"rule: {rule}, as this layout's tools write it; pictures do not tell")
    elif telling and Quantizer(rule).zero != rest.most_common(1)[0][0]:
        notes.append(
            f"CHECK --rule {rule}: rest would be {Quantizer(rule).zero}, and most pictures are "
            f"at rest at {rest.most_common(1)[0][0]}, as {seen} writes it"
        )
    if wishes.bound is None:
        notes.append(
            f"BOUND: {bound:g} px ASSUMED; no picture can show it. TSN, mmaction2 and gpu_flow "
            "use 20; denseflow without -b 32, dense_flow without -b 15, EPIC 25: state --bound"
        )
    stretched = [p.min() == 0 and p.max() == 255 for pair in pairs for p in pair]
    ends = np.mean([np.mean((p == 0) | (p == 255)) for pair in pairs for p in pair] or [0])
    if stretched and np.mean(stretched) > 0.8 and ends < 0.01:
        notes.append(
            "CHECK: nearly every picture reaches from 0 to 255: each was probably stretched to "
            "its own extremes when it was saved (scipy.misc.imsave does so), and what it lost "
            "cannot be brought back; extract the videos again"
        )
    return replace(reading, quantizer=Quantizer(rule, bound)), True


def _samples(videos: list[FoundVideo], reading: Reading) -> list[NDArray[np.uint8]]:
    """A pair from each of a few videos, some way in; videos that cannot be read are left out."""
    pairs = []
    for video in videos[:: max(1, len(videos) // SAMPLES)][:SAMPLES]:
        try:
            with ForeignVideo(video, reading) as opened:
                for index, pair in enumerate(opened.flow()):
                    if index == min(10, opened.pairs - 1):
                        pairs.append(pair.codes)
                        break
        except UserError:
            continue  # the import itself will say so
    return pairs


def _scale(videos: list[FoundVideo], wishes: Wishes, bound: float, notes: list[str]) -> float:
    largest = 0.0
    for video in videos[:: max(1, len(videos) // SAMPLES)][:SAMPLES]:
        for (kind, _), place in video.places.items():
            if kind == ARRAY:
                try:
                    array = open_array(place.source.container)
                except UserError:
                    continue
                some = array.values[:: max(1, len(array) // 8)]
                largest = max(largest, float(np.max(np.abs(some), initial=0)))
    unit = wishes.values == "unit" or (wishes.values == "auto" and 0 < largest <= 1)
    if unit and wishes.values == "auto":
        notes.append(
            f"VALUES: no flow is larger than {largest:.2f}, so arrays are taken as I3D has them, "
            f"pixels divided by the bound of {bound:g}; --values pixels says otherwise"
        )
    return bound if unit else 1.0
