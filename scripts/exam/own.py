"""Systems of one's own, by name: a network, a recipe, or the settings of a run."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.common import read_options
from scripts.exam.candidates import CANDIDATES, Candidate, Leads, network, over_features
from scripts.exam.sitting import Sitting
from scripts.exam.way import Way
from scripts.samples import FAMILIES
from storage.errors import UserError

FORMS = "network:NAME, spatial:RECIPE, temporal:RECIPE or run:FOLDER"
SEQUENCE_FAMILIES = {
    "lstm": "sequence",
    "gru": "sequence",
    "deep-lstm": "sequence",
    "conv-pooling": "conv_pooling",
    "actionvlad": "vlad_fisher",
    "temporal-attention": "attention",
    "mean": "bag_average",
    "max": "conv_pooling",
    "learned": "consensus_learned",
}
"""Network on features -> its family. Those on maps are not asked: the features are rows."""
CLIP_FAMILIES = {
    "karpathy-single": "frame",
    "karpathy-late": "every_fifth_frame",
    "karpathy-early": "dense_frames",
    "karpathy-slow": "dense_frames",
    "hidden-two-stream": "dense_frames",
    "lrcn": "dense_frames",
    "convnet-lstm": "every_fifth_frame",
}
"""Networks on frames that are neither one picture nor 3-D."""
STREAMS = ("spatial", "temporal")


def candidate(text: str) -> Candidate:
    """A system by name; raise UserError for one that is not known."""
    if text in CANDIDATES:
        return CANDIDATES[text]
    kind, colon, rest = text.partition(":")
    if not colon:
        raise UserError(
            f"--systems {text!r} is not one of {', '.join(CANDIDATES)}; nor is it {FORMS}"
        )
    value, _, family = rest.partition("=")
    if family and family not in FAMILIES:
        raise UserError(f"--systems {text!r}: no family {family!r}; {', '.join(FAMILIES)}")
    name = plain_name(f"{kind}-{value}")
    if kind == "network":
        known, leads = of_network(text, name, value)
    elif kind in STREAMS:
        known, leads = of_recipe(name, kind, value)
    elif kind == "run":
        known, leads = of_run(text, name, Path(value))
    else:
        raise UserError(f"--systems {text!r} is not {FORMS}")
    elsewhere = CANDIDATES["attention"].elsewhere if known == "attention" and not family else {}
    return Candidate(name, text, family or known, leads, elsewhere)


def plain_name(text: str) -> str:
    """A name that can be a folder's."""
    return re.sub(r"[^\w.@+-]+", "-", text).strip("-.")


def of_network(text: str, name: str, value: str) -> tuple[str, Leads]:
    """Its family, as far as a network can tell, and what trains it."""
    from streams.networks import entry_of

    of, _, stream = value.partition("@")
    if of in SEQUENCE_FAMILIES:
        return SEQUENCE_FAMILIES[of], over_features(name, of)
    entry = entry_of(of)
    stream = stream or next((one for one in STREAMS if one in entry.streams), "")
    if stream not in entry.streams or stream not in STREAMS:
        allowed = " or ".join(one for one in STREAMS if one in entry.streams) or "no stream"
        raise UserError(f"--systems {text!r}: the network {of} is trained as {allowed}")
    return family_of(of, stream), network(name, stream, of)


def family_of(name: str, stream: str) -> str:
    """What a network by name sees as a stream."""
    from streams.networks import entry_of

    clips = entry_of(name).layout == "clip" if name else False
    if stream == "temporal":
        return "clip3d_flow" if clips else "bag_average"
    return CLIP_FAMILIES.get(name, "clip3d_rgb" if clips else "frame")


def of_recipe(name: str, kind: str, recipe: str) -> tuple[str, Leads]:
    """The plain stream of another recipe."""
    from streams.training import recipe as recipe_of

    recipe_of(recipe, kind)  # an unknown one is named here

    def leads(way: Way, at: Sitting) -> Path:
        run = way.train(at, name, (kind, "--recipe", recipe), (), network="")
        return way.score(at, name, run, way.views(at, kind), network="")

    return family_of("", kind), leads


def of_run(text: str, name: str, path: Path) -> tuple[str, Leads]:
    """The options of a run, with the exam's videos, seed and budget in their places."""
    file = path / "run.yaml" if path.is_dir() else path
    values = read_options(file)
    kind, named = str(values.get("kind", "")), str(values.get("network", ""))
    config = ("--config", str(file.resolve()))

    def sequence(way: Way, at: Sitting) -> Path:
        return way.sequence(at, name, named or "lstm", *config)

    def fusion(way: Way, at: Sitting) -> Path:
        towers = {one: way.tower(at, one) for one in STREAMS}
        pair = (word for one, run in towers.items() for word in (f"--{one}", str(run)))
        needs = tuple(towers.values())
        run = way.train(at, name, ("fusion", *config, *pair), needs, network="fusion")
        return way.score(at, name, run, way.views(at, "temporal"), network="fusion")

    def stream(way: Way, at: Sitting) -> Path:
        run = way.train(at, name, (kind, *config), (), network=named)
        return way.score(at, name, run, way.views(at, kind), network=named)

    if kind == "sequence":
        return SEQUENCE_FAMILIES.get(named or "lstm", "sequence"), sequence
    if kind == "fusion":
        return "conv_fusion", fusion
    if kind not in STREAMS:
        raise UserError(f"--systems {text!r} is a run of kind {kind!r}, which gives no scores")
    return family_of(named, kind), stream
