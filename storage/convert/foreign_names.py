"""What a file of another tool holds, told from its path alone.

| tool | names | counts from | image i is |
|---|---|---|---|
| denseflow | `VIDEO/flow_x_00000.jpg`, `flow_x_p4_00000.jpg` (step 4) | 0 | frame i |
| dense_flow (TSN) | `VIDEO/flow_x_00001.jpg` | 1 | the pair's second frame |
| the same, zipped | `x_00000.jpg` in `VIDEO/flow_x.zip` | 0 | the pair's second frame |
| mmaction2, flow_extraction | `VIDEO/x_00001.jpg`, `img_00001.jpg` | 1 | frame i |
| gpu_flow | `u/VIDEO/frame000001.jpg`, `v/VIDEO/...`, `jpegs_256/VIDEO/...` | 1 | frame i |
| pytorch-i3d | `VIDEO/VIDEO-000001x.jpg` | 1 | frame i |
"""

from __future__ import annotations

import re
from dataclasses import dataclass

X, Y, BOTH, IMAGE, ARRAY, TABLE = "x", "y", "both", "image", "array", "table"
"""Components: one direction of the flow, both in one file, a frame, a video's whole flow as one
array, or as an HDF5 table of contents."""

_PICTURE = r"\.(?:jpe?g|png)$"
_NAMED = (
    ("flow_x_", re.compile(rf"flow_(?P<c>[xy])(?:_(?P<step>[pm]\d+))?_(?P<n>\d+){_PICTURE}")),
    ("x_", re.compile(rf"(?P<c>[xyuv])_(?P<n>\d+){_PICTURE}")),
    ("NAME-00001x", re.compile(rf".*-(?P<n>\d+)(?P<c>[xy]){_PICTURE}")),
    ("flow_.png", re.compile(r"flow(?:_(?P<step>[pm]\d+))?_(?P<n>\d+)\.png$")),
    ("img_", re.compile(rf"(?:img|image)_(?P<n>\d+){_PICTURE}")),
    (".flo", re.compile(r"(?:.*?\D)?(?P<n>\d+)\.flo$")),
)
_NUMBERED = re.compile(rf"(?:.*?\D)?(?P<n>\d+){_PICTURE}")
_HDF5 = re.compile(r"(?P<video>.+?)(?:_(?P<step>[pm]\d+))?\.(?:h5|hdf5)$")

_FOLDERS = {
    **dict.fromkeys(("x", "u", "flow_x", "flowx", "flow_u"), X),
    **dict.fromkeys(("y", "v", "flow_y", "flowy", "flow_v"), Y),
    **dict.fromkeys(
        ("img", "imgs", "image", "images", "rgb", "frames", "jpegs", "jpegs_256", "rawframes"),
        IMAGE,
    ),
}
_ABOVE = {"flow", "flows", "optical_flow", "tvl1_flow", "tvl1"}
"""Folders that say only that flow lies under them. They are no part of a video's name."""


@dataclass(frozen=True)
class ParsedPath:
    """What one path says."""

    video: str
    component: str
    layout: str
    number: int = 0
    step: int = 1
    """Frames from the pair's first frame to its second. Below 0 for backward flow."""


def parse_path(path: str) -> ParsedPath | None:
    """Read a path relative to the root of the collection, with `/` between its parts.

    None for a file that is no flow and no frame.
    """
    *folders, name = path.split("/")
    low = name.lower()
    if low.endswith("_rgb.npy"):
        return None
    if low.endswith(".npy"):
        video = name[: -len("_flow.npy")] if low.endswith("_flow.npy") else name[:-4]
        return ParsedPath("/".join([*folders, video]), ARRAY, ".npy")
    if match := _HDF5.match(name):
        video = "/".join([*folders, match["video"]])
        return ParsedPath(video, TABLE, "HDF5", step=_step(match["step"]))
    for layout, pattern in _NAMED:
        if match := pattern.match(low):
            groups = match.groupdict()
            letter = groups.get("c")
            component = {"u": X, "v": Y}.get(letter, letter) if letter else BOTH
            if layout == "img_":
                component = IMAGE
            video = "/".join(folders)
            # `VIDEO/flow_x/x_00000.jpg`; but a video may be called v, so one letter is no sign
            if folders and len(folders[-1]) > 1 and _FOLDERS.get(folders[-1].lower()) == component:
                video = "/".join(folders[:-1])
            step = _step(groups.get("step"))
            return ParsedPath(video, component, layout, int(groups["n"]), step)
    if match := _NUMBERED.match(low):
        home, kind, folder = _without_component(folders)
        layout = f"{folder}/" if kind else "numbered"
        return ParsedPath("/".join(home), kind or IMAGE, layout, int(match["n"]))
    return None


def _step(text: str | None) -> int:
    return 1 if not text else int(text[1:]) * (1 if text[0] == "p" else -1)


def _without_component(folders: list[str]) -> tuple[list[str], str | None, str]:
    """The folders less the one that names a component, the component, and that folder's name."""
    for at in range(len(folders) - 1, -1, -1):
        kind = _FOLDERS.get(folders[at].lower())
        if kind:
            above = folders[:at]
            if above and above[-1].lower() in _ABOVE:
                above = above[:-1]
            return above + folders[at + 1 :], kind, folders[at]
    return folders, None, ""
