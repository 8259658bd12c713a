"""Explaining a run of a stream: first layer, what single videos were decided by, and what its
filters answer to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fusion.explanation.activations import filter_sections
from fusion.explanation.asked import (
    LARGE,
    SIDE,
    Wanted,
    answer_of,
    captum_version,
    class_of,
)
from fusion.explanation.drawing import (
    drawn,
    fastest,
    gradients,
    heat,
    in_unit,
    lit,
    resized,
    row,
    shown_steps,
    warmed,
)
from fusion.explanation.figures import (
    Explanation,
    Figure,
    Section,
    file_name,
    still,
)
from fusion.explanation.first_layer import first_section
from storage.catalog import Clip
from streams.explanation import (
    Snapshot,
    as_steps,
    attention_masks,
    grad_cam,
    gradient_copy,
    guided_gradient,
    last_map,
    read_snapshots,
    why_not_guided,
)
from streams.networks import Network
from streams.scoring import Run, load_stream


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
    sections = [first_section(network, recipe.input)]
    about, numbers = video_sections(explained, snapshots, wanted, labelled)
    sections += about
    if not unguided:
        more = list(snapshots)
        known = {snapshot.video for snapshot in snapshots}
        others = [clip for clip in searched if clip.video not in known]
        for snapshot in read_snapshots(store, others, run.kind, recipe, net):
            more.append(snapshot)
            watch(1)
        sections += filter_sections(network, more, wanted)
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
            logits = explained.network(snapshot.x)[0]
        answer = answer_of(logits, classes, wanted.of, snapshot.label, labelled)
        figures, facts = video_figures(explained, number, snapshot, answer.target, wanted.guided)
        sections.append(Section(snapshot.video, lead=answer.words, figures=figures, inner=True))
        about = {"video": snapshot.video, "moment": snapshot.moment}
        numbers.append({**about, **answer.numbers, **facts})
    return sections, numbers


def video_figures(
    explained: Explained, number: int, snapshot: Snapshot, target: int, guided: bool = True
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
    if guided and not explained.unguided:
        steps_of = as_steps(guided_gradient(network, x, target).detach(), snapshot)
        add(
            "guided", gradients(steps_of, kind)[columns], f"guided back-propagation for {name}",
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
