"""Say what happens in videos of your own.

    twostream predict my.mp4 --spatial runs/spatial --temporal runs/temporal
    twostream predict a.mp4 b.mov --temporal runs/temporal --top 3 --json
    twostream predict my.mp4 --spatial S --temporal T --weights 1 1.5 --overlay seen.mp4
    twostream predict my.mp4 --spatial S --temporal T --like fused.npz
    twostream predict my.mp4 --run runs/i3d-rgb --run runs/i3d-flow --run runs/tsn
    twostream predict my.mp4 --run runs/spatial --run runs/temporal --fusion runs/fusion
    twostream predict my.mp4 --run runs/lstm --features-of runs/i3d-rgb
    twostream predict long.mp4 --spatial S --temporal T --window 10 --stride 5
    twostream predict folder/ --temporal runs/temporal --overlay seen/
    twostream predict 0 --temporal runs/temporal --seconds 20

Flow is computed on the way, with the parameters, size, step and rate of the store that the
temporal run was trained on. A number is a camera. Videos longer than the window get a timeline.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from scripts.common import FAILED, OK, Talk, run_command
from storage.errors import UserError

if TYPE_CHECKING:
    from fusion.report import Fusing, Row
    from scripts.prediction import Prediction


AVERAGE = Path("average")
"""Value of --fusion."""


@dataclass(frozen=True)
class Options:
    videos: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO...")]
    """Video files, folders of them, or the number of a camera."""
    spatial: Path | None = None
    """Folder of a trained spatial run."""
    temporal: Path | None = None
    """Folder of a trained temporal run."""
    difference: Path | None = None
    """Folder of a trained run on differences of frames."""
    fusion: Path | None = None
    """Folder of a trained conv-level fusion run; beside --run it alone answers. Or the word
    average, which is the default."""
    run: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Folder of a run of any kind; give it once for each run."""
    features_of: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Folder of the run whose features a run of sequences learned on; give it once for each."""
    weights: tuple[float, ...] = ()
    """A weight for each run given, in the order spatial, temporal, difference, fusion, --run;
    equal."""
    normalise: Literal["softmax", "logits", "l1", "l2", "unit", "zscore"] = "softmax"
    """What is done to the scores before they are averaged."""
    like: Path | None = None
    """Average as this table of `twostream fuse` was made: its weights and its normalisation."""
    top: int = 5
    """How many classes to name."""
    views: str = "25x1"
    """SNAPSHOTSxCROPS a window; 25x10 is the published test protocol."""
    window: float = 10.0
    """Seconds that one line of the timeline sums up."""
    stride: float = 5.0
    """Seconds from one line of the timeline to the next."""
    overlay: Path | None = None
    """Write a video of the picture at its own size, its flow, and what is known when: an .mp4 for
    one input video, or a folder, which gets one for each."""
    seconds: float = 10.0
    """How long a camera is watched."""
    engine: str = "auto"
    """Who computes the flow: auto, gpu, cpu, opencv, reference."""
    threads: int = 1
    """Threads of the flow engine on the CPU."""
    device: str = "auto"
    """Where the networks run: auto, cpu, cuda or cuda:1."""
    json: bool = False
    """Print the result as JSON on stdout, and nothing else there."""
    talk: Talk = field(default_factory=Talk)

    def __post_init__(self) -> None:
        if self.top < 1:
            raise UserError(f"--top {self.top} must be 1 or more")


def run(options: Options) -> int:
    from tqdm import tqdm

    from fusion.report import window_starts
    from scripts.prediction import OWN_OPTIONS, Looking, open_runs, plan_passes, predict
    from streams.scoring import Views
    from streams.training import pick_device

    if not options.videos:
        raise UserError("name at least one video file or folder, or the number of a camera")
    paths = {
        kind: getattr(options, kind)
        for kind in OWN_OPTIONS
        if getattr(options, kind) not in (None, AVERAGE)
    }
    if not paths and not options.run:
        raise UserError(
            "give a trained run: --run, or --spatial, --temporal, --difference or --fusion"
        )
    videos = files_of(options.videos)
    overlays = overlay_files(options.overlay, videos)
    window_starts(0, options.window, options.stride)
    device = pick_device(options.device, 0)
    runs = open_runs(paths, options.run, device, options.features_of)
    fusing = how_to_fuse(options, tuple(runs), next(iter(runs.values())).run.classes)
    mirrored = all(trained.scorer.crop.flip for trained in runs.values())
    looking = Looking(
        Views.parse(options.views, mirrored),
        options.window,
        options.stride,
        options.seconds,
    )
    passes = plan_passes(runs, options.engine, options.threads)
    hidden = options.talk.quiet or not sys.stderr.isatty()
    found: list[Prediction] = []
    failed: dict[str, str] = {}
    for video in videos:
        shown = replace(looking, overlay=overlays.get(video))
        with tqdm(unit="frame", desc=Path(video).name, disable=hidden, leave=False) as bar:
            try:
                found.append(predict(video, passes, fusing, shown, device, bar.update))
            except UserError as error:
                if len(videos) == 1:
                    raise UserError(f"{video}: {error}") from None
                failed[video] = " ".join(str(error).split())
    if options.json:
        content = {
            "videos": [
                as_json(one, fusing, options.top)
                | ({"overlay": str(overlays[one.video])} if overlays else {})
                for one in found
            ],
            "failures": failed,
        }
        print(json.dumps(content, indent=2))
    else:
        for one in found:
            print(as_text(one, fusing, options.top))
            if overlays:
                print(f"-> {overlays[one.video]}")
    for video, reason in failed.items():
        print(f"twostream predict: {video}: {reason}", file=sys.stderr)
    return FAILED if failed else OK


def overlay_files(out: Path | None, videos: Mapping[str, Path]) -> dict[str, Path]:
    """Video -> the .mp4 that shows it: OUT itself, or in the folder OUT one of its own name."""
    if out is None:
        return {}
    if out.suffix and not out.is_dir():
        if out.suffix.lower() != ".mp4":
            raise UserError(f"--overlay {out} must end in .mp4, or be a folder")
        if len(videos) > 1:
            raise UserError(
                f"--overlay {out} is one video, and {len(videos)} are predicted; give a folder"
            )
        found = dict.fromkeys(videos, out)
    else:
        found = {}
        for video, name in videos.items():
            path = out / name.with_suffix(".mp4")
            if path in found.values():
                path = out / name.with_name(f"{name.name}.mp4")  # a.avi beside a.mov
            if path in found.values():
                raise UserError(f"--overlay {out}: {path} would be of two videos; give one by one")
            found[video] = path
    named = {Path(video).resolve() for video in videos}
    for path in found.values():
        if path.resolve() in named:
            raise UserError(f"--overlay {out} would replace the video {path}; name another")
        if path != out:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                said = f"--overlay {out}: {path.parent} cannot be made ({error.strerror})"
                raise UserError(said) from None
    return found


def files_of(names: Sequence[str]) -> dict[str, Path]:
    """The videos that were named, of a folder all that are in it; and what to call each: its path
    in that folder, else its name."""
    from flow.video import find_videos

    videos: dict[str, Path] = {}
    for name in names:
        if not name.isdecimal() and not Path(name).exists():
            raise UserError(f"{name} does not exist")
        if Path(name).is_dir():
            for file in sorted(file.path for file in find_videos([name])[0]):
                videos[file] = Path(os.path.relpath(file, name))
        else:
            videos[name] = Path(Path(name).name)
    return videos


def how_to_fuse(options: Options, streams: tuple[str, ...], classes: tuple[str, ...]) -> Fusing:
    from fusion.judge import fusion_of
    from fusion.report import Fusing
    from fusion.scores import check_weights

    weights, normalise = options.weights, options.normalise
    if options.like is not None:
        from storage.scores import ScoreTable

        if weights:
            raise UserError("--like brings weights of its own; leave out --weights")
        fusion = fusion_of(ScoreTable.load(options.like)) or {"method": "no fusion", "streams": []}
        method, given = fusion.get("method"), fusion.get("weights")
        if (
            method not in ("average", "weighted")
            or not isinstance(given, list)
            or len(given) != len(fusion["streams"])
        ):
            raise UserError(
                f"{options.like} is not an average: it was made by {method!r}; give --weights"
            )
        by_stream = dict(zip(fusion["streams"], given, strict=True))
        if set(by_stream) != set(streams):
            raise UserError(
                f"{options.like} fuses {', '.join(by_stream)}; the runs given are "
                f"{', '.join(streams)}"
            )
        weights = tuple(by_stream[stream] for stream in streams)
        normalise = fusion.get("normalise", normalise)
    if weights:
        check_weights(list(weights), len(streams))
    elif options.like is None and options.run and options.fusion not in (None, AVERAGE):
        weights = tuple(float(stream == "fusion") for stream in streams)
    return Fusing(classes, streams, weights or None, normalise)


def named(row: Row, classes: tuple[str, ...], top: int) -> list[dict[str, Any]]:
    return [
        {"class": classes[index], "probability": round(probability, 6)}
        for index, probability in row.top(top)
    ]


def as_json(one: Prediction, fusing: Fusing, top: int) -> dict[str, Any]:
    return {
        "video": one.video,
        "seconds": round(one.duration, 3),
        "frames": one.frames,
        "fps": round(one.fps, 3),
        "flow": one.engine,
        "top": named(one.whole, fusing.classes, top),
        "streams": {name: named(row, fusing.classes, top) for name, row in one.streams.items()},
        "timeline": [
            {
                "start": round(row.start, 3),
                "stop": round(row.stop, 3),
                "top": named(row, fusing.classes, top),
                "streams": {
                    name: named(replace(row, probabilities=own), fusing.classes, top)
                    for name, own in row.streams.items()
                },
            }
            for row in one.timeline
        ],
    }


def as_text(one: Prediction, fusing: Fusing, top: int) -> str:
    """A table of the leading classes, and a timeline where there is more than one line of it."""
    several = len(one.streams) > 1
    columns = {"fused": one.whole, **one.streams} if several else one.streams
    classes = [index for index, _ in one.whole.top(top)]
    width = max([5, *(len(fusing.classes[index]) for index in classes)])
    lines = [f"{one.video}: {one.duration:.1f} s, {one.frames} frames"]
    lines.append(f"  {'class':<{width}}" + "".join(f"  {name:>9}" for name in columns))
    for index in classes:
        shares = "".join(f"  {row.probabilities[index]:>9.1%}" for row in columns.values())
        lines.append(f"  {fusing.classes[index]:<{width}}{shares}")
    if len(one.timeline) > 1:
        lines.append("  timeline")
        for row in one.timeline:
            said = ", ".join(f"{fusing.classes[i]} {p:.0%}" for i, p in row.top(2))
            (first, _), *_ = row.top(1)
            alone = ", ".join(f"{name} {own[first]:.0%}" for name, own in row.streams.items())
            of = f"   ({fusing.classes[first]}: {alone})" if alone else ""
            lines.append(f"  {row.start:7.1f} to {row.stop:7.1f} s  {said}{of}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="predict", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
