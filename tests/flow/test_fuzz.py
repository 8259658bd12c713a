"""Damaged videos by the hundred: a reason for each, no crash, no hang, nothing half-written."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import video_files

from flow.video.reader import VideoError, VideoReader
from storage.store.store import Store, open_store

KINDS = {
    "mpeg4.avi": {"codec": "mpeg4"},
    "mjpeg.avi": {"codec": "mjpeg", "pixels": "yuvj420p"},
    "h264.mp4": {"codec": "libx264", "options": {"g": "8"}},
    "h264.mkv": {"codec": "libx264"},
    "vp9.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
    "hevc.mp4": {"codec": "libx265", "options": {"x265-params": "log-level=none"}},
    "mpeg2.mpg": {"codec": "mpeg2video"},
    "wmv.wmv": {"codec": "wmv2"},
    "flash.flv": {"codec": "libx264"},
    "ffv1.mkv": {"codec": "ffv1"},
}


def variant(data: bytes, chance: random.Random) -> bytes:
    """Cut, bit-flipped, overwritten, shortened in the middle, or spoilt in its headers."""
    damaged = bytearray(data)
    how = chance.choice(("cut", "flip", "flips", "header", "noise", "hole"))
    at = chance.randrange(len(data))
    if how == "cut":
        del damaged[at:]
    elif how == "hole":
        del damaged[at : at + chance.randrange(1, 2000)]
    elif how == "noise":
        noise = chance.randbytes(chance.randrange(1, 300))
        damaged[at : at + len(noise)] = noise
    else:
        reach = min(600, len(data)) if how == "header" else len(data)
        for _ in range(1 if how == "flip" else 12):
            damaged[chance.randrange(reach)] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def make_variants(folder: Path, count: int, seed: int) -> list[Path]:
    """`count` damaged videos, of every kind in turn."""
    frames = video_files.moving(24)
    made = {
        name: video_files.write(folder / f"whole_{name}", frames, **how).read_bytes()
        for name, how in KINDS.items()
    }
    paths = []
    for i in range(count):
        name = list(made)[i % len(made)]
        path = folder / f"{i:03}_{name}"
        path.write_bytes(variant(made[name], random.Random(f"{seed} {i}")))
        paths.append(path)
    return paths


def check(folder: Path, count: int, seed: int, twostream: Callable[..., object]) -> None:
    videos = folder / "videos"
    videos.mkdir()
    variants = make_variants(videos, count, seed)
    out = folder / "store"
    done: subprocess.CompletedProcess[str] = twostream(
        "extract", videos, "--out", out, "--flow", "dis", "--workers", 2, "--codec", "raw",
        "--json", timeout=280,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    summary = json.loads(done.stdout)
    assert summary["found"] == count + len(KINDS)
    assert summary["stored"] + summary["failed"] == summary["found"]
    for failure in summary["failures"]:
        assert failure["kind"] not in ("error", "worker died"), failure
        assert failure["reason"].startswith(failure["kind"])
        assert failure["reason"].isprintable()
    with open_store(out) as store:
        assert len(store) == summary["stored"]
        for name in KINDS:
            assert store.video(whole(store, name)).frames == 24
        for video in store.videos():  # what is there is there completely
            meta = store.video(video)
            assert store.read_flow(video, 0, meta.pairs).shape[0] == meta.frames - 1
            assert len(store.read_frames(video, range(meta.frames))) == meta.frames
    cut = [path for path in variants if path.stat().st_size == 0]
    assert all(path.name in json.dumps(summary["failures"]) for path in cut)


def whole(store: Store, name: str) -> str:
    """The id of an undamaged video: its extension stays where stems collide."""
    stem = f"whole_{name.rpartition('.')[0]}"
    return stem if stem in store else f"whole_{name}"


@pytest.mark.slow
def test_forty_damaged_videos(tmp_path: Path, twostream: Callable[..., object]) -> None:
    check(tmp_path, 40, 1, twostream)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 7))
def test_hundreds_of_damaged_videos(
    tmp_path: Path, twostream: Callable[..., object], seed: int
) -> None:
    check(tmp_path, 80, seed, twostream)


@pytest.mark.parametrize("name", ["mpeg4.avi", "mjpeg.avi", "h264.mkv", "vp9.webm"])
def test_a_cut_never_passes_for_a_whole_video(tmp_path: Path, name: str) -> None:
    frames = video_files.moving(24)
    path = video_files.write(tmp_path / name, frames, **KINDS[name])
    data = path.read_bytes()
    for share in np.linspace(0.02, 0.9, 25):
        path.write_bytes(data[: int(len(data) * share)])
        try:
            with VideoReader(path) as reader:
                count = len(list(reader))
        except VideoError:
            continue
        # An AVI's index lies behind its last frame: without it every frame may still be there.
        assert count == 24
