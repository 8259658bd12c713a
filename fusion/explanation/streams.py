"""Explaining a run of a stream: first layer, what single videos were decided by, and what its
filters answer to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fusion.explanation.drawing import (
    drawn,
    fastest,
    filter_tiles,
    gradients,
    heat,
    in_rows,
    in_unit,
    lit,
    resized,
    row,
    sheet,
    shown_steps,
    warmed,
)
from fusion.explanation.figures import (
    Explanation,
    Figure,
    Section,
    file_name,
    moving,
    still,
)
from storage.catalog import Clip
from storage.errors import UserError
from streams.explanation import (
    LITTLE,
    Snapshot,
    Strongest,
    as_steps,
    attention_masks,
    conv_parts,
    first_filters,
    grad_cam,
    gradient_copy,
    guided_gradient,
    last_map,
    read_snapshots,
    strongest_activations,
    why_not_guided,
)
from streams.networks import Network
from streams.scoring import Run, load_stream

SIDE = 168
"""Pixels of a tile's side."""
MOST_FILTERS = 96
IN_ROWS = 16
"""Filters of several steps whose steps are drawn side by side."""
LARGE = {"rgb": "frames", "flow": "flow", "difference": "differences of frames"}


@dataclass(frozen=True)
class Wanted:
    """What is to be drawn."""

    of: str = "predicted"
    """The class whose reasons are drawn: predicted, true, or a class by name."""
    at: str = ""
    """The part whose maps Grad-CAM weighs; the last one that has maps, where empty."""
    parts: tuple[str, ...] = ()
    """Parts whose filters are drawn; some, spread over the depth, where empty."""
    filters: int = 8
    best: int = 4


@dataclass(frozen=True)
class Explained:
    """A network, and how to call what it sees."""

    run: Run
    network: Network
    """A copy to take gradients of."""
    at: str
    unguided: str
    """Why there is no guided back-propagation; empty where there is."""


def explain_stream(
    run: Run,
    store: Path,
    shown: Sequence[Clip],
    searched: Sequence[Clip],
    wanted: Wanted,
    device: torch.device,
    *,
    labelled: bool,
    watch: Callable[[int], object] = lambda done: None,
) -> Explanation:
    """`shown`: the clips that are explained one by one; `searched`: those among which the
    strongest activations are looked for. `labelled`: their labels mean something."""
    net, weights = load_stream(run, device)
    network, recipe = gradient_copy(net.network), run.recipe
    for part in filter(None, (wanted.at, *wanted.parts)):
        network.part(part)
    class_of(wanted.of, run.classes, 0, 0, labelled)  # whether there is such a class
    read = read_snapshots(store, shown, run.kind, recipe, net)
    snapshots = []
    for snapshot in read:
        snapshots.append(snapshot)
        watch(1)
    at = wanted.at or last_map(network, snapshots[0].x)
    unguided = why_not_guided(network, snapshots[0].x)
    explained = Explained(run, network, at, unguided)
    sections = [first_section(explained)]
    about, numbers = video_sections(explained, snapshots, wanted, labelled)
    sections += about
    if not unguided:
        more = list(snapshots)
        known = {snapshot.video for snapshot in snapshots}
        others = [clip for clip in searched if clip.video not in known]
        for snapshot in read_snapshots(store, others, run.kind, recipe, net):
            more.append(snapshot)
            watch(1)
        sections += filter_sections(explained, more, wanted)
    facts = {
        "run": str(run.path),
        "kind": run.kind,
        "network": recipe.network.name,
        "input": {"kind": recipe.input.kind, "steps": recipe.input.steps, "size": recipe.crop.size},
        "weights": weights.hash,
        "store": str(store),
        "Grad-CAM at": at,
        "captum": captum_version(),
        **({"no guided back-propagation": unguided} if unguided else {}),
    }
    seen = LARGE[recipe.input.kind]
    size = recipe.crop.size
    steps = f", {recipe.input.steps} steps" if recipe.input.steps > 1 else ""
    return Explanation(
        title=f"What {run.name} sees",
        subtitle=f"{recipe.network.name} on {seen}{steps}, {size} x {size} pixels, "
        f"{len(run.classes)} classes",
        sections=sections,
        facts=facts,
        numbers={"kind": run.kind, "at": at, "videos": numbers},
    )


def captum_version() -> str:
    from importlib.metadata import version

    return version("captum")


