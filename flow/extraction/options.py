"""What is asked of a run of `extract`: the command parses it, and the work reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from flow.algorithms import Algorithm, algorithm
from flow.extraction.recipe import Recipe
from flow.tvl1 import TVL1
from flow.video import Resize
from storage.codecs import Quantizer
from storage.errors import UserError
from storage.store import StoreConfig

INTERRUPTED = "interrupted"
"""Why a run ended, when Ctrl-C or SIGTERM asked for it."""

Rule = Literal["companded", "round", "truncate", "centred"]
OnError = Literal["skip", "partial", "stop"]
DEFAULT = StoreConfig()
DEFAULT_RULE = cast(Rule, DEFAULT.quantizer.rule)


@dataclass(frozen=True)
class ExtractOptions:
    """What to extract, how, and into which store."""

    videos: tuple[str, ...]
    """Folders (searched recursively), video files, patterns in quotes, or list files (.txt)."""
    out: str
    """The store: a folder that is made, or one made with the same options."""

    root: str | None = None
    """Ids and the lines of lists are relative to this folder (default: the folder that is named,
    or the list's own)."""
    flow: Literal["tvl1", "dis", "farneback"] = "tvl1"
    """The flow algorithm; published streams were trained on tvl1."""
    preset: str | None = None
    """Parameter set: opencv-cuda (default, as published) or opencv-cpu for tvl1; ultrafast, fast
    or medium for dis."""
    engine: str = "auto"
    """Who computes tvl1: auto takes the fastest that works here (gpu, cpu, opencv, reference)."""
    direction: Literal["forward", "backward", "both"] = "forward"
    """Flow from each frame to a later one, the other way, or both."""
    warped: bool = False
    """Store flow with the camera's motion taken out as well."""
    step: int = 1
    """Flow i leads from frame i to frame i + STEP."""
    fps: float | None = None
    """Resample to this rate first: frames are repeated or left out (default: all as they are)."""
    short_side: int | None = None
    """Resize so that the shorter side has this length."""
    size: str | None = None
    """Resize to WIDTHxHEIGHT, for example 340x256 (default: the video's own size)."""
    no_frames: bool = False
    """Store flow only, no RGB frames."""

    quantizer: Rule = DEFAULT_RULE
    """The rule from pixels to bytes; docs/store.md says what each one loses."""
    bound: float = DEFAULT.quantizer.bound
    """Motion in pixels that the largest code stands for; more is clipped."""
    codec: str = DEFAULT.codec
    """How flow is stored: jpeg:QUALITY, lossless, raw or another one of docs/store.md."""
    frame_codec: str = DEFAULT.frame_codec
    """How frames are stored: jpeg:QUALITY, lossless or raw."""

    workers: int | None = None
    """Processes at once (default: one a core). Each GPU has a process more, which they share."""
    shard: str | None = None
    """I/N: do only the I-th of N disjoint parts, for job arrays."""
    cluster: str | None = None
    """Address of a Dask scheduler, for example tcp://10.0.0.1:8786; its workers do the work."""
    on_error: OnError = "skip"
    """A bad video is skipped; or stored as far as it can be decoded; or ends the run."""
    redo_changed: bool = False
    """Extract sources again that have changed since they were stored."""
    dry_run: bool = False
    """Say what would be done and how long it would take, and do nothing."""

    def __post_init__(self) -> None:
        allowed = get_args(OnError)
        if self.on_error not in allowed:
            raise UserError(f"--on-error {self.on_error!r} is not one of {', '.join(allowed)}")
        if self.workers is not None and self.workers < 1:
            raise UserError(f"--workers is {self.workers}; it must be at least 1")
        if self.size is not None and self.short_side is not None:
            raise UserError("give --short-side or --size, not both")

    def algorithm(self) -> Algorithm:
        """What `flow` and `preset` choose."""
        if self.flow == "tvl1":
            return algorithm("tvl1", TVL1.preset(self.preset or "opencv-cuda"))
        if self.preset is None:
            return algorithm(self.flow)
        if self.flow == "dis":
            return algorithm("dis", preset=self.preset)
        raise UserError(f"--preset {self.preset!r}: {self.flow} has none; leave it out")

    def recipe(self) -> Recipe:
        """The options that decide what is stored."""
        both = ("forward", "backward")
        fields = both if self.direction == "both" else (self.direction,)
        return Recipe(
            resize=Resize.parse(self.size) if self.size else Resize(self.short_side),
            step=self.step,
            fps=self.fps,
            fields=(*fields, "warped") if self.warped else fields,
            flow=self.algorithm(),
            quantizer=Quantizer(self.quantizer, self.bound),
            codec=self.codec,
            frame_codec="none" if self.no_frames else self.frame_codec,
            engine=self.engine,
        )
