"""Explaining a run of conv-level fusion: both first layers, and what single videos were decided by,
behind the join and in each tower before it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from fusion.explanation.asked import (
    LARGE,
    SIDE,
    Wanted,
    answer_of,
    captum_version,
    class_of,
)
from fusion.explanation.drawing import (
    Bytes,
    drawn,
    fastest,
    gradients,
    in_unit,
    lit,
    resized,
    row,
    shown_steps,
    warmed,
)
from fusion.explanation.figures import Explanation, Figure, Section, file_name, still
from fusion.explanation.first_layer import first_section
from fusion.explanation.streams import summary
from fusion.network import ConvFusionNet, FusionScorer, fused_logits
from storage.catalog import Clip
from storage.errors import UserError
from streams.explanation import (
    FINE,
    Looked,
    class_map,
    gradient_copy,
    guided_gradient,
    read_inputs,
    why_not_guided,
)
from streams.scoring import Run

NOT_DRAWN = (
    "The strongest activations of filters are not drawn: behind a join a filter answers to frames "
    "and flow at once, and no single piece of either made its answer. Those of a tower are drawn "
    "of the run that it came from."
)


class FusedAnswer(nn.Module):
    """Frames and flow -> logits, as gradients are taken of."""

    def __init__(self, net: ConvFusionNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, frames: Tensor, flow: Tensor) -> Tensor:
        return fused_logits(self.net((frames, flow)))


@dataclass(frozen=True)
class FusedNetwork:
    """A fusion to take gradients of, and where it is looked into."""

    run: Run
    scorer: FusionScorer
    answer: FusedAnswer
    layers: dict[str, nn.Module]
    """joined, spatial, temporal: behind the join, and what each tower brings to it."""
    at: str
    unguided: str
    """Why there is no guided back-propagation; empty where there is."""

    @classmethod
    def open(cls, run: Run, scorer: FusionScorer, at: str, first: Looked) -> FusedNetwork:
        net = gradient_copy(scorer.net)
        answer = FusedAnswer(net)
        spatial, temporal = chosen_place(net, at, first)
        layers = {
            "joined": net.join(spatial),
            "spatial": net.tower("spatial").network.part(spatial),
            "temporal": net.tower("temporal").network.part(temporal),
        }
        unguided = why_not_guided(answer, first.x["spatial"], first.x["temporal"])
        return cls(run, scorer, answer, layers, spatial, unguided)


def chosen_place(net: ConvFusionNet, at: str, look: Looked) -> tuple[str, str]:
    """The parts of both towers whose join is looked behind: by the spatial one's name, or the last
    ones whose maps are fine enough."""
    stages = [place.spatial for place in net.places]
    if at and at not in stages:
        raise UserError(f"--at {at} is not where the towers are joined: {', '.join(stages)}")
    with torch.no_grad():
        pairs = net.pairs(look.x["spatial"], look.x["temporal"])
        sizes = {place: min(x.shape[-2:]) for place, x, _ in pairs if place is not None}
    if at:
        chosen = [place for place in sizes if place.spatial == at]
    else:
        chosen = [place for place, size in sizes.items() if size >= FINE] or list(sizes)
    return chosen[-1].spatial, chosen[-1].temporal


def looks_of(scorer: FusionScorer, store: Path, clips: Sequence[Clip]) -> Iterator[Looked]:
    """Both inputs at the same moments, as many as the network sees together."""
    sampling, device = scorer.sampling, next(scorer.net.parameters()).device
    return read_inputs(
        store, clips, scorer.inputs, scorer.crop, device, sampling, sampling.segments
    )


def explain_fusion(
    run: Run,
    scorer: FusionScorer,
    store: Path,
    shown: Sequence[Clip],
    wanted: Wanted,
    *,
    labelled: bool,
    watch: Callable[[int], object] = lambda done: None,
) -> Explanation:
    """`shown`: the clips that are explained one by one. `labelled`: their labels mean something."""
    if wanted.parts:
        raise UserError(f"--parts {wanted.parts[0]} has no meaning for a fusion. {NOT_DRAWN}")
    class_of(wanted.of, run.classes, 0, 0, labelled)  # whether there is such a class
    looks = []
    for look in looks_of(scorer, store, shown):
        looks.append(look)
        watch(1)
    fused = FusedNetwork.open(run, scorer, wanted.at, looks[0])
    inputs = scorer.inputs
    towers = {name: fused.answer.net.tower(name).network for name in inputs}
    sections = [first_section(towers[name], inputs[name], name) for name in inputs]
    about, numbers = fused_sections(fused, looks, wanted, labelled)
    made = scorer.provenance["fusion"]
    facts = {
        "run": str(run.path),
        "kind": run.kind,
        **scorer.provenance,
        "towers": {name: network.name for name, network in towers.items()},
        "size": scorer.crop.size,
        "store": str(store),
        "Grad-CAM at": fused.at,
        "captum": captum_version(),
        **({"no guided back-propagation": fused.unguided} if fused.unguided else {}),
    }
    of = " and ".join(f"{towers[name].name} on {LARGE[inputs[name].kind]}" for name in inputs)
    return Explanation(
        title=f"What {run.name} sees",
        subtitle=f"{made['method']}: {of}, {made['snapshots']} moments, {len(run.classes)} classes",
        sections=[*sections, *about, Section("Strongest activations", NOT_DRAWN)],
        facts=facts,
        numbers={"kind": run.kind, "at": fused.at, "videos": numbers},
    )


def fused_sections(
    fused: FusedNetwork, looks: Sequence[Looked], wanted: Wanted, labelled: bool
) -> tuple[list[Section], list[dict[str, Any]]]:
    """What each video's answer came from."""
    classes = fused.run.classes
    note = (
        "The moments that the network sees together, in the crop of testing: frames, and of each "
        f"stack of flow its middle. Grad-CAM behind the join of {fused.at} shows where both "
        "together speak for the class; that of a tower, where what it brings to the join does. "
        "The spatial tower's map holds the flow that was joined into it before, where there are "
        "several joins. Guided back-propagation is of the fused answer, in both inputs."
    )
    if fused.unguided:
        note += f" There is none here: {fused.unguided}."
    sections = [Section("Videos", note)]
    numbers: list[dict[str, Any]] = []
    for number, look in enumerate(looks, 1):
        with torch.no_grad():
            logits = fused.answer(look.x["spatial"], look.x["temporal"])[0]
        answer = answer_of(logits, classes, wanted.of, look.label, labelled)
        figures, facts = fused_figures(fused, number, look, answer.target, wanted.guided)
        sections.append(Section(look.video, lead=answer.words, figures=figures, inner=True))
        moments = list(look.moments)
        numbers.append({"video": look.video, "moments": moments, **answer.numbers, **facts})
    return sections, numbers