def first_section(explained: Explained) -> Section:
    """The filters of the first layer."""
    input_ = explained.run.recipe.input
    try:
        filters = first_filters(explained.network, input_).numpy()
    except UserError as error:
        return Section("First layer", f"Not drawn: {error}.")
    count, steps = filters.shape[:2]
    kept = filters[:MOST_FILTERS]
    layer = explained.network.first.removeprefix("backbone.")
    what = "red, green and blue" if input_.kind != "flow" else "the motion it answers to"
    of = f"the first {len(kept)} of {count}" if count > len(kept) else f"all {count}"
    tiles = filter_tiles(kept, input_.kind, 40)
    figures: list[Figure] = []
    if steps == 1:
        picture = sheet(in_rows(list(tiles[:, 0]), 16))
        figures.append(
            still("first-layer", picture, "filters of the first layer", f"{layer}: {of} filters")
        )
    else:
        pages = [sheet(in_rows(list(tiles[:, t]), 16)) for t in range(steps)]
        figures.append(
            moving(
                "first-layer-moving", pages, "filters of the first layer, step after step",
                f"{layer}: {of} filters over their {steps} steps, moving",
            )
        )  # fmt: skip
        size = np.linalg.norm(kept.reshape(len(kept), -1), axis=1)
        largest = np.sort(np.argsort(-size, kind="stable")[:IN_ROWS])
        picture = sheet([[tiles[k, t] for k in largest] for t in range(steps)])
        figures.append(
            still(
                "first-layer", picture, "filters by columns, their steps by rows",
                f"The {len(largest)} largest, a column each (filters {listed(largest)}); "
                "steps from top to bottom",
            )
        )  # fmt: skip
    note = (
        f"Each filter has its own scale: {what}, "
        + ("white is none." if input_.kind == "flow" else "grey is 0.")
        + " Filters that look like noise have learned little, or too long without weight decay."
    )
    return Section("First layer", note, figures=figures)


def listed(numbers: Sequence[int] | np.ndarray) -> str:
    return ", ".join(str(int(n)) for n in numbers)


def video_sections(
    explained: Explained, snapshots: Sequence[Snapshot], wanted: Wanted, labelled: bool
) -> tuple[list[Section], list[dict[str, Any]]]:
    """What each video's answer came from."""
    classes = explained.run.classes
    note = (
        "The middle of each video in the crop of testing. Grad-CAM: where the maps behind "
        f"{explained.at} speak for the class; on flow, what does not count is dark. Guided "
        "back-propagation: which pixels, of those that excite the network, do. "
        "Of frames, colours are changes that would raise the class's score; of flow, the colour "
        "is the direction of the motion that would."
    )
    if explained.unguided:
        note += f" There is no guided back-propagation here: {explained.unguided}."
    sections = [Section("Videos", note)]
    numbers: list[dict[str, Any]] = []
    for number, snapshot in enumerate(snapshots, 1):
        with torch.no_grad():
            shares = explained.network(snapshot.x)[0].float().softmax(0).cpu().numpy()
        predicted = int(shares.argmax())
        target = class_of(wanted.of, classes, snapshot.label, predicted, labelled)
        figures, facts = video_figures(explained, number, snapshot, target)
        said = f"predicted {classes[predicted]} ({shares[predicted]:.0%})"
        if labelled:
            said = f"{classes[snapshot.label]}; {said}"
        if target != predicted:
            said += f"; drawn for {classes[target]} ({shares[target]:.0%})"
        sections.append(Section(snapshot.video, lead=said, figures=figures, inner=True))
        numbers.append(
            {
                "video": snapshot.video,
                "moment": snapshot.moment,
                **({"true": classes[snapshot.label]} if labelled else {}),
                "predicted": classes[predicted],
                "probability": round(float(shares[predicted]), 6),
                "class": classes[target],
                **facts,
            }
        )
    return sections, numbers


def class_of(of: str, classes: Sequence[str], label: int, predicted: int, labelled: bool) -> int:
    """The class whose reasons are drawn."""
    if of == "predicted":
        return predicted
    if of == "true":
        if not labelled:
            raise UserError("--of true needs --labels, which say what is true")
        return label
    if of not in classes:
        near = ", ".join(classes[:3])
        raise UserError(
            f"--of {of!r} is neither predicted, true nor one of the classes {near}, ..."
        )
    return list(classes).index(of)


