"""Sample data: a folder of small videos whose ceilings are known, listed as UCF-101 is.

With A appearances and M motions the spatial stream alone can reach 1/M, the temporal stream alone
1/A, and only both together 1. Every class is filmed from the same windows (`synthetic_scene`), so
this holds for the finite training set too: there is nothing in it to learn by heart.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.samples.sample_classes import APPEARANCES, MOTIONS, Appearance, Motion, class_name
from scripts.samples.sample_scene import Place, Window
from storage import atomic
from storage.errors import UserError

FPS = 25


@dataclass(frozen=True)
class SampleData:
    """How much sample data is made, and from which seed."""

    seed: int = 0
    """The same seed gives the same bytes."""
    appearances: int = 4
    """Colours and patterns, 2 to 8."""
    motions: int = 4
    """2, 4, 6 or 8: they come in pairs, one the other played backwards."""
    groups: int = 12
    """Scenes; a third of them, at least one, is the test part."""
    clips: int = 2
    """Clips of a class in a scene."""
    frames: int = 13
    """Frames a clip."""
    width: int = 96
    """Pixels, even."""
    height: int = 72
    """Pixels, even."""

    def __post_init__(self) -> None:
        checks = (
            ("appearances", 2 <= self.appearances <= len(APPEARANCES), "2 to 8"),
            ("motions", self.motions in (2, 4, 6, 8), "2, 4, 6 or 8"),
            ("groups", 2 <= self.groups <= 99, "2 to 99"),
            ("clips", 1 <= self.clips <= 99, "1 to 99"),
            ("frames", 2 <= self.frames <= 2000, "2 to 2000"),
            ("width", self.width % 2 == 0 and 32 <= self.width <= 1920, "even, 32 to 1920"),
            ("height", self.height % 2 == 0 and 32 <= self.height <= 1080, "even, 32 to 1080"),
            ("seed", self.seed >= 0, "0 or more"),
        )
        for name, fine, allowed in checks:
            if not fine:
                raise UserError(f"--{name} is {getattr(self, name)}; it must be {allowed}")

    @property
    def looks(self) -> tuple[Appearance, ...]:
        return APPEARANCES[: self.appearances]

    @property
    def moves(self) -> tuple[Motion, ...]:
        return MOTIONS[: self.motions]

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of classInd.txt, which is the alphabet's."""
        return tuple(sorted(class_name(a, m) for a in self.looks for m in self.moves))

    @property
    def test_groups(self) -> range:
        """The first groups, as in UCF-101."""
        return range(1, max(1, self.groups // 3) + 1)

    def ceilings(self) -> dict[str, Any]:
        """What each stream can reach, and how the data was made: JSON values."""
        names = {move.name for move in self.moves}
        return {
            "spatial": 1 / self.motions,
            "temporal": 1 / self.appearances,
            "fused": 1.0,
            "appearances": [look.name for look in self.looks],
            "motions": [move.name for move in self.moves],
            "mirror_safe": not any(move.mirrored in names for move in self.moves),
            "made": asdict(self),
        }


@dataclass(frozen=True)
class SampleClip:
    """One video before it is written."""

    name: str
    """<Class>/v_<Class>_gXX_cYY.avi."""
    label: int
    group: int
    luma: NDArray[np.uint8]
    """(T, H, W)."""
    chroma: NDArray[np.uint8]
    """(T, 2, H / 2, W / 2): Cb, Cr."""


def sample_clips(data: SampleData) -> Iterator[SampleClip]:
    """All clips, one at a time, scene by scene."""
    labels = {name: i for i, name in enumerate(data.classes)}
    for group in range(1, data.groups + 1):
        place_rng = np.random.default_rng([data.seed, group])
        place = Place.draw(place_rng, data.height, data.width)
        for clip in range(1, data.clips + 1):
            rng = np.random.default_rng([data.seed, group, clip])
            window = Window.draw(rng, place, data.frames)
            for move in data.moves:
                luma, field, cover = window.render(move)
                for look in data.looks:
                    name = class_name(look, move)
                    yield SampleClip(
                        name=f"{name}/v_{name}_g{group:02}_c{clip:02}.avi",
                        label=labels[name],
                        group=group,
                        luma=luma,
                        chroma=window.colour(look, field, cover),
                    )


def make_sample_data(
    out: str | Path, data: SampleData | None = None, clips: Iterator[SampleClip] | None = None
) -> dict[str, Any]:
    """Write OUT/videos, OUT/lists (classInd, trainlist01, testlist01) and OUT/lists/ceilings.json.

    `clips` is `sample_clips(data)`, where the caller wants to watch it go by. Returns the ceilings.
    The lists come last: where they are, the videos are whole.
    """
    data = data or SampleData()
    out = Path(out)
    lists = out / "lists"
    lists.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[tuple[str, int]]] = {"train": [], "test": []}
    for clip in sample_clips(data) if clips is None else clips:
        write_video(out / "videos" / clip.name, clip.luma, clip.chroma)
        part = "test" if clip.group in data.test_groups else "train"
        parts[part].append((clip.name, clip.label))
    train, test = sorted(parts["train"]), sorted(parts["test"])
    ceilings = data.ceilings()
    for name, lines in {
        "ceilings.json": [json.dumps(ceilings, indent=2)],
        "classInd.txt": [f"{i} {name}" for i, name in enumerate(data.classes, 1)],
        "testlist01.txt": [video for video, _ in test],
        "trainlist01.txt": [f"{video} {label + 1}" for video, label in train],
    }.items():
        (lists / name).write_text("\n".join(lines) + "\n", encoding="ascii", newline="\n")
    return ceilings


def write_video(path: Path, luma: NDArray[np.uint8], chroma: NDArray[np.uint8]) -> None:
    """Write luma (T, H, W) and chroma (T, 2, H / 2, W / 2) as Motion JPEG in AVI.

    Motion JPEG, because every frame is coded by itself, and brightness apart from colour: a codec
    that predicts from frame to frame would leave traces of the motion in single frames.
    """
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with (
        atomic.replacing(path) as draft,
        av.open(str(draft), "w", container_options={"fflags": "+bitexact"}) as container,
    ):
        stream = container.add_stream("mjpeg", rate=FPS)
        stream.width, stream.height = luma.shape[2], luma.shape[1]
        stream.pix_fmt = "yuvj420p"
        context = stream.codec_context
        context.thread_count = 1
        context.flags |= av.codec.context.Flags.bitexact
        context.qmin = context.qmax = 3
        for bright, colour in zip(luma, chroma, strict=True):
            planes = np.concatenate([bright.ravel(), colour.ravel()])
            frame = av.VideoFrame.from_ndarray(planes.reshape(-1, luma.shape[2]), format="yuvj420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