def fused_figures(
    fused: FusedNetwork, number: int, look: Looked, target: int, guided: bool = True
) -> tuple[list[Figure], dict[str, Any]]:
    """Both inputs, the three maps over them, and guided back-propagation to both."""
    name = fused.run.classes[target]
    kinds = {tower: input_.kind for tower, input_ in fused.scorer.inputs.items()}
    columns = shown_steps(len(look.moments), 5)
    middle = {tower: p[columns, p.shape[1] // 2] for tower, p in look.pictures.items()}
    pictures = {tower: drawn(steps, kinds[tower]) for tower, steps in middle.items()}
    both = look.x["spatial"], look.x["temporal"]
    maps = {at: moment_maps(fused, both, target, at, len(look.moments)) for at in fused.layers}
    figures: list[Figure] = []

    def add(what: str, tiles: Bytes, caption: str) -> None:
        small = [resized(tile, SIDE, SIDE) for tile in tiles]
        figures.append(still(file_name(number, look.video, what), row(small), caption, caption))

    full = f"; full colour at {fastest(middle['temporal']):.2g} px"
    for tower, kind in kinds.items():
        add(f"input-{tower}", pictures[tower], LARGE[kind] + (full if kind == "flow" else ""))
    for at, shares in maps.items():
        tower = "temporal" if at == "temporal" else "spatial"
        shade = lit if kinds[tower] == "flow" else warmed
        where = "behind the join" if at == "joined" else f"of the {at} tower"
        tiles = shade(pictures[tower], shares[columns])
        add(f"gradcam-{at}", tiles, f"Grad-CAM {where} for {name}")
    if guided and not fused.unguided:
        found = guided_gradient(fused.answer, both, target)
        for tower, gradient in zip(kinds, found, strict=True):
            channels = look.pictures[tower].shape[2]
            steps = gradient[0].detach().unflatten(1, (-1, channels)).float().cpu().numpy()
            shown = gradients(steps[columns, steps.shape[1] // 2], kinds[tower])
            where = LARGE[kinds[tower]]
            add(f"guided-{tower}", shown, f"guided back-propagation to {where} for {name}")
    return figures, {"Grad-CAM": {at: summary(shares) for at, shares in maps.items()}}


def moment_maps(
    fused: FusedNetwork, both: tuple[Tensor, Tensor], target: int, at: str, moments: int
) -> NDArray[np.float32]:
    """Grad-CAM at a layer: float32 (K, S, S) in 0..1, one a moment; steps of clips are averaged."""
    found = class_map(fused.answer, both, target, fused.layers[at])
    if found.ndim == 5:  # (K, 1, t, h, w)
        found = found.mean(2)
    found = found.unflatten(0, (moments, -1)).mean(1)
    size = both[0].shape[-2:]
    spread = interpolate(found.float(), size, mode="bilinear", align_corners=False)[:, 0]
    return np.asarray(in_unit(spread.cpu().numpy()), np.float32)
