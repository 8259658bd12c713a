"""Measure what the default coding of flow costs and loses, clip by clip, and where things move.

    twostream bench codecs --clips videos/
    twostream bench codecs --clips videos/ --short-side 128 --pairs 12 --json

Beside it stands what most published flow was kept as: two JPEGs of quality 95 a pair, of rounded
codes. Every clip is judged by itself, over the whole picture and over the pixels that move: small
people on still ground are lost in a mean over the picture, and in a mean over clips.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from flow.tvl1 import compute_flow
from flow.video import Resize, VideoError, VideoReader, find_videos, to_grey
from scripts.bench.codecs import Coder, own, two_files
from scripts.bench.store_material import Flow
from storage.codecs import MOVING, Quantizer
from storage.errors import UserError
from storage.progress import progress_bar
from storage.store import StoreConfig

SHARE_OF_BYTES = 2 / 3
"""Of the JPEGs' bytes: so many may a clip take."""
FEWEST = 50
"""Moving pixels in a clip's pairs; below that their mean is chance, and the clip is not judged."""
SHOWN = 8
"""Clips that are shown one by one, the worst first."""


@dataclass(frozen=True)
class CodecsBench:
    """What to measure, and on what."""

    clips: tuple[str, ...]
    """Folders of videos, or what else `extract` takes."""
    short_side: tuple[int, ...] = (128, 256)
    """Sizes to measure at."""
    pairs: int = 6
    """Pairs of each clip, evenly over its length."""
    videos: int | None = None
    """So many of the clips, evenly chosen (default: all)."""
    codec: str = StoreConfig().codec
    """The coding to measure."""
    cache: Path | None = None
    """Keep the computed flow in this folder, and take it from there the next time."""
    json: bool = False
    """Print JSON: every clip."""
    quiet: bool = field(default=False)
    """No progress."""


@dataclass(frozen=True)
class Loss:
    """Of a clip's pairs. Bytes are a pair's; errors are mean end-point errors, pixels, of
    quantising and coding together."""

    bytes: float
    all: float
    moving: float
    """Over the pixels whose true motion is above `MOVING`."""


@dataclass(frozen=True)
class ClipRow:
    """One clip, coded both ways."""

    clip: str
    moving: int
    """Pixels that move."""
    share: float
    """The same of all pixels."""
    motion: float
    """Their mean motion, pixels."""
    ours: Loss
    jpegs: Loss

    @property
    def judged(self) -> bool:
        return self.moving >= FEWEST

    @property
    def loss(self) -> float:
        """Loss of moving pixels, over that of the JPEGs."""
        return self.ours.moving / self.jpegs.moving

    @property
    def size(self) -> float:
        """Bytes, over those of the JPEGs."""
        return self.ours.bytes / self.jpegs.bytes


def run(options: CodecsBench) -> int:
    """Measure and print."""
    results = {side: list(clip_rows(options, side)) for side in options.short_side}
    if options.json:
        print(json.dumps({str(side): list(map(asdict, rows)) for side, rows in results.items()}))
        return 0
    for side, rows in results.items():
        print(f"short side {side}: {options.codec} against two JPEGs of quality 95, rounded\n")
        print(table(rows), end="\n\n")
    return 0


def clip_rows(options: CodecsBench, side: int) -> Iterator[ClipRow]:
    """Every clip at one size; clips without a pair are left out."""
    import cv2

    cv2.setNumThreads(1)
    files = sorted(file.path for file in find_videos(options.clips)[0])
    if options.videos:
        files = [
            files[i] for i in np.linspace(0, len(files) - 1, options.videos).round().astype(int)
        ]
    ours, rounded = Quantizer(), Quantizer("round")
    with progress_bar(len(files), "clip", f"short side {side}", quiet=options.quiet) as bar:
        for path in files:
            flow = flow_of(path, Resize(side), options.pairs, options.cache)
            bar.update()
            if not len(flow):
                continue
            moves = np.hypot(flow[:, 0], flow[:, 1]) > MOVING
            motion = np.hypot(flow[:, 0], flow[:, 1])[moves]
            yield ClipRow(
                clip=Path(path).stem,
                moving=int(moves.sum()),
                share=float(moves.mean()),
                motion=float(motion.mean()) if motion.size else 0.0,
                ours=loss_of(flow, moves, ours, own(options.codec, ours)),
                jpegs=loss_of(flow, moves, rounded, two_files()),
            )