def video_figures(
    explained: Explained, number: int, snapshot: Snapshot, target: int
) -> tuple[list[Figure], dict[str, Any]]:
    """Input, Grad-CAM, guided back-propagation, masks of attention."""
    kind, name = snapshot.kind, explained.run.classes[target]
    network, x = explained.network, snapshot.x
    steps = len(snapshot.pictures)
    columns = shown_steps(steps)
    pictures = drawn(snapshot.pictures, kind)
    cam = in_unit(grad_cam(network, x, target, explained.at).cpu().numpy())
    over = cam if cam.ndim == 3 else np.broadcast_to(cam, (steps, *cam.shape))
    if len(over) != steps:
        over = np.broadcast_to(over.mean(0), (steps, *cam.shape[-2:]))
    figures: list[Figure] = []

    def add(what: str, tiles: Any, alt: str, caption: str) -> None:
        small = [resized(tile, SIDE, SIDE) for tile in tiles]
        title = file_name(number, snapshot.video, what)
        figures.append(still(title, row(small), alt, caption))

    time = f" ({len(columns)} of {steps} steps)" if len(columns) < steps else ""
    note = f"; full colour at {fastest(snapshot.pictures):.2g} px" if kind == "flow" else ""
    add("input", pictures[columns], f"input: {LARGE[kind]}", f"input{time}{note}")
    shade = lit if kind == "flow" else warmed
    add(
        "gradcam", shade(pictures[columns], over[columns]), f"Grad-CAM for {name}",
        f"Grad-CAM for {name}",
    )  # fmt: skip
    if not explained.unguided:
        guided = as_steps(guided_gradient(network, x, target), snapshot)
        add(
            "guided", gradients(guided, kind)[columns], f"guided back-propagation for {name}",
            f"guided back-propagation for {name}",
        )  # fmt: skip
    for part, mask in attention_masks(network, x).items():
        small = in_unit(mask.numpy())
        shown = heat(small)
        add(f"mask-{part}", [shown], f"mask of {part}", f"attention: {part}")
    if snapshot.frame is not None:
        add("frame", [snapshot.frame], "the frame there", "frame")
    return figures, {"Grad-CAM": summary(cam)}


def summary(cam: np.ndarray) -> dict[str, Any]:
    """Where the class was seen, in numbers: the centre of mass, shares of height and width."""
    flat = cam if cam.ndim == 2 else cam.mean(0)
    total = float(flat.sum())
    if total <= 0:
        return {"y": None, "x": None}
    ys, xs = np.indices(flat.shape) + 0.5
    return {
        "y": round(float((ys * flat).sum()) / total / flat.shape[0], 4),
        "x": round(float((xs * flat).sum()) / total / flat.shape[1], 4),
    }


def filter_sections(
    explained: Explained, snapshots: Sequence[Snapshot], wanted: Wanted
) -> list[Section]:
    """Deconvnet of the strongest activations of some filters of some parts."""
    parts = wanted.parts or tuple(conv_parts(explained.network, snapshots[0].x))
    note = (
        f"The filters that answer most strongly to {len(snapshots)} videos. Of their "
        "strongest activations, one a video and the strongest first: above, what deconvnet finds "
        "in the input to have made it; below, that piece of the input."
    )
    if not parts:
        return []
    sections = [Section("Strongest activations", note)]
    clip = explained.network.layout == "clip"
    best = 1 if clip else wanted.best
    found = strongest_activations(
        explained.network, snapshots, parts, filters=wanted.filters, best=best
    )
    for part, rows in found.items():
        if not rows:
            sections.append(Section(part, "No filter answers here: all of it is 0.", inner=True))
            continue
        numbers = listed([r[0].filter for r in rows])
        make = over_time if clip else side_by_side
        tiles = [sheet([make(r, snapshots)], gap=3) for r in rows]
        picture = sheet(in_rows(tiles, 2), gap=18)
        more = "; the strongest only, over the steps that it saw" if clip else ""
        figure = still(
            f"strongest-{part}", picture, f"strongest activations behind {part}",
            f"{part}: filters {numbers}, row by row{more}",
        )  # fmt: skip
        sections.append(Section(part, figures=[figure], inner=True))
    return sections


def side_by_side(found: Sequence[Strongest], snapshots: Sequence[Snapshot]) -> list[np.ndarray]:
    """Deconvnet above the input, a pair of tiles an activation. Of several steps that one which
    counts most."""
    tiles = []
    for one in found:
        step = int(np.abs(one.picture).max((1, 2, 3)).argmax())
        tiles.append(pair(one, snapshots[one.snapshot], [step], 84))
    return tiles


def over_time(found: Sequence[Strongest], snapshots: Sequence[Snapshot]) -> list[np.ndarray]:
    """Deconvnet above the input, step after step that it saw, of the strongest activation alone."""
    one = found[0]
    strength = np.abs(one.picture).max((1, 2, 3))
    seen = np.flatnonzero(strength > LITTLE * strength.max())
    first, count = int(seen[0]), int(seen[-1] - seen[0]) + 1
    steps = [first + step for step in shown_steps(count, 8)]
    return [pair(one, snapshots[one.snapshot], steps, 84)]


def pair(one: Strongest, snapshot: Snapshot, steps: list[int], side: int) -> np.ndarray:
    top, left, bottom, right = one.box
    within = (slice(None), slice(None), slice(top, bottom), slice(left, right))
    above = gradients(one.picture[within], snapshot.kind)
    below = drawn(snapshot.pictures, snapshot.kind)[:, top:bottom, left:right]
    rows = [[resized(p[t], side, side) for t in steps] for p in (above, below)]
    return sheet(rows, gap=2)
