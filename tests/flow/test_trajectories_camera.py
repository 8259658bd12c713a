"""A moving camera gives no tracks, a thing that moves by itself does."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from flow.algorithms.table import algorithm
from flow.algorithms.warped import warped_flow
from flow.trajectories import TrajectoryParams, improved_trajectories
from flow.trajectories.camera import CameraFinder, residual_flow
from storage.errors import UserError

HEIGHT, WIDTH, COUNT = 120, 160, 18
KEPT = TrajectoryParams(camera="kept")
CAMERAS = {
    "pan": np.array([[1, 0, 2.3], [0, 1, -1.2], [0, 0, 1.0]]),
    "zoom": np.array([[1.02, 0, -1.5], [0, 1.02, -1.0], [0, 0, 1.0]]),
    "turn": np.array([[0.9994, -0.025, 2.0], [0.025, 0.9994, -1.5], [0, 0, 1.0]]),
    "tilt": np.array([[1.01, 0.01, 1.0], [0, 1.01, 1.5], [1e-4, 5e-5, 1.0]]),
}
dis = algorithm("dis").compute


def texture(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(seed)
    fine, coarse = (
        cv2.GaussianBlur(rng.standard_normal((height, width)).astype(np.float32), None, size) * size
        for size in (1.5, 6)
    )
    return np.clip(128 + 60 * fine + 60 * coarse, 0, 255).astype(np.uint8)


def exact_flow(homography: NDArray[np.float64]) -> NDArray[np.float32]:
    """Where a plane's pixels go, (2, H, W)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(float)
    to = cv2.perspectiveTransform(np.stack([x, y], -1), homography)
    return (to - np.stack([x, y], -1)).transpose(2, 0, 1).astype(np.float32)


def film(camera: NDArray[np.float64], own: float = 0.0) -> NDArray[np.uint8]:
    """A plane under a camera that moves, and a thing of 50 pixels that moves right by `own`."""
    world, thing = texture(1, 400, 500), texture(2, 50, 50)
    view = np.array([[1, 0, -150], [0, 1, -120], [0, 0, 1.0]])
    frames = []
    for i in range(COUNT):
        scene = world.copy()
        if own:
            left = round(190 + own * i)
            scene[150:200, left : left + 50] = thing
        frames.append(cv2.warpPerspective(scene, view, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC))
        view = camera @ view
    return np.stack(frames)


@pytest.mark.parametrize("name", CAMERAS)
def test_under_a_known_homography_the_plane_stands_still(name: str) -> None:
    flow = exact_flow(CAMERAS[name])
    assert np.hypot(*flow).max() > 1.5
    assert np.abs(residual_flow(flow, CAMERAS[name])).max() < 1e-3


def test_a_homography_of_a_still_camera_changes_nothing() -> None:
    flow = np.random.default_rng(0).normal(0, 3, (2, HEIGHT, WIDTH)).astype(np.float32)
    assert residual_flow(flow, np.eye(3)) == pytest.approx(flow, abs=1e-4)


@pytest.mark.parametrize("name", CAMERAS)
def test_with_the_homography_given_tracks_of_the_plane_vanish(name: str) -> None:
    frames = film(CAMERAS[name])
    flow = np.repeat(exact_flow(CAMERAS[name])[None], COUNT - 1, axis=0)
    known = np.repeat(CAMERAS[name][None], COUNT - 1, axis=0)
    assert len(improved_trajectories(frames, flow, params=KEPT)) > 500
    assert len(improved_trajectories(frames, flow, homographies=known)) == 0
    assert len(improved_trajectories(frames, flow, np.zeros_like(flow))) == 0


def test_with_the_camera_found_anew_only_the_thing_that_moves_has_tracks() -> None:
    frames = film(CAMERAS["pan"], own=2.0)
    flow = dis(frames)
    kept = improved_trajectories(frames, flow, params=KEPT)
    removed = improved_trajectories(frames, flow)
    assert 50 < len(removed) < len(kept) / 3
    # The thing begins at (40, 30), and goes 2 + 2.3 to the right and 1.2 up a frame; in 15 frames
    # it comes over 30 more pixels of the plane, whose tracks it takes along.
    x, y = (removed.points[:, 0] - removed.start[:, None] * (4.3, -1.2)).T
    near = (x > 36) & (x < 124) & (y > 26) & (y < 84)
    assert near.mean() > 0.97
    inside = (x > 46) & (x < 84) & (y > 36) & (y < 74) & (removed.scale == 1)
    steps = removed.descriptor("trajectory")[inside].reshape(-1, 15, 2)
    assert np.median(steps, axis=(0, 1)) == pytest.approx((1 / 15, 0), abs=0.01)


def test_the_warped_field_of_the_store_does_as_well() -> None:
    frames = film(CAMERAS["turn"], own=2.0)
    flow = dis(frames)
    warped = warped_flow(frames, dis, plain=flow)
    tracks = improved_trajectories(frames, flow, warped)
    found = improved_trajectories(frames, flow)
    kept = improved_trajectories(frames, flow, params=KEPT)
    assert 50 < len(tracks) < len(kept) / 3
    assert len(found) == pytest.approx(len(tracks), rel=0.25)


def test_points_move_with_the_plain_flow_and_are_described_by_the_residual() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (16, HEIGHT, WIDTH), np.uint8)
    plain, residual = np.zeros((2, 15, 2, HEIGHT, WIDTH), np.float32)
    plain[:, 0], residual[:, 1] = 2, 3
    tracks = improved_trajectories(frames, plain, residual, TrajectoryParams(scales=1))
    assert (np.diff(tracks.points, axis=1) == (2, 0)).all()
    shape = tracks.descriptor("trajectory").reshape(-1, 15, 2)
    assert shape == pytest.approx(np.broadcast_to([0, 1 / 15], shape.shape))
    hof = tracks.descriptor("hof").reshape(-1, 9)
    assert (hof.argmax(1) == 2).all()


def test_where_no_camera_motion_can_be_told_the_flow_is_kept() -> None:
    flat = np.full((64, 64), 90, np.uint8)
    flow = np.ones((2, 64, 64), np.float32)
    assert CameraFinder(flat).residual(flat, flow) is flow


def test_bad_homographies_are_named() -> None:
    frames = film(CAMERAS["pan"])[:3]
    flow = np.zeros((2, 2, HEIGHT, WIDTH), np.float32)
    for bad, words in (
        (np.zeros((2, 3, 3)), "singular"),
        (np.full((2, 3, 3), np.nan), "3 x 3 finite"),
        (np.eye(3)[None], r"homographies: \(1, 3, 3\) is given; the frames need \(2, 3, 3\)"),
    ):
        with pytest.raises(UserError, match=words):
            improved_trajectories(frames, flow, homographies=bad)
    with pytest.raises(UserError, match="'kept', but warped flow"):
        improved_trajectories(frames, flow, flow, KEPT)


def greys(path: Path, count: int) -> NDArray[np.uint8]:
    with av.open(str(path)) as container:
        frames = (frame.to_ndarray(format="gray") for frame in container.decode(video=0))
        return np.stack([frame for frame, _ in zip(frames, range(count), strict=False)])


def test_a_real_pan_loses_most_of_its_tracks(shared_data: Path) -> None:
    (path,) = (shared_data / "clips" / "ucf101").rglob("v_Biking_g19_c01.avi")
    frames = greys(path, 18)
    flow = dis(frames)
    kept = improved_trajectories(frames, flow, params=KEPT)
    removed = improved_trajectories(frames, flow)
    assert len(removed) < 0.7 * len(kept)
    assert len(removed) > 100
