"""The families of systems that the exam tells apart, and what a question says of each.

A family is named after what its systems look at and how they join it, because that is what a
proof can speak of. A tool that examines systems gives each of them one of these names a question.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

FAMILIES = {
    "frame": "one RGB frame, or a mean over the scores of frames (spatial stream, TSN average)",
    "flow_snapshot": "one stack of flow at a random moment (temporal stream, one snapshot)",
    "bag_average": "the mean of the scores of flow stacks (temporal stream, TSN average)",
    "bag_max": "the maximum over time of each class's score, on flow stacks",
    "additive": "a sum of a frame's and a flow stack's scores (late average, linear SVM)",
    "nonlinear_late": "any other function of both streams' averaged scores or features",
    "conv_fusion": "both streams joined place by place, snapshots averaged",
    "vlad_fisher": "flow features counted by kind, then normalised (VLAD, Fisher vector)",
    "conv_pooling": "the maximum over time of each flow feature, then a classifier",
    "attention": "a weighted mean of flow features, weights from the features, linear classifier",
    "consensus_learned": "flow scores of K parts of a video, each part with a weight of its own",
    "sequence": "a recurrent network over the features of flow stacks (LSTM, GRU)",
    "trajectories": "grey points tracked through 15 frames, as a Fisher vector (iDT)",
    "dense_frames": "consecutive RGB frames together (early and slow fusion, frames' LSTM)",
    "every_fifth_frame": "RGB frames that are 5, 10 or 15 apart (sampled LSTM, two late frames)",
    "clip3d_rgb": "3-D convolutions on consecutive RGB frames (C3D, I3D, T3D)",
    "clip3d_flow": "3-D convolutions on consecutive flow (I3D's flow stream)",
    "centred_codes": "anything that sees flow alone, stored by `centred` or `truncate`, bound 20",
    "companded_codes": "anything that sees flow alone, stored by `companded` or `round`, bound 20",
}

Judged = Literal["accuracy", "forced choice"]
ACCURACY: Judged = "accuracy"
CHOICE: Judged = "forced choice"
"""Which of two twins is of which class: `judging.forced_choice`."""
Answer = Literal["blind", "sees", "undetermined"]


@dataclass(frozen=True)
class Ceiling:
    """What a family can reach on the test part of a question."""

    answer: Answer
    ceiling: float | None
    """1 for those that see; nothing where it is undetermined."""
    judged: Judged
    why: str
    exact: bool = False
    """It holds for these very videos, whatever the function; otherwise in the mean over draws."""


def blind(ceiling: float, judged: Judged, why: str, *, exact: bool = False) -> Ceiling:
    return Ceiling("blind", ceiling, judged, why, exact)


def sees(judged: Judged, why: str) -> Ceiling:
    return Ceiling("sees", 1.0, judged, why)


def undetermined(judged: Judged, why: str) -> Ceiling:
    return Ceiling("undetermined", None, judged, why)


def by_family(groups: Mapping[str, Ceiling]) -> dict[str, Ceiling]:
    """From "frame flow_snapshot" -> a ceiling, to one a family, in the order of FAMILIES."""
    each = {name: ceiling for names, ceiling in groups.items() for name in names.split()}
    if set(each) != set(FAMILIES) or len(each) != sum(len(names.split()) for names in groups):
        raise ValueError(f"families differ: {sorted(set(each) ^ set(FAMILIES))}")
    return {name: each[name] for name in FAMILIES}


def ceilings_as_json(ceilings: Mapping[str, Ceiling]) -> dict[str, Any]:
    return {name: asdict(ceiling) for name, ceiling in ceilings.items()}
