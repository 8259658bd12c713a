"""Explaining a run of a sequence network with attention: over time as a strip, over places as heat
on the frames."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusion.explanation.drawing import (
    GAP,
    GROUND,
    Bytes,
    heat,
    in_unit,
    resized,
    row,
    shown_steps,
    warmed,
)
from fusion.explanation.figures import Explanation, Figure, Section, file_name, still
from storage.errors import UserError
from storage.store import Store, open_store
from streams.samples import centre_box
from streams.scoring import Run
from streams.sequences import FeatureSource, SequenceScorer, VideoWeights, video_weights

WIDTH, BARS, CELLS = 960, 96, 14
"""Pixels of a strip: its width, the height of its bars, and that of its row of heat."""
TILE = 112
STEPS = 8
"""Frames beside each other."""
BAR = np.array([47, 111, 222])
FAINT = np.array([222, 226, 231])


def explain_sequence(
    scorer: SequenceScorer,
    source: FeatureSource,
    part: str,
    rows: Sequence[int],
    store: Path | None,
    *,
    windows: int = 10,
    watch: Callable[[int], object] = lambda done: None,
) -> Explanation:
    """The videos of a part in these rows; frames are taken from `store`, where there is one."""
    run, network = scorer.run, scorer.recipe.net.network
    looks = video_weights(scorer, source, part, windows=windows, rows=rows)
    sections, numbers = weight_sections(run, looks, store, watch)
    over_places = bool(numbers) and isinstance(numbers[0]["weights"][0], list)
    head = Section("Attention", NOTES[over_places])
    return Explanation(
        title=f"Where {run.name} looks",
        subtitle=f"{network} on {' and '.join(map(str, source.stores))}, "
        f"{len(run.classes)} classes",
        sections=[head, *sections],
        facts={
            "run": str(run.path),
            "kind": run.kind,
            "network": network,
            **scorer.provenance,
            "features": [str(path) for path in source.stores],
            "windows": windows,
            **({"store": str(store)} if store is not None else {}),
        },
        numbers={"kind": run.kind, "network": network, "videos": numbers},
    )


def weight_sections(
    run: Run,
    looks: Iterable[VideoWeights],
    store: Path | None,
    watch: Callable[[int], object] = lambda done: None,
) -> tuple[list[Section], list[dict[str, Any]]]:
    """The weights of each video as a picture and in numbers."""
    classes = run.classes
    opened = open_store(store) if store is not None else None
    sections: list[Section] = []
    numbers: list[dict[str, Any]] = []
    for number, look in enumerate(looks, 1):
        if look.over_places and opened is None:
            raise UserError(
                f"{run.path} attends to places; --store names the store whose frames they lie on"
            )
        if look.over_places and opened is not None:
            figures = place_figures(number, look, opened, crop_share(run))
        else:
            figures = time_figures(number, look, opened)
        said = f"{classes[look.label]}; predicted {classes[look.predicted]} ({look.confidence:.0%})"
        sections.append(Section(look.video, lead=said, figures=figures, inner=True))
        numbers.append(
            {
                "video": look.video,
                "true": classes[look.label],
                "predicted": classes[look.predicted],
                "probability": round(look.confidence, 6),
                "moments": look.moments.tolist(),
                "weights": np.round(look.weights.astype(float), 6).tolist(),
            }
        )
        watch(1)
    return sections, numbers


def crop_share(run: Run) -> float:
    """Of the shorter side: how much of a frame the features were taken of."""
    network = run.settings["data"]["features"][0].get("network", {})
    return float(network.get("crop", {}).get("test_share", 1.0))


NOTES = {
    False: "The weight of each step of the features, which stand at evenly spread moments of the "
    "video; they sum to 1. The dashed line is what all steps alike would have. Above: frames at "
    "some of the moments.",
    True: "At some steps: the frame in the crop that the features saw, and above it as heat how "
    "much each place counts. The weights of a step sum to 1; its heat is against that step's "
    "largest.",
}


def time_figures(number: int, look: VideoWeights, store: Store | None) -> list[Figure]:
    """Frames where there are some, and the weights below them."""
    parts = []
    chosen = shown_steps(len(look.moments), STEPS)
    if store is not None:
        frames = frames_at(store, look.video, look.moments[chosen])
        width = (WIDTH - GAP * (len(frames) - 1)) // len(frames)
        height = max(1, round(width * frames[0].shape[0] / frames[0].shape[1]))
        line = row([resized(frame, height, width) for frame in frames])
        parts.append(resized(line, height, WIDTH))
    parts.append(strip_of(look.weights))
    ground = np.full((GAP, WIDTH, 3), GROUND, np.uint8)
    picture = np.concatenate([p for part in parts for p in (part, ground)][:-1])
    top = int(look.weights.argmax())
    caption = (
        f"{len(look.weights)} steps, frames {look.moments[0]} to {look.moments[-1]}; the largest "
        f"weight, {look.weights[top]:.3f}, at frame {look.moments[top]}"
    )
    name = file_name(number, look.video, "attention")
    return [still(name, picture, "attention over time", caption)]


def strip_of(weights: NDArray[np.floating]) -> Bytes:
    """Bars of weights (T,), their height against the largest, over a row of heat; dashed: 1 / T."""
    most = float(weights.max())
    edges = np.rint(np.linspace(0, WIDTH, len(weights) + 1)).astype(int)
    bars = np.full((BARS, WIDTH, 3), GROUND, np.uint8)
    cells = np.zeros((CELLS, WIDTH, 3), np.uint8)
    warmth = heat(weights / max(most, 1e-12))
    for left, right, weight, colour in zip(edges, edges[1:], weights, warmth, strict=False):
        gap = 1 if right - left > 4 else 0
        bars[:, left : right - gap] = FAINT
        bars[BARS - round(BARS * float(weight) / max(most, 1e-12)) :, left : right - gap] = BAR
        cells[:, left:right] = colour
    even = BARS - round(BARS / len(weights) / max(most, 1e-12))
    if 0 <= even < BARS:
        bars[even, np.arange(WIDTH) % 12 < 7] = 60
    return np.concatenate([bars, cells])


def place_figures(number: int, look: VideoWeights, store: Store, share: float) -> list[Figure]:
    """Heat on the crops that the features were computed of, `share` of a frame's shorter side."""
    chosen = shown_steps(len(look.moments), STEPS)
    frames = frames_at(store, look.video, look.moments[chosen])
    top, left, height, width = centre_box(frames[0].shape[0], frames[0].shape[1], share)
    crops = [frame[top : top + height, left : left + width] for frame in frames]
    tiles = []
    for step, crop in zip(chosen, crops, strict=True):
        tiles.append(place_heat(resized(crop, TILE, TILE), look.weights[step]))
    plain = row([resized(crop, TILE, TILE) for crop in crops])
    ground = np.full((GAP, plain.shape[1], 3), GROUND, np.uint8)
    picture = np.concatenate([plain, ground, row(tiles)])
    caption = f"{len(chosen)} of {len(look.moments)} steps, frames {listed_frames(look, chosen)}"
    name = file_name(number, look.video, "attention")
    return [still(name, picture, "attention over places", caption)]


def place_heat(picture: Bytes, weights: NDArray[np.floating]) -> Bytes:
    """A picture (H, W, 3) under the heat of weights over places (h, w), against the largest."""
    height, width = picture.shape[:2]
    warmth = np.asarray(in_unit(weights) * 255, np.uint8)
    spread = resized(np.repeat(warmth[..., None], 3, -1), height, width)[..., 0] / 255
    return warmed(picture[None], spread[None])[0]


def listed_frames(look: VideoWeights, chosen: Sequence[int]) -> str:
    return ", ".join(str(look.moments[i]) for i in chosen)


def frames_at(store: Store, video: str, moments: Sequence[int] | NDArray[np.int32]) -> list[Bytes]:
    """The frames at some moments; the last one again behind the end."""
    if video not in store:
        raise UserError(f"{video} is not in {store.folder}; give the store of the features")
    count = store.video(video).frames
    if not count:
        raise UserError(f"{store.folder} has no frames of {video}; leave --store out")
    return list(store.read_frames(video, [min(int(m), count - 1) for m in moments]))
