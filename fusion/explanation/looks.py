"""The small choice of pictures that a report shows of a run."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from fusion.explanation.asked import LARGE, Wanted
from fusion.explanation.figures import Figure, Section
from fusion.explanation.first_layer import first_section
from fusion.explanation.fused import FusedNetwork, fused_sections, looks_of
from fusion.explanation.sequences import weight_sections
from fusion.explanation.streams import Explained, video_sections
from fusion.network import FusionScorer
from storage.catalog import Clip
from storage.errors import UserError
from storage.store import open_store
from streams.explanation import attribution, gradient_copy, last_map, read_snapshots
from streams.inputs import AnyInput
from streams.scoring import Run, load_stream
from streams.sequences import SequenceScorer, clip_weights, stores_of
from streams.training import pick_device

SMALL = Wanted(guided=False)
QUALITY = 82
"""Of the JPEGs that stand for larger PNGs."""


@dataclass(frozen=True)
class RunLooks:
    """What is to be seen of one run."""

    run: str
    """Name of its folder."""
    about: str
    """The network, and what it is given."""
    first: list[Section] = field(default_factory=list)
    """The first layer of each tower."""
    videos: dict[str, Section] = field(default_factory=dict)
    """Video -> what the run says of it, and pictures of what it looked at."""
    note: str = ""
    """Why something is not drawn."""

    @property
    def size(self) -> int:
        """Bytes of its pictures."""
        sections = [*self.first, *self.videos.values()]
        return sum(len(figure.png) for section in sections for figure in section.figures)


def look_at_run(
    run: Run, clips: Sequence[Clip], store: Path | None, features: Sequence[Path] = ()
) -> RunLooks:
    """Pictures of these clips, whose labels are indices into the run's classes.

    A UserError says why nothing can be shown: no store, another store, features that are not there.
    """
    device = pick_device("auto", 0)
    if run.kind == "sequence":
        looks = sequence_looks(run, clips, store, features, device)
    elif run.kind == "fusion":
        looks = fusion_looks(run, clips, store, device)
    elif "input" in run.settings["recipe"] and run.kind != "motion":
        looks = stream_looks(run, clips, store, device)
    else:
        raise UserError(f"of a run of kind {run.kind} there are no such pictures")
    return replace(
        looks,
        first=[lightened(section) for section in looks.first],
        videos={video: lightened(section) for video, section in looks.videos.items()},
    )


def stream_looks(
    run: Run, clips: Sequence[Clip], store: Path | None, device: torch.device
) -> RunLooks:
    net, _ = load_stream(run, device)
    network, recipe = gradient_copy(net.network), run.recipe
    looks = RunLooks(
        run.path.resolve().name,
        f"{recipe.network.name} on {LARGE[recipe.input.kind]}",
        [first_section(network, recipe.input)],
    )

    def videos(path: Path, usable: Sequence[Clip]) -> list[Section]:
        snapshots = list(read_snapshots(path, usable, run.kind, recipe, net))
        at = last_map(network, snapshots[0].x)
        return video_sections(Explained(run, network, at, ""), snapshots, SMALL, True)[0]

    return with_videos(looks, run, {run.kind: recipe.input}, clips, store, videos)


def fusion_looks(
    run: Run, clips: Sequence[Clip], store: Path | None, device: torch.device
) -> RunLooks:
    scorer = FusionScorer(run, device)
    towers = {name: scorer.net.tower(name).network for name in scorer.inputs}
    said = " and ".join(f"{towers[k].name} on {LARGE[i.kind]}" for k, i in scorer.inputs.items())
    looks = RunLooks(
        run.path.resolve().name,
        f"{scorer.provenance['fusion']['method']}: {said}",
        [first_section(towers[name], input_, name) for name, input_ in scorer.inputs.items()],
    )

    def videos(path: Path, usable: Sequence[Clip]) -> list[Section]:
        seen = list(looks_of(scorer, path, usable))
        fused = FusedNetwork.open(run, scorer, "", seen[0])
        return fused_sections(fused, seen, SMALL, True)[0]

    return with_videos(looks, run, scorer.inputs, clips, store, videos)


def with_videos(
    looks: RunLooks,
    run: Run,
    inputs: Mapping[str, AnyInput],
    clips: Sequence[Clip],
    store: Path | None,
    draw: Callable[[Path, Sequence[Clip]], list[Section]],
) -> RunLooks:
    """The looks with pictures of the clips that can be drawn; or why there are none."""
    try:
        attribution()
        if store is None:
            raise UserError("Grad-CAM takes the store of the videos: --store")
        with open_store(store) as opened:
            for input_ in inputs.values():
                input_.check(opened.meta)
            run.check_store(inputs, opened.meta, store)
            stored = set(opened.videos())
            usable = [
                clip
                for clip in clips
                if clip.video in stored
                and all(i.repeatable(opened.video(clip.video)) for i in inputs.values())
            ]
        if not usable:
            raise UserError(f"{store} has none of the videos shown here")
        sections = draw(store, usable)
    except UserError as error:
        return replace(looks, note=str(error))
    return replace(looks, videos={each.title: each for each in sections if each.inner})


def sequence_looks(
    run: Run,
    clips: Sequence[Clip],
    store: Path | None,
    features: Sequence[Path],
    device: torch.device,
) -> RunLooks:
    scorer = SequenceScorer(run, device)
    stores = stores_of(run.settings["data"]["features"], features)
    weights = list(clip_weights(scorer, stores, stored_in(stores, clips)))
    sections, _ = weight_sections(run, weights, store)
    about = f"{scorer.recipe.net.network} on {' and '.join(path.name for path in stores)}"
    videos = {section.title: section for section in sections}
    return RunLooks(run.path.resolve().name, about, videos=videos)


def stored_in(stores: Sequence[Path], clips: Sequence[Clip]) -> list[Clip]:
    """The clips that all feature stores have."""
    from storage.features import open_features

    held = [set(open_features(path).videos()) for path in stores]
    return [clip for clip in clips if all(clip.video in videos for videos in held)]


def lightened(section: Section) -> Section:
    """The same with light pictures; without those that move, which are the heaviest."""
    kept = [figure for figure in section.figures if not figure.name.endswith("-moving")]
    return replace(section, figures=[light(figure) for figure in kept])


def light(figure: Figure) -> Figure:
    """As a JPEG where that is the smaller one."""
    from PIL import Image

    body = io.BytesIO()
    with Image.open(io.BytesIO(figure.png)) as picture:
        size = picture.size
        picture.convert("RGB").save(body, "JPEG", quality=QUALITY, optimize=True)
    smaller = body.getvalue() if len(body.getvalue()) < len(figure.png) else figure.png
    return replace(figure, png=smaller, width=size[0])
