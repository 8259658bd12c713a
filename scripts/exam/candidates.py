"""The systems that sit the exam, a line each: what proves them blind, and what they are made by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from scripts.exam.sitting import Sitting
from scripts.exam.way import Way

Leads = Callable[[Way, Sitting], Path]
"""Adds the steps to a way; the path of the score table of the test part."""


@dataclass(frozen=True)
class Candidate:
    """One system."""

    name: str
    title: str
    family: str
    """One of `scripts.samples.FAMILIES`: what a proof can say of it."""
    leads: Leads
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """Question -> the family that it is of there, where the proof of its own does not cover it."""
    only: tuple[str, ...] = ()
    """Questions that it is asked, where it cannot be asked the others or is no news there; empty:
    all."""

    def family_for(self, question: str) -> str:
        return self.elsewhere.get(question, self.family)

    def is_asked(self, question: str) -> bool:
        return not self.only or question in self.only


def stream_alone(kind: str) -> Leads:
    return lambda way, at: way.scored_stream(at, kind)


def snapshot(way: Way, at: Sitting) -> Path:
    """The temporal stream once more, looking at the middle of each video alone."""
    return way.score(at, "snapshot", way.stream(at, "temporal", "temporal"), "1x1")


def segments(name: str, consensus: str) -> Leads:
    def leads(way: Way, at: Sitting) -> Path:
        more = ("--segments", "3", "--consensus", consensus)
        run = way.stream(at, name, "temporal", *more, samples=3)
        return way.score(at, name, run, way.views(at, "temporal"))

    return leads


def late(name: str, method: str) -> Leads:
    return lambda way, at: way.fuse(at, name, method)


def conv_fusion(way: Way, at: Sitting) -> Path:
    towers = [way.tower(at, kind) for kind in ("spatial", "temporal")]
    pair = ("--spatial", str(towers[0]), "--temporal", str(towers[1]))
    # One snapshot, as the proof of `order` asks. The hidden layer starts at 0, where plain descent
    # learns little before it leaps; and the towers know all that is needed.
    how = ("--snapshots", "1", "--gap", "1", "--tune", "after")
    search = ("--optimiser", "adamw", "--no-nesterov", "--lr", "0.001")
    words = ("fusion", *pair, "--recipe", "small", *how, *search)
    run = way.train(at, "conv-fusion", words, tuple(towers), network="fusion")
    return way.score(at, "conv-fusion", run, way.views(at, "temporal"), network="fusion")


def network(name: str, kind: str, of: str, *more: str) -> Leads:
    """A network by name, on clips of frames or of flow."""

    def leads(way: Way, at: Sitting) -> Path:
        words = (kind, "--network", of, "--recipe", "small", *more)
        run = way.train(at, name, words, (), network=of)
        return way.score(at, name, run, f"{at.setting.clips}x1", network=of)

    return leads


def over_features(name: str, of: str, *more: str) -> Leads:
    return lambda way, at: way.sequence(at, name, of, *more)


def centred(way: Way, at: Sitting) -> Path:
    store = way.store(at, "centred")
    run = way.stream(at, "centred-codes", "temporal", codes="centred")
    return way.score(at, "centred-codes", run, way.views(at, "temporal"), store=store)


def trajectories(way: Way, at: Sitting) -> Path:
    return way.trajectories(at, "idt-fisher")


WHOLE = ("--prediction", "last", "--loss", "last", "--truncation", "0")
FUNCTION_OF_MEANS = {"variety": "nonlinear_late"}
"""Its classifier is not linear in the weighted mean, so that the proof does not reach it."""

CANDIDATES: dict[str, Candidate] = {
    one.name: one
    for one in (
        Candidate("spatial", "Spatial stream", "frame", stream_alone("spatial")),
        Candidate("temporal", "Temporal stream", "bag_average", stream_alone("temporal")),
        Candidate("snapshot", "Temporal stream, one snapshot", "flow_snapshot", snapshot),
        Candidate("tsn", "TSN on flow, average", "bag_average", segments("tsn", "average")),
        Candidate("tsn-max", "TSN on flow, maximum", "bag_max", segments("tsn-max", "max")),
        Candidate(
            "tsn-learned",
            "TSN on flow, learnt consensus",
            "consensus_learned",
            segments("tsn-learned", "learned"),
        ),
        Candidate(
            "late-average", "Late fusion, average", "additive", late("late-average", "average")
        ),
        Candidate("late-svm", "Late fusion, linear SVM", "additive", late("late-svm", "svm")),
        Candidate("conv-fusion", "Conv-level fusion", "conv_fusion", conv_fusion),
        Candidate(
            "early",
            "Early fusion of frames",
            "dense_frames",
            network("early", "spatial", "karpathy-early"),
        ),
        Candidate(
            "two-late-frames",
            "Late fusion of frames, 15 apart",
            "every_fifth_frame",
            network("two-late-frames", "spatial", "karpathy-late"),
        ),
        Candidate(
            "slow",
            "Slow fusion of frames",
            "dense_frames",
            network("slow", "spatial", "karpathy-slow"),
        ),
        Candidate("lstm", "LSTM on flow", "sequence", over_features("lstm", "lstm", *WHOLE)),
        Candidate(
            "conv-pooling",
            "Conv pooling on flow",
            "conv_pooling",
            over_features("conv-pooling", "conv-pooling"),
        ),
        Candidate(
            "vlad",
            "ActionVLAD on flow",
            "vlad_fisher",
            over_features("vlad", "actionvlad", "--extra", "clusters=8"),
        ),
        Candidate(
            "attention",
            "Temporal attention on flow",
            "attention",
            over_features("attention", "temporal-attention"),
            elsewhere=FUNCTION_OF_MEANS,
        ),
        Candidate("c3d", "C3D", "clip3d_rgb", network("c3d", "spatial", "c3d")),
        Candidate(
            "i3d", "I3D on frames", "clip3d_rgb", network("i3d", "spatial", "i3d", "--size", "32")
        ),
        Candidate(
            "idt-fisher",
            "iDT, Fisher vectors, SVM",
            "trajectories",
            trajectories,
            only=("order", "needle", "variety", "strobe", "scene"),  # longer than 15 frames
        ),
        Candidate(
            "centred-codes",
            "Temporal stream, centred codes",
            "centred_codes",
            centred,
            only=("fine",),
        ),
    )
}
QUICK = ("lstm", "vlad", "attention")
QUICK_QUESTIONS = ("what-and-how", "order")
