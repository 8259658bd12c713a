"""A faulty video is named in one line with its reason, and the rest is imported."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_tools import codes, encode, files_of, frames, put, put_zip
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import StoreError, UserError, open_store
from storage.codecs import picture_size
from storage.convert.flow_files import read_flo
from storage.convert.foreign_files import decode_picture
from storage.convert.import_options import ImportOptions
from storage.convert.import_plan import plan_import
from storage.convert.importer import FAILURES, import_flow

Files = dict[str, bytes]


def without(*names: str) -> Callable[[Files], None]:
    def change(files: Files) -> None:
        for name in names:
            del files[name]

    return change


def instead(name: str, data: bytes) -> Callable[[Files], None]:
    return lambda files: files.update({name: data})


JPEG = encode(codes(1)[0, 0])
HUGE = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (60_000).to_bytes(4, "big") * 2 + b"\x08\0\0\0\0"
FAULTS = {
    "gap": (
        without("flow_x_00003.jpg", "flow_y_00003.jpg"),
        "number 3 is missing between flow_x_00001.jpg and flow_x_00005.jpg",
    ),
    "first": (
        without("flow_x_00001.jpg", "flow_y_00001.jpg", "flow_x_00002.jpg", "flow_y_00002.jpg"),
        "starts with flow_x_00003.jpg, where the others start to count at 1",
    ),
    "x alone": (without("flow_y_00002.jpg"), "flow_x_00002.jpg has no y flow beside it"),
    "no y": (
        without(*(f"flow_y_{n:05d}.jpg" for n in range(1, 6))),
        "has x flow and no y flow beside it",
    ),
    "tail": (
        without("flow_x_00005.jpg", "flow_y_00005.jpg"),
        "has 4 pairs and 6 frames, where step 1 with each image the first of its pair makes 5",
    ),
    "frame gap": (without("img_00002.jpg"), "number 2 is missing between img_00001.jpg"),
    "no frames": (
        without(*(f"img_{n:05d}.jpg" for n in range(1, 7))),
        "has flow and no frames, unlike the rest",
    ),
    "size": (
        instead("flow_y_00002.jpg", encode(np.zeros((8, 8), np.uint8))),
        "flow_x_00002.jpg is 32x24 and flow_y_00002.jpg is 8x8",
    ),
    "other size": (
        lambda files: files.update(
            {f"flow_{c}_00003.jpg": encode(np.zeros((8, 8), np.uint8)) for c in "xy"}
        ),
        "is 32x24, and then something of 8x8 came",
    ),
    "frame size": (
        instead("img_00004.jpg", encode(np.zeros((8, 8, 3), np.uint8))),
        "is 32x24, and then something of 8x8 came",
    ),
    "truncated": (instead("flow_x_00002.jpg", JPEG[:-20]), "flow_x_00002.jpg breaks off"),
    "empty file": (instead("flow_x_00002.jpg", b""), "flow_x_00002.jpg is not a picture"),
    "text": (instead("img_00002.jpg", b"<html>"), "img_00002.jpg is not a picture"),
    "bomb": (instead("flow_x_00002.png", HUGE), "have the same number"),
    "huge": (instead("flow_x_00002.jpg", HUGE), "says it has 60000x60000 pixels"),
}


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_and_the_rest_is_stored(fault: str, zipped: bool, tmp_path: Path) -> None:
    change, reason = FAULTS[fault]
    files = files_of(codes(5), frames(6))
    source = tmp_path / "in"
    for video in ("good 1", "good 2"):
        put(source / video, files)
    change(files)
    if zipped:
        put_zip(source / "bad.zip", files)
    else:
        put(source / "bad", files)
    result = import_flow(plan_import([source], ImportOptions(bound=20)), tmp_path / "store")
    assert list(result.failed) == ["bad"]
    assert reason in result.failed["bad"]
    assert "\n" not in result.failed["bad"]
    assert open_store(tmp_path / "store").videos() == ["good 1", "good 2"]
    listed = json.loads((tmp_path / "store" / FAILURES).read_text())
    assert listed == [{"video": "bad", "reason": result.failed["bad"]}]


def test_many_processes_do_what_one_does(tmp_path: Path) -> None:
    for number in range(5):
        put(tmp_path / "in" / f"v{number}", files_of(codes(5, number), frames(6, number)))
    (tmp_path / "in" / "v3" / "flow_x_00002.jpg").write_bytes(JPEG[:-20])
    plan = plan_import([tmp_path / "in"], ImportOptions(bound=20))
    one = import_flow(plan, tmp_path / "one")
    two = import_flow(plan, tmp_path / "two", jobs=2)
    assert one == two
    assert one.done == ["v0", "v1", "v2", "v4"]
    first, second = open_store(tmp_path / "one"), open_store(tmp_path / "two")
    assert 1 <= len(second.shards()) <= 2
    for video in one.done:
        assert np.array_equal(first.read_flow(video, 0, 5), second.read_flow(video, 0, 5))
    with pytest.raises(UserError, match="--jobs 0"):
        import_flow(plan, tmp_path / "two", jobs=0)


def test_what_was_mended_is_taken_by_the_next_run(tmp_path: Path) -> None:
    files = files_of(codes(5), frames(6))
    put(tmp_path / "in" / "good", files)
    put(tmp_path / "in" / "bad", {n: d for n, d in files.items() if n != "flow_y_00002.jpg"})
    plan = plan_import([tmp_path / "in"], ImportOptions(bound=20))
    assert import_flow(plan, tmp_path / "store").failed
    put(tmp_path / "in" / "bad", files)
    plan = plan_import([tmp_path / "in"], ImportOptions(bound=20))
    assert import_flow(plan, tmp_path / "store").done == ["bad"]
    assert not (tmp_path / "store" / FAILURES).exists()


def test_a_lost_tail_is_cut_when_asked(tmp_path: Path) -> None:
    files = files_of(codes(5), frames(6))
    without("flow_x_00005.jpg", "flow_y_00005.jpg")(files)
    put(tmp_path / "in" / "v", files)
    plan = plan_import([tmp_path / "in"], ImportOptions(bound=20, trim=True))
    assert not import_flow(plan, tmp_path / "store").failed
    meta = open_store(tmp_path / "store").video("v")
    assert (meta.pairs, meta.frames) == (4, 5)


def test_an_empty_folder_and_frames_alone_are_listed(tmp_path: Path) -> None:
    put(tmp_path / "in" / "good", files_of(codes(5), frames(6)))
    put(tmp_path / "in" / "rgb only", files_of(codes(0), frames(6)))
    (tmp_path / "in" / "empty").mkdir()
    result = import_flow(
        plan_import([tmp_path / "in"], ImportOptions(bound=20)), tmp_path / "store"
    )
    assert result.failed == {"empty": "the folder is empty", "rgb only": "has frames and no flow"}


def test_the_same_flow_twice_is_refused(tmp_path: Path) -> None:
    files = files_of(codes(5), frames(6))
    put(tmp_path / "in" / "good", files)
    put(tmp_path / "in" / "v", files)
    put_zip(tmp_path / "in" / "v.zip", files)
    result = import_flow(
        plan_import([tmp_path / "in"], ImportOptions(bound=20)), tmp_path / "store"
    )
    assert "lies twice" in result.failed["v"]


@pytest.mark.parametrize(
    "array",
    [np.zeros((3, 4, 4)), np.zeros((3, 4, 4, 3)), np.zeros((2, 4, 4, 2), int), np.array([{}])],
    ids=["3-d", "rgb", "int", "pickle"],
)
def test_an_array_that_is_no_flow_is_refused(array: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", np.zeros((3, 8, 8, 2), np.float32))
    np.save(tmp_path / "in" / "b.npy", array, allow_pickle=True)
    result = import_flow(
        plan_import([tmp_path / "in"], ImportOptions(bound=20)), tmp_path / "store"
    )
    assert list(result.failed) == ["b"]
    assert "b.npy" in result.failed["b"]


def test_nan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "a.npy", np.full((3, 8, 8, 2), np.nan, np.float32))
    result = import_flow(
        plan_import([tmp_path / "in"], ImportOptions(bound=20)), tmp_path / "store"
    )
    assert "NaN" in result.failed["a"]


def test_a_link_in_a_circle_ends(tmp_path: Path) -> None:
    put(tmp_path / "in" / "v", files_of(codes(5), frames(6)))
    (tmp_path / "in" / "v" / "up").symlink_to(tmp_path / "in", target_is_directory=True)
    plan = plan_import([tmp_path / "in"], ImportOptions(bound=20))
    assert [video.video for video in plan.videos] == ["v"]


def test_two_links_to_one_folder_are_two_videos(tmp_path: Path) -> None:
    put(tmp_path / "elsewhere" / "v", files_of(codes(5), frames(6)))
    (tmp_path / "in").mkdir()
    for name in "ab":
        link = tmp_path / "in" / name
        link.symlink_to(tmp_path / "elsewhere" / "v", target_is_directory=True)
    plan = plan_import([tmp_path / "in"], ImportOptions(bound=20))
    assert import_flow(plan, tmp_path / "store").done == ["a", "b"]


def test_nothing_to_import_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        plan_import([tmp_path / "nowhere"])
    with pytest.raises(UserError, match="no flow was recognised"):
        plan_import([tmp_path])
    put(tmp_path / "v", files_of(codes(0), frames(6)))
    with pytest.raises(UserError, match="1 videos have frames only"):
        plan_import([tmp_path])


def test_a_number_that_nobody_starts_with_must_be_stated(tmp_path: Path) -> None:
    put(tmp_path / "in" / "v", files_of(codes(5), frames(6), base=7))
    with pytest.raises(UserError, match=r"start to count at 7.*--index-base"):
        plan_import([tmp_path / "in"])
    plan = plan_import([tmp_path / "in"], ImportOptions(index_base=7, bound=20))
    assert not import_flow(plan, tmp_path / "store").failed


def test_a_folder_that_is_no_store_stops_the_run(tmp_path: Path) -> None:
    put(tmp_path / "in" / "v", files_of(codes(5), frames(6)))
    plan = plan_import([tmp_path / "in"], ImportOptions(bound=20))
    with pytest.raises(StoreError, match="no store and not empty"):
        import_flow(plan, tmp_path / "in")
    assert not (tmp_path / "in" / FAILURES).exists()


def outcome(call: Callable[[], Any]) -> tuple[Any, str]:
    """What a call gives, or why it was refused."""
    try:
        return call(), ""
    except UserError as error:
        return None, str(error)


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from([".jpg", ".png"]),
    color=st.booleans(),
    cut=st.integers(0, 2000),
    changes=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), max_size=6),
)
def test_any_damage_is_decoded_or_refused_by_name(
    kind: str, color: bool, cut: int, changes: list[tuple[int, int]]
) -> None:
    """Never a crash, never another size than the header's, never an error without the name."""
    data = bytearray(encode(codes(1)[0, 0], kind))
    for place, value in changes:
        data[place % len(data)] = value
    damaged = bytes(data[: cut or None])
    picture, refusal = outcome(lambda: decode_picture(damaged, "this file", color=color))
    if picture is None:
        assert refusal.startswith("this file")
    else:
        assert picture.dtype == np.uint8
        assert picture.ndim == (3 if color else 2)
        assert picture.shape[:2] == picture_size(damaged)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_a_flo_file_or_refused(data: bytes) -> None:
    for start in (b"", np.float32(202021.25).tobytes()):
        flow, refusal = outcome(lambda start=start: read_flo(start + data, "this file"))
        assert refusal.startswith("this file") if flow is None else flow.shape[0] == 2


def test_a_folder_that_cannot_be_read_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "in" / "good", files_of(codes(5), frames(6)))
    put(tmp_path / "in" / "locked", files_of(codes(5), frames(6)))
    scandir = os.scandir

    def locked(path: str) -> Any:
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", locked)
    plan = plan_import([tmp_path / "in"], ImportOptions(bound=20))
    assert plan.survey.unreadable == {"locked": "the folder cannot be read: Permission denied"}


def test_sizes_are_read_from_headers() -> None:
    grey = np.zeros((24, 32), np.uint8)
    assert picture_size(encode(grey)) == picture_size(encode(grey, ".png")) == (24, 32)
    for data in (b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x10", b"GIF89a", b"\x89PNG\r\n\x1a\n"):
        with pytest.raises(ValueError):
            picture_size(data)