def loss_of(flow: Flow, moves: NDArray[np.bool_], quantizer: Quantizer, coder: Coder) -> Loss:
    """Code and decode every pair. `moves`: bool (N, H, W)."""
    encode, decode = coder
    out = np.empty(flow.shape[1:], np.uint8)
    size, error = 0, np.empty(moves.shape, np.float32)
    for number, pair in enumerate(flow):
        data = encode(quantizer.quantize(pair))
        decode(data, out)
        size += sum(map(len, data))
        x, y = quantizer.dequantize(out) - pair
        error[number] = np.hypot(x, y)
    moving = float(error[moves].mean(dtype=np.float64)) if moves.any() else 0.0
    return Loss(size / len(flow), float(error.mean(dtype=np.float64)), moving)


def flow_of(path: str, resize: Resize, pairs: int, cache: Path | None) -> Flow:
    """float32 (N, 2, H, W): TV-L1 flow of pairs evenly over a video; none where it has none."""
    stored = None
    if cache is not None:
        name = hashlib.sha256(f"{path} {resize} {pairs}".encode()).hexdigest()[:16]
        stored = cache / f"{name}.npy"
        if stored.exists():
            known: Flow = np.load(stored)
            return known
    flow = compute(path, resize, pairs)
    if stored is not None:
        stored.parent.mkdir(parents=True, exist_ok=True)
        np.save(stored, flow)
    return flow


def compute(path: str, resize: Resize, pairs: int) -> Flow:
    try:
        with VideoReader(path, tolerant=True) as reader:
            grey = [to_grey(resize.apply(frame.rgb)) for frame in reader]
    except VideoError as error:
        raise UserError(f"{path}: {error}") from None
    if len(grey) < 2:
        return np.empty((0, 2, 1, 1), np.float32)
    firsts = np.unique(np.linspace(0, len(grey) - 2, pairs).round().astype(int))
    return np.concatenate([compute_flow(np.stack(grey[i : i + 2])) for i in firsts])


def table(rows: list[ClipRow]) -> str:
    """Means over clips, how many clips keep both bounds, and the worst of them."""
    judged = [row for row in rows if row.judged]
    if not judged:
        return "nothing moves in these clips"
    lines = [
        f"{'mean of ' + str(len(judged)) + ' clips':<44} {'bytes':>7} {'all':>7} {'moving':>7}"
    ]
    for name, losses in (("ours", [r.ours for r in judged]), ("JPEGs", [r.jpegs for r in judged])):
        size, every, moving = (
            float(np.mean([getattr(loss, what) for loss in losses]))
            for what in ("bytes", "all", "moving")
        )
        lines.append(f"{name:<44} {size:>7.0f} {every:>7.4f} {moving:>7.4f}")
    worse = sum(row.loss > 1 for row in judged)
    larger = sum(row.size > SHARE_OF_BYTES for row in judged)
    neither = sum(row.loss <= 1 and row.size <= SHARE_OF_BYTES for row in judged)
    lines += [
        f"\nmoving pixels lose more than in the JPEGs: {worse} of {len(judged)} clips",
        f"more than two thirds of their bytes: {larger} of {len(judged)} clips",
        f"neither: {neither} of {len(judged)} clips",
        f"\n{'the worst, over the JPEGs':<36} {'moves':>7} {'by px':>7} {'moving':>7} {'bytes':>7}",
    ]
    for row in sorted(judged, key=lambda row: -max(row.loss, row.size / SHARE_OF_BYTES))[:SHOWN]:
        lines.append(
            f"{row.clip[:36]:<36} {row.share:>7.1%} {row.motion:>7.2f} {row.loss:>7.2f} "
            f"{row.size:>7.2f}"
        )
    return "\n".join(lines)
