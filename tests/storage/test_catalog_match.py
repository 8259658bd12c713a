"""A listed video is found in a store by its name, and never taken for another one."""

from __future__ import annotations

import pytest

from storage.catalog.catalog import Clip
from storage.catalog.match import match_clips
from storage.errors import UserError
from storage.videos import video_id


def test_ids_lose_only_a_videos_extension() -> None:
    assert video_id("a\\b.v2.AVI") == "a/b.v2"
    assert video_id("./x/clip.0001") == "x/clip.0001"


def test_matching_is_exact_or_unambiguous() -> None:
    stored = ["Run/v_Run_g01_c01", "walk/v_Walk_g01_c01", "Run/v_Run_g01_c02", "x/same", "y/same"]
    clips = [
        Clip("Run/v_Run_g01_c01", 0, ""),
        Clip("Walk/v_Walk_g01_c01", 1, ""),
        Clip("/abs/path/v_RUN_g01_c02", 0, ""),
        Clip("data/y/same", 1, ""),
        Clip("gone", 1, ""),
    ]
    matched = match_clips(clips, stored)
    assert [clip.video for clip in matched.clips] == [*stored[:3], stored[4]]
    assert matched.missing == ["gone"]
    with pytest.raises(UserError, match="could be any of x/same, y/same"):
        match_clips([Clip("same", 0, "")], stored)


@pytest.mark.parametrize("before", ["", "/data/ucf/"])
def test_a_missing_video_is_not_its_namesake_in_another_class(before: str) -> None:
    """Class folders often number their files alike, and extraction may fail at one of them."""
    clips = [Clip(f"{before}{name}/001", label, "") for label, name in enumerate("abc")]
    for stored in (["a/001"], ["a/001", "b/001"]):
        matched = match_clips(clips, stored)
        assert [(c.video, c.label) for c in matched.clips] == [
            (name, "abc".index(name[0])) for name in stored
        ]
        assert matched.missing == [clip.video for clip in clips[len(stored) :]]
        # though the others are of another part
        assert match_clips(clips[2:], stored, [c.video for c in clips]).clips == []


def test_two_listed_videos_are_never_one_stored_video() -> None:
    """In a flat store, a training and a test video of one name would be the same pictures."""
    clips = [Clip("a/001", 0, ""), Clip("b/001", 1, "")]
    for part in (clips, clips[:1]):
        with pytest.raises(UserError, match="'a/001' and 'b/001' of the list would both be '001'"):
            match_clips(part, ["001"], ["a/001", "b/001"])
