"""Paths of every tool are read for what they are."""

from __future__ import annotations

import pytest

from storage.convert.foreign_names import parse_path

CASES = [
    # path, video, component, number, step
    ("a/v_1/flow_x_00000.jpg", "a/v_1", "x", 0, 1),
    ("a/v_1/flow_y_00012.png", "a/v_1", "y", 12, 1),
    ("v.1/flow_x_p4_00003.jpg", "v.1", "x", 3, 4),
    ("v/flow_y_m2_00002.jpg", "v", "y", 2, -2),
    ("v/img_00001.jpg", "v", "image", 1, 1),
    ("v/x_00001.jpg", "v", "x", 1, 1),
    ("v/v_00007.jpg", "v", "y", 7, 1),
    ("v/flow_x/x_00000.jpg", "v", "x", 0, 1),
    ("u/c/v_1/frame000001.jpg", "c/v_1", "x", 1, 1),
    ("tvl1_flow/v/c/v_1/frame000001.jpg", "c/v_1", "y", 1, 1),
    ("jpegs_256/c/v_1/frame000002.jpg", "c/v_1", "image", 2, 1),
    ("c/v_1/u/00003.jpg", "c/v_1", "x", 3, 1),
    ("c/v_1/flow_y/00003.png", "c/v_1", "y", 3, 1),
    ("c/abc/abc-000003x.jpg", "c/abc", "x", 3, 1),
    ("c/abc/abc-000003y.jpg", "c/abc", "y", 3, 1),
    ("c/abc/abc-000003.jpg", "c/abc", "image", 3, 1),
    ("c/abc/000003.JPG", "c/abc", "image", 3, 1),
    ("v/flow_00004.png", "v", "both", 4, 1),
    ("v/flow_p2_00004.png", "v", "both", 4, 2),
    ("v/frame_0010.flo", "v", "both", 10, 1),
    ("c/v_1.npy", "c/v_1", "array", 0, 1),
    ("c/v_1_flow.npy", "c/v_1", "array", 0, 1),
    ("c/v_1.h5", "c/v_1", "table", 0, 1),
    ("c/v_1_p3.h5", "c/v_1", "table", 0, 3),
    # A class or a video whose name is a component's stays a video's name.
    ("frames/x/flow_x_00001.jpg", "frames/x", "x", 1, 1),
    ("images/v_1/img_00001.jpg", "images/v_1", "image", 1, 1),
    ("images/v_1/flow_x_00001.jpg", "images/v_1", "x", 1, 1),
]


@pytest.mark.parametrize(("path", "video", "component", "number", "step"), CASES)
def test_a_path_says_what_it_holds(
    path: str, video: str, component: str, number: int, step: int
) -> None:
    found = parse_path(path)
    assert found is not None
    assert (found.video, found.component, found.number, found.step) == (
        video,
        component,
        number,
        step,
    )


@pytest.mark.parametrize(
    "path", ["v/readme.txt", "v/flow_x.jpg", "v/.done", "v/clip.avi", "v/v_rgb.npy", "list.csv"]
)
def test_what_is_no_flow_is_passed_over(path: str) -> None:
    assert parse_path(path) is None
