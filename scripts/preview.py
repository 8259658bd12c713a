"""Show frames beside their flow, in the colours of the Middlebury wheel, as a film or a strip.

    twostream preview Biking/v_Biking_g01_c01 --store ucf101.store
    twostream preview Biking/v_Biking_g01_c01 --store ucf101.store --out biking.png --columns 8
    twostream preview holiday.mp4 --short-side 256 --out holiday.mp4.png

Hue is the direction of the motion, depth of colour its speed; white is rest.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from scripts.common import Talk, run_command

if TYPE_CHECKING:
    from flow.pictures import Preview


@dataclass(frozen=True)
class Options:
    """What to show."""

    video: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO")]
    """A video's id, with --store; or a video file, whose flow is computed now."""
    store: str | None = None
    """The store that holds the video."""
    out: str | None = None
    """The picture: *.png is a strip, *.mp4 a film (default: NAME_flow.mp4)."""
    field: Literal["forward", "backward", "warped"] = "forward"
    """Which flow."""
    columns: int = 6
    """Frames in a strip."""
    limit: int = 500
    """Most frames in a film."""
    full: float | None = None
    """Motion in pixels that gets the full colour (default: that of the fastest 1 percent)."""
    flow: Literal["tvl1", "dis", "farneback"] = "tvl1"
    """For a file: how its flow is computed."""
    engine: str = "auto"
    """For a file: who computes it."""
    short_side: int | None = 256
    """For a file: its size."""
    step: int = 1
    """For a file: flow leads from frame i to frame i + STEP."""
    talk: Talk = dataclasses.field(default_factory=Talk)


def find(options: Options) -> Preview:
    """What the options name, stored or as a file."""
    from flow.pictures import DecodedVideo, StoredVideo, similar_ids
    from storage.errors import UserError
    from storage.store import open_store

    if options.store is not None:
        store = open_store(options.store)
        if options.video not in store:
            near = ", ".join(islice(similar_ids(store, options.video), 5))
            raise UserError(
                f"{options.video!r} is not in {options.store}; "
                + (f"near are {near}" if near else "`twostream inspect` lists what is")
            )
        return StoredVideo(store, options.video, options.field)
    if not Path(options.video).exists():
        raise UserError(f"no file {options.video!r}; an id needs --store STORE")

    from flow.algorithms import algorithm
    from flow.extraction import Recipe
    from flow.video import Resize

    recipe = Recipe(
        resize=Resize(options.short_side),
        step=options.step,
        fields=(options.field,),
        flow=algorithm(options.flow),
        engine=options.engine,
    )
    try:
        return DecodedVideo(options.video, recipe, options.limit)
    except UserError as error:
        raise UserError(f"{options.video}: {error}") from None


def run(options: Options) -> int:
    from flow.pictures import full_speed, write_film, write_strip
    from storage.errors import UserError

    if min(options.columns, options.limit, options.step) < 1:
        raise UserError("--columns, --limit and --step must be at least 1")
    if options.full is not None and not options.full > 0:
        raise UserError(f"--full {options.full} must be over 0 px")
    out = Path(options.out or Path(options.video).stem + "_flow.mp4")
    if out.suffix.lower() not in (".png", ".mp4", ".mkv", ".avi", ".mov"):
        raise UserError(f"--out {out} ends in neither .png (a strip) nor .mp4 (a film)")
    if Path(options.video).exists() and out.exists() and out.samefile(options.video):
        raise UserError(f"--out {out} is the video itself; give another name")
    shown = find(options)
    full = options.full or full_speed(shown)
    if out.suffix.lower() == ".png":
        count = write_strip(shown, out, full, options.columns)
    else:
        count = write_film(shown, out, full, options.limit)
    print(f"{out}: {count} of {shown.pairs} pairs; full colour is {full:.1f} px")
    return 0


def main(argv: list[str] | None = None) -> int:
    return run_command(Options, run, argv, prog="preview", description=__doc__ or "")


if __name__ == "__main__":
    sys.exit(main())
