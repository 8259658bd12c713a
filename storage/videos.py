"""What a file of a video is called, and the id that the store gives it."""

from __future__ import annotations

from pathlib import PurePosixPath

VIDEO_EXTENSIONS = frozenset(
    """
    .3g2 .3gp .asf .avi .divx .f4v .flv .gif .m2ts .m2v .m4v .mjpeg .mjpg .mkv .mov .mp4 .mpeg
    .mpg .mts .mxf .ogm .ogv .rm .rmvb .ts .vob .webm .wmv .y4m
    """.split()  # noqa: SIM905 - a list would take 31 lines
)
FRAME_RATES = "frame_rates.csv"
"""Beside exported pictures: lines `video,fps`. It is no list of labels."""

PARTS = ("train", "validation", "test")
"""Of a split."""
PART_OF = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "validate", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""What lists and folders call the parts."""


def video_id(path: str) -> str:
    """A listed path without its extension, with forward slashes: what the store calls a video.

    Only a video's extension goes, since names hold dots of their own.
    """
    clean = PurePosixPath(path.replace("\\", "/"))
    text = str(clean.with_suffix("") if clean.suffix.lower() in VIDEO_EXTENSIONS else clean)
    return text.removeprefix("./")
