"""Tracks go where the flow goes, for 15 frames, and only where there is something to follow."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flow.trajectories import Tracks, TrajectoryParams, improved_trajectories
from flow.trajectories.features import TrajectoryExtractor
from flow.trajectories.pyramid import flow_pyramid, grey_pyramid, median_filtered, scale_sizes
from flow.trajectories.tracking import Live, dense_points, is_steady, moves_by_itself
from storage.errors import UserError

HEIGHT, WIDTH = 80, 100
KEPT = TrajectoryParams(camera="kept")
FINEST = TrajectoryParams(camera="kept", scales=1)


def textured(count: int, height: int = HEIGHT, width: int = WIDTH) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, height, width), np.uint8)


def constant(
    count: int, u: float, v: float, height: int = HEIGHT, width: int = WIDTH
) -> NDArray[np.float32]:
    flow = np.empty((count, 2, height, width), np.float32)
    flow[:, 0], flow[:, 1] = u, v
    return flow


@given(speed=st.floats(0.5, 3), angle=st.floats(0, 2 * math.pi))
@settings(max_examples=8)
def test_constant_flow_gives_straight_tracks_on_every_scale(speed: float, angle: float) -> None:
    u, v = speed * math.cos(angle), speed * math.sin(angle)
    assume(max(abs(u), abs(v)) > 0.45)
    tracks = improved_trajectories(textured(16, 66, 70), constant(15, u, v, 66, 70), params=KEPT)
    assert len(tracks) > 0
    assert len(np.unique(tracks.scale)) == 3
    assert np.diff(tracks.points, axis=1) == pytest.approx(
        np.broadcast_to([u, v], (len(tracks), 15, 2)), abs=1e-3
    )
    shape = tracks.descriptor("trajectory").reshape(-1, 15, 2)
    assert shape == pytest.approx(
        np.broadcast_to(np.divide([u, v], 15 * speed), shape.shape), abs=1e-5
    )
    assert not tracks.descriptor("mbhx").any()
    assert not tracks.descriptor("mbhy").any()


def test_zero_flow_gives_no_tracks() -> None:
    tracks = improved_trajectories(textured(20), constant(19, 0, 0), params=KEPT)
    assert len(tracks) == 0
    assert tracks.descriptors.shape == (0, 426)
    assert tracks.points.shape == (0, 16, 2)


@pytest.mark.parametrize(("frames", "begun"), [(15, []), (16, [0]), (17, [0])])
def test_a_track_takes_sixteen_frames(frames: int, begun: list[int]) -> None:
    tracks = improved_trajectories(textured(frames), constant(frames - 1, 1, 0), params=FINEST)
    assert np.unique(tracks.start).tolist() == begun


def test_tracks_end_after_fifteen_steps_and_others_begin_where_nothing_is() -> None:
    tracks = improved_trajectories(textured(46), constant(45, 1, 0), params=FINEST)
    starts, counts = np.unique(tracks.start, return_counts=True)
    rows, columns = HEIGHT // 5, WIDTH // 5
    # Whole grids begin in turn: those of one grid leave the frame when 15 steps lead out of it.
    whole = dict(zip(starts.tolist(), counts.tolist(), strict=True))
    assert whole[0] == rows * (columns - 3)
    assert {0, 15, 30} <= set(whole)
    # On the left, tracks move away and uncover a column of cells after 3 frames (from 2 to 5).
    fresh = tracks.points[tracks.start == 3]
    assert set(fresh[:, 0, 0]) == {2.0}
    assert len(fresh) == rows
    assert set(tracks.points[tracks.start == 15][:, 0, 0].tolist()) >= {2.0 + 5 * i for i in (4, 9)}


def test_no_cell_of_the_grid_holds_two_fresh_tracks() -> None:
    tracks = improved_trajectories(textured(31), constant(30, 1.3, -0.7), params=FINEST)
    cells = np.c_[tracks.start, tracks.points[:, 0] // 5]
    assert len(np.unique(cells, axis=0)) == len(tracks)


def test_points_are_sampled_only_on_texture_and_in_free_cells() -> None:
    grey = np.full((60, 80), 90, np.uint8)
    grey[:, 40:] = textured(1, 60, 40)[0]
    nothing = np.empty((0, 2), np.float32)
    points = dense_points(grey, nothing, TrajectoryParams())
    assert points[:, 0].min() >= 37
    assert {tuple(p) for p in points} >= {(x, y) for x in range(42, 80, 5) for y in range(2, 60, 5)}
    occupied = np.array([[52.9, 31.0], [79.0, 59.0], [84.0, 3.0]], np.float32)
    left = dense_points(grey, occupied, TrajectoryParams())
    gone = {tuple(p) for p in points} - {tuple(p) for p in left}
    assert gone == {(52.0, 32.0), (77.0, 57.0)}
    assert len(dense_points(np.full((60, 80), 90, np.uint8), nothing, TrajectoryParams())) == 0
    fine = dense_points(grey, nothing, TrajectoryParams(step=2))
    assert len(fine) > 5 * len(points)


def test_sampling_follows_the_smaller_eigenvalue() -> None:
    grey = cv2.GaussianBlur(textured(1)[0], None, 2)
    gradient = [cv2.Sobel(grey, cv2.CV_64F, *order, ksize=3) for order in ((1, 0), (0, 1))]
    x, y = gradient
    xx, xy, yy = (cv2.boxFilter(p, -1, (3, 3), normalize=False) for p in (x * x, x * y, y * y))
    tensor = np.stack([np.stack([xx, xy], -1), np.stack([xy, yy], -1)], -1)
    smaller = np.linalg.eigvalsh(tensor)[..., 0]
    wanted = {
        (column, row)
        for row in range(2, HEIGHT, 5)
        for column in range(2, WIDTH, 5)
        if smaller[row, column] > 0.2 * smaller.max()
    }
    points = dense_points(grey, np.empty((0, 2), np.float32), TrajectoryParams(quality=0.2))
    assert {(int(x), int(y)) for x, y in points} == wanted
    assert 0 < len(wanted) < 200


@pytest.mark.parametrize(
    ("height", "width", "sizes"),
    [
        (240, 320, [(240, 320), (170, 226), (120, 160), (85, 113), (60, 80), (42, 57)]),
        (32, 400, [(32, 400)]),
        (46, 46, [(46, 46), (33, 33)]),
    ],
)
def test_scales_stop_where_a_patch_no_longer_fits(
    height: int, width: int, sizes: list[tuple[int, int]]
) -> None:
    assert scale_sizes(height, width, 8) == sizes


def test_there_are_at_most_eight_scales() -> None:
    assert len(scale_sizes(1080, 1920, 8)) == 8


def test_flow_is_in_the_pixels_of_its_scale() -> None:
    flow = constant(1, 4, -2, 64, 90)[0]
    sizes = scale_sizes(64, 90, 8)
    for level, (height, width) in zip(flow_pyramid(flow, sizes), sizes, strict=True):
        assert level.shape == (2, height, width)
        assert level[0] == pytest.approx(np.full((height, width), 4 * width / 90), rel=1e-5)
        assert level[1] == pytest.approx(np.full((height, width), -2 * height / 64), rel=1e-5)
    assert [g.shape for g in grey_pyramid(textured(1, 64, 90)[0], sizes)] == sizes


def test_a_single_wrong_flow_vector_moves_nothing() -> None:
    flow = constant(15, 1, 0)
    flow[:, :, 42, 47] = 30
    assert (median_filtered(flow[0])[0] == 1).all()
    tracks = improved_trajectories(textured(16), flow, params=FINEST)
    assert (np.diff(tracks.points, axis=1) == (1, 0)).all()


def test_a_track_that_leaves_the_frame_ends() -> None:
    tracks = improved_trajectories(textured(16), constant(15, 4, 0), params=FINEST)
    assert tracks.points[..., 0].max() <= WIDTH - 1
    assert tracks.points[:, 0, 0].max() <= WIDTH - 1 - 60


def test_a_mirrored_video_has_mirrored_tracks() -> None:
    """The grid is its own mirror image where the width is a multiple of the step."""
    rng = np.random.default_rng(3)
    frames = textured(20)
    flow = rng.normal(0, 1, (19, 2, HEIGHT, WIDTH)).astype(np.float32)
    flow = np.stack([[cv2.GaussianBlur(p, None, 4) * 20 for p in pair] for pair in flow])
    here = improved_trajectories(frames, flow, params=FINEST)
    other = flow[..., ::-1] * np.array([-1, 1], np.float32)[:, None, None]
    there = improved_trajectories(frames[..., ::-1], other, params=FINEST)
    assert len(here) == len(there) > 100

    def ordered(points: NDArray[np.float32], start: NDArray[np.int32]) -> NDArray[np.float64]:
        rows = np.c_[start, np.rint(points.reshape(len(points), -1) * 1e3)]
        return rows[np.lexsort(rows.T[:4][::-1])]

    back = there.points.copy()
    back[..., 0] = WIDTH - 1 - back[..., 0]
    assert ordered(back, there.start) == pytest.approx(ordered(here.points, here.start), abs=2)


def line(steps: list[tuple[float, float]]) -> NDArray[np.float32]:
    return np.cumsum([(50.0, 50.0), *steps], axis=0, dtype=np.float32)[None]


@pytest.mark.parametrize(
    ("steps", "kept"),
    [
        ([(1, 0)] * 15, True),
        ([(0, -1)] * 15, True),
        ([(0, 0)] * 15, False),
        ([(0.3, 0.3)] * 15, False),  # 15 x 0.3: a standard deviation of 1.4
        ([(12, 0)] * 15, False),  # 55
        ([(10.5, 0)] * 15, True),  # 48
        ([(0.1, 0)] * 7 + [(21, 0)] + [(0.1, 0)] * 7, False),
        ([(0.1, 0)] * 7 + [(19, 0)] + [(0.1, 0)] * 7, True),
        ([(1, 0)] * 7 + [(21, 0)] + [(1, 0)] * 7, True),  # 60 % of the way
    ],
)
def test_static_and_erratic_tracks_are_dropped(
    steps: list[tuple[float, float]], kept: bool
) -> None:
    assert is_steady(line(steps), TrajectoryParams()).tolist() == [kept]


def test_a_track_of_the_camera_never_moves_by_more_than_a_pixel() -> None:
    steps = np.zeros((3, 15, 2), np.float32)
    steps[1, 7] = 0.8, 0.7
    steps[2, :] = 0.9, 0
    assert moves_by_itself(steps, TrajectoryParams()).tolist() == [False, True, False]


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 30)), max_size=20))
def test_places_are_used_again_and_room_is_made(rounds: list[tuple[int, int]]) -> None:
    live = Live.nothing(4)
    alive: list[float] = []
    number = 0
    for begun, ended in rounds:
        points = np.array([(number + i, 0) for i in range(begun)], np.float32).reshape(-1, 2)
        live.begin(points)
        alive += points[:, 0].tolist()
        number += begun
        places = np.flatnonzero(live.ages >= 0)[:ended]
        gone = live.points[places, 0, 0].tolist()
        live.end(places)
        alive = [a for a in alive if a not in gone]
        assert sorted(live.newest()[:, 0].tolist()) == alive
    assert len(live.ages) <= 4 + 3 * max(number, 4)


def test_a_video_in_pieces_has_the_same_tracks() -> None:
    frames, flow = textured(24), constant(23, 1, 0.5)
    whole = improved_trajectories(frames, flow, params=KEPT)
    extractor = TrajectoryExtractor(HEIGHT, WIDTH, KEPT)
    for i in range(23):
        extractor.add(frames[i], flow[i])
    pieces = extractor.tracks()
    assert isinstance(pieces, Tracks)
    for name in ("points", "start", "scale", "descriptors"):
        assert np.array_equal(getattr(whole, name), getattr(pieces, name))
    assert (whole.time == whole.start + 7.5).all()
    assert whole.position == pytest.approx(whole.points.mean(1))


def test_bad_input_is_named() -> None:
    frames, flow = textured(3), constant(2, 1, 0)
    with pytest.raises(UserError, match="needs at least 2"):
        improved_trajectories(frames[:1], flow[:0])
    with pytest.raises(UserError, match=r"flow: .* is given; the frames need \(2, 2, 80, 100\)"):
        improved_trajectories(frames, flow[:1])
    with pytest.raises(UserError, match="warped flow"):
        improved_trajectories(frames, flow, flow[:1])
    with pytest.raises(UserError, match="uint8 is given; give floats"):
        improved_trajectories(frames, flow.astype(np.uint8))
    with pytest.raises(UserError, match="30x30; trajectories need at least 32x32"):
        improved_trajectories(textured(2, 30, 30), constant(1, 1, 0, 30, 30))
    flow[1, 0, 5, 5] = np.nan
    with pytest.raises(UserError, match="from frame 1 has values that are no finite numbers"):
        improved_trajectories(frames, flow, params=KEPT)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("scales", 0), ("step", 0), ("quality", 1.0), ("camera", "shaken"), ("least_spread", -1.0),
        ("most_spread", 1.0), ("longest_step", 0.0), ("step_share", 1.5), ("least_motion", -1.0),
    ],
)  # fmt: skip
def test_parameters_out_of_range_are_named(name: str, value: object) -> None:
    with pytest.raises(UserError, match=f"trajectory {name} is "):
        TrajectoryParams(**{name: value})  # type: ignore[arg-type]
