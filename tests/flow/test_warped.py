"""Warped flow: the camera goes, what moves by itself stays, a still camera changes nothing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from flow.algorithms.camera import (
    FrameFeatures,
    camera_motion,
    hold_camera,
    is_sane,
    moved_by,
)
from flow.algorithms.table import algorithm
from flow.algorithms.warped import warped_flow
from flow.extraction.extract import extract_video
from flow.extraction.recipe import Recipe
from scripts.samples.sample_videos import write_video
from storage.store.store import open_store

HEIGHT, WIDTH = 144, 192
dis = algorithm("dis").compute


def texture(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    fine, coarse = (
        cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), None, size) * size
        for size in (1.5, 6)
    )
    return np.clip(128 + 60 * fine + 60 * coarse, 0, 255).astype(np.uint8)


WORLD = texture(1, 400, 500)
THING = texture(2, 60, 60)

CAMERAS = {
    "pan": np.array([[1, 0, 3.3], [0, 1, -1.6], [0, 0, 1.0]]),
    "zoom": np.array([[1.03, 0, -2.5], [0, 1.03, -1.5], [0, 0, 1.0]]),
    "turn": np.array([[0.9994, -0.035, 3.0], [0.035, 0.9994, -2.0], [0, 0, 1.0]]),
    "tilt": np.array([[1.01, 0.01, 1.0], [0, 1.02, 2.0], [1e-4, 5e-5, 1.0]]),
    "still": np.eye(3),
}


def film(
    camera: NDArray[np.float64], own: tuple[float, float] = (0, 0), count: int = 3
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """uint8 (count, H, W) and where the thing is in the first frame, bool (H, W).

    `camera` takes a place in one frame to its place in the next; the thing moves in the world by
    `own` pixels a frame.
    """
    view = np.array([[1, 0, -150], [0, 1, -120], [0, 0, 1.0]])
    frames = []
    where = np.zeros((HEIGHT, WIDTH), bool)
    for i in range(count):
        put = np.array([[1, 0, 230 + own[0] * i], [0, 1, 170 + own[1] * i], [0, 0, 1.0]])
        size = (WIDTH, HEIGHT)
        frame = cv2.warpPerspective(WORLD, view, size, flags=cv2.INTER_CUBIC)
        mask = cv2.warpPerspective(np.ones_like(THING), view @ put, size, flags=cv2.INTER_NEAREST)
        thing = cv2.warpPerspective(THING, view @ put, size, flags=cv2.INTER_CUBIC)
        frames.append(np.where(mask, thing, frame))
        if i == 0:
            where = mask.astype(bool)
        view = camera @ view
    return np.stack(frames), where


def inner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return cv2.erode(mask.astype(np.uint8), np.ones((13, 13), np.uint8)).astype(bool)


@pytest.mark.parametrize("name", ["pan", "zoom", "turn", "tilt"])
def test_the_background_stands_still_and_the_thing_moves_on(name: str) -> None:
    own = (2.0, 1.5)
    frames, thing = film(CAMERAS[name], own, count=2)
    plain = dis(frames)[0]
    outcomes: Counter[str] = Counter()
    (flow,) = warped_flow(frames, dis, outcomes=outcomes)
    assert outcomes == {"moving": 1}
    background = inner(~thing)
    before, after = (np.hypot(*f)[background].mean() for f in (plain, flow))
    assert before > 1.5
    assert after < min(0.1, before / 20)
    found = np.median(flow[:, inner(thing)], axis=1)
    assert found == pytest.approx(own, abs=0.25)


@pytest.mark.parametrize("name", ["pan", "zoom", "turn", "tilt"])
def test_the_homography_is_the_camera(name: str) -> None:
    frames, _ = film(CAMERAS[name], (2, 1.5), count=2)
    camera = camera_motion(FrameFeatures(frames[0]), FrameFeatures(frames[1]), dis(frames)[0])
    corners = np.array([(0, 0), (WIDTH, 0), (WIDTH, HEIGHT), (0, HEIGHT)], float)
    missed = moved_by(camera.homography, corners) - moved_by(CAMERAS[name], corners)
    assert np.abs(missed).max() < 0.5
    assert camera.inliers > camera.matches / 2


@pytest.mark.parametrize("own", [(0, 0), (2.0, 1.5)])
def test_a_still_camera_changes_nothing(own: tuple[float, float]) -> None:
    frames, _ = film(CAMERAS["still"], own, count=4)
    outcomes: Counter[str] = Counter()
    assert np.array_equal(warped_flow(frames, dis, outcomes=outcomes), dis(frames))
    assert outcomes == {"still": 3}


def test_sensor_noise_is_no_camera_motion() -> None:
    frames, _ = film(CAMERAS["still"], (2.0, 1.5), count=4)
    noise = np.random.default_rng(0).normal(0, 3, frames.shape)
    frames = np.clip(frames + noise, 0, 255).astype(np.uint8)
    assert np.array_equal(warped_flow(frames, dis), dis(frames))


@pytest.mark.parametrize("frame", ["black", "flat", "few corners"])
def test_where_nothing_can_be_matched_the_plain_flow_is_kept(frame: str) -> None:
    frames = np.full((3, 64, 64), 0 if frame == "black" else 90, np.uint8)
    if frame == "few corners":
        for i in range(3):
            frames[i, 20 : 30 + i, 20:30] = 200
    outcomes: Counter[str] = Counter()
    flow = warped_flow(frames, dis, outcomes=outcomes)
    assert np.array_equal(flow, dis(frames))
    assert outcomes == {"unknown": 2}


def test_a_thing_before_a_plain_wall_is_no_camera_motion() -> None:
    """All features lie on it, so the homography is its own; but the wall would have to move too."""
    frames = np.full((2, 120, 160), 128, np.uint8)
    rows = np.linspace(60, 200, 120).astype(np.uint8)
    frames[:] = rows[None, :, None]
    frames[0, 30:90, 50:110] = THING
    frames[1, 36:96, 50:110] = THING
    outcomes: Counter[str] = Counter()
    assert np.array_equal(warped_flow(frames, dis, outcomes=outcomes), dis(frames))
    assert outcomes == {"unknown": 1}


@pytest.mark.parametrize("seed", [10, 20, 30])
def test_a_cut_is_no_camera_motion(seed: int) -> None:
    frames = np.stack([texture(seed, 96, 96), texture(seed + 1, 96, 96)])
    outcomes: Counter[str] = Counter()
    flow = warped_flow(frames, dis, outcomes=outcomes)
    assert outcomes["moving"] == 0
    assert np.array_equal(flow, dis(frames))


def test_threads_and_a_given_plain_flow_change_nothing() -> None:
    frames, _ = film(CAMERAS["pan"], (2, 1), count=4)
    calls: list[int] = []

    def counted(some: NDArray[np.uint8]) -> NDArray[np.float32]:
        calls.append(len(some))
        return dis(some)

    one = warped_flow(frames, dis)
    given = dis(frames)
    kept = given.copy()
    two = warped_flow(frames, counted, plain=given, threads=2)
    assert np.array_equal(one, two)
    assert np.array_equal(given, kept)
    assert calls == [2, 2, 2]


def test_frames_come_back_in_place() -> None:
    frames, _ = film(CAMERAS["pan"], count=2)
    held = hold_camera(frames[0], frames[1], CAMERAS["pan"])
    assert np.abs(held.astype(int) - frames[0])[8:-8, 8:-8].mean() < 1
    assert np.array_equal(held[:, -2:], frames[0][:, -2:]), "filled where the camera did not look"


@pytest.mark.slow
def test_tvl1_too() -> None:
    frames, thing = film(CAMERAS["pan"], (1.5, 1), count=2)
    compute = algorithm("tvl1").compute
    (flow,) = warped_flow(frames, compute)
    assert np.hypot(*flow)[inner(~thing)].mean() < 0.05


@pytest.mark.parametrize(
    ("homography", "sane"),
    [
        (np.eye(3), True),
        (np.diag([1.2, 1.2, 1.0]), True),
        (np.diag([-1.0, 1.0, 1.0]), False),
        (np.diag([5.0, 1.0, 1.0]), False),
        (np.array([[1, 0, 0], [0, 1, 0], [-0.02, 0, 1.0]]), False),
        (np.full((3, 3), np.nan), False),
        (np.array([[1, 0, 90.0], [0, 1, 0], [0, 0, 1]]), False),
    ],
)
def test_wild_homographies_are_refused(homography: NDArray[np.float64], sane: bool) -> None:
    assert is_sane(homography, 96, 128) == sane


def greys(path: Path, count: int) -> NDArray[np.uint8]:
    with av.open(str(path)) as container:
        frames = (frame.to_ndarray(format="gray") for frame in container.decode(video=0))
        return np.stack([frame for frame, _ in zip(frames, range(count), strict=False)])


@pytest.mark.parametrize("name", ["WallPushups_g04_c02", "Diving_g02_c02"])
def test_real_clips_from_a_tripod_are_unchanged(shared_data: Path, name: str) -> None:
    (path,) = (shared_data / "clips" / "ucf101").rglob(f"v_{name}.avi")
    frames = greys(path, 6)
    outcomes: Counter[str] = Counter()
    assert np.array_equal(warped_flow(frames, dis, outcomes=outcomes), dis(frames))
    assert outcomes == {"still": 5}


@pytest.mark.parametrize("name", ["Biking_g19_c01", "JavelinThrow_g21_c03", "Diving_g04_c04"])
def test_real_clips_that_pan_lose_most_of_their_motion(shared_data: Path, name: str) -> None:
    (path,) = (shared_data / "clips" / "ucf101").rglob(f"v_{name}.avi")
    frames = greys(path, 6)
    plain = dis(frames)
    outcomes: Counter[str] = Counter()
    flow = warped_flow(frames, dis, plain=plain, outcomes=outcomes)
    assert outcomes == {"moving": 5}
    before, after = (np.median(np.hypot(f[:, 0], f[:, 1])) for f in (plain, flow))
    assert after < before / 3


def test_what_the_camera_did_is_counted_in_the_store(tmp_path: Path) -> None:
    recipe = Recipe(fields=("forward", "warped"), flow=algorithm("dis"), threads=2)
    with open_store(tmp_path / "s", "w", recipe.config()) as store:
        for name in ("pan", "still"):
            luma, _ = film(CAMERAS[name], (2, 1), count=4)
            grey = np.full((4, 2, HEIGHT // 2, WIDTH // 2), 128, np.uint8)
            write_video(tmp_path / f"{name}.avi", luma, grey)
            extract_video(tmp_path / f"{name}.avi", name, store, recipe)
        assert store.video("pan").quality["camera_moving"] == 3
        assert store.video("still").quality["camera_still"] == 3
        assert "camera_moving" not in store.video("still").quality
        plain, warped = (store.read_flow("pan", 0, 3, field) for field in recipe.fields)
        assert (warped == recipe.quantizer.zero).mean() > (plain == recipe.quantizer.zero).mean()
        assert np.array_equal(*(store.read_flow("still", 0, 3, field) for field in recipe.fields))
