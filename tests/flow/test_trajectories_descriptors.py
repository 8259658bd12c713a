"""HOG, HOF and MBH against hand-made gradients and against a plain count in NumPy."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from flow.trajectories import Tracks, TrajectoryParams, improved_trajectories
from flow.trajectories.descriptors import UNIT, WIDTH, trajectory_shape
from flow.trajectories.histograms import integer_unit, integral_histograms, shares
from storage.errors import UserError
from storage.features.descriptor_types import IDT, columns, row_width

HEIGHT, WIDTH_PX = 80, 100
FINEST = TrajectoryParams(camera="kept", scales=1)
Y, X = np.mgrid[:HEIGHT, :WIDTH_PX].astype(np.float32)


def tracks_of(
    grey: NDArray[np.float32], u: object = 1.0, v: object = 0.0, params: TrajectoryParams = FINEST
) -> Tracks:
    """16 times the same frame, and the same flow 15 times; a little texture, to be sampled at."""
    texture = np.random.default_rng(0).integers(0, 2, grey.shape)
    frames = np.repeat((grey + texture).astype(np.uint8)[None], 16, axis=0)
    flow = np.empty((15, 2, HEIGHT, WIDTH_PX), np.float32)
    flow[:, 0], flow[:, 1] = u, v
    return improved_trajectories(frames, flow, params=params)


def cells(tracks: Tracks, name: str) -> NDArray[np.float32]:
    """(N, slices, rows, columns, bins)."""
    return tracks.descriptor(name).reshape(len(tracks), 3, 2, 2, -1)


def test_the_row_has_the_published_lengths() -> None:
    assert [kind.width for kind in IDT] == [30, 96, 108, 96, 96]
    assert row_width(IDT) == WIDTH == 426
    tracks = tracks_of(np.full_like(X, 99))
    assert tracks.descriptors.shape == (len(tracks), 426)
    assert tracks.descriptors.dtype == np.float32
    assert columns(IDT, "hof") == slice(126, 234)
    for kind in IDT:
        assert tracks.descriptor(kind.name).shape == (len(tracks), kind.width)
    with pytest.raises(UserError, match="no descriptor 'sift'; choose one of trajectory, hog"):
        tracks.descriptor("sift")
    with pytest.raises(KeyError):
        columns(IDT, "sift")


@given(arrays(np.float32, (2, 50), elements=st.floats(-200, 200, width=32)))
def test_a_magnitude_is_shared_by_angle(vectors: NDArray[np.float32]) -> None:
    x, y = vectors
    low, below, above = np.empty(50, np.int32), np.empty(50, np.uint32), np.empty(50, np.uint32)
    shares(x, y, UNIT, low, below, above)
    total = np.zeros((50, 8))
    for bins, share in ((low % 8, below), ((low + 1) % 8, above)):
        np.add.at(total, (np.arange(50), bins), share / float(UNIT))
    assert total == pytest.approx(shared_by_angle(x, y), abs=0.02)


def shared_by_angle(x: NDArray, y: NDArray) -> NDArray[np.float64]:
    """(..., 8): the definition, by NumPy's own arctangent."""
    magnitude = np.minimum(np.hypot(x.astype(float), y), 255)
    angle = (np.arctan2(y.astype(float), x) % (2 * np.pi)) / (np.pi / 4)
    distance = np.abs((angle[..., None] - np.arange(8) + 4) % 8 - 4)
    return magnitude[..., None] * np.clip(1 - distance, 0, None)


@pytest.mark.parametrize(
    ("x", "y", "number"),
    [(1, 0, 0), (1, 1, 1), (0, 1, 2), (-1, 1, 3), (-1, 0, 4), (-1, -1, 5), (0, -1, 6), (1, -1, 7)],
)
def test_orientations_go_from_right_over_down(x: int, y: int, number: int) -> None:
    """HOG's bin is the direction in which it gets brighter, HOF's that of the motion."""
    ramp = 120 + x * (X - WIDTH_PX / 2) + y * (Y - HEIGHT / 2)
    tracks = tracks_of(ramp, x, y)
    speed = np.hypot(x, y)
    inner = (np.abs(tracks.position - (WIDTH_PX / 2, HEIGHT / 2)) < (20, 15)).all(1)
    assert inner.any()
    hog = cells(tracks, "hog")[inner].mean((0, 1, 2, 3))
    assert hog.argmax() == number
    assert hog[number] == pytest.approx(speed, rel=0.3)  # a half on either side is texture
    hof = cells(tracks, "hof")
    assert hof[..., number] == pytest.approx(np.full(hof.shape[:-1], speed), rel=1e-3)
    assert np.delete(hof, number, axis=-1) == pytest.approx(0, abs=1e-3)


def test_a_pure_ramp_fills_bin_0_with_its_slope() -> None:
    planes = np.stack([2 * X, np.zeros_like(X), np.zeros_like(X)])
    out = np.empty((HEIGHT + 1, WIDTH_PX + 1, 33), np.uint32)
    integral_histograms(planes, UNIT, out)
    patch = (out[50, 60] - out[40, 60] - out[50, 50] + out[40, 50]) / (100 * float(UNIT))
    wanted = np.zeros(33)
    wanted[0] = 2
    wanted[8 + 8] = 1  # nothing moves: HOF's ninth bin counts pixels
    assert patch == pytest.approx(wanted, abs=1e-6)


def test_what_moves_by_less_than_the_least_counts_as_still() -> None:
    slow = tracks_of(np.full_like(X, 99), 0.39, 0.0)
    assert len(slow) > 0
    hof = cells(slow, "hof")
    assert (hof[..., 8] == 1).all()
    assert not hof[..., :8].any()
    faster = cells(tracks_of(np.full_like(X, 99), 0.41, 0.0), "hof")
    assert not faster[..., 8].any()


def test_motion_boundaries_are_the_gradients_of_the_flow() -> None:
    tracks = tracks_of(np.full_like(X, 99), 1 + 0.01 * X, 0.5)
    inner = ((tracks.points[..., 0] > 17) & (tracks.points[..., 0] < 82)).all(1)
    mbhx = cells(tracks, "mbhx")[inner]
    assert len(mbhx) > 0
    assert mbhx[..., 0] == pytest.approx(np.full(mbhx.shape[:-1], 0.01), rel=0.01)
    assert mbhx[..., 1:] == pytest.approx(0, abs=1e-4)
    assert not tracks.descriptor("mbhy").any()
    other = tracks_of(np.full_like(X, 99), 1.0, 0.02 * Y)
    mbhy = cells(other, "mbhy")[(np.abs(other.points[..., 1] - 40) < 20).all(1)]
    assert len(mbhy) > 0
    assert mbhy[..., 2] == pytest.approx(np.full(mbhy.shape[:-1], 0.02), rel=0.01)
    assert not other.descriptor("mbhx").any()


def test_slices_follow_time() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (16, HEIGHT, WIDTH_PX), np.uint8)
    flow = np.zeros((15, 2, HEIGHT, WIDTH_PX), np.float32)
    for piece, speed in enumerate((1, 2, 3)):
        flow[5 * piece : 5 * piece + 5, 0] = speed
    hof = cells(improved_trajectories(frames, flow, params=FINEST), "hof")
    assert hof[:, :, :, :, 0] == pytest.approx(
        np.broadcast_to(np.array([1, 2, 3.0])[:, None, None], hof.shape[:-1])
    )


def test_cells_follow_place() -> None:
    """Down the columns motion doubles at the middle of the frame: rows of cells tell it apart."""
    v = np.where(Y < 40, 1.0, 2.0)
    tracks = tracks_of(np.full_like(X, 99), v, 0.0)
    on_the_edge = tracks.points[:, 0, 1] == 42
    hof = cells(tracks, "hof")[on_the_edge][..., 0]
    assert hof[:, :, 0] == pytest.approx(np.full_like(hof[:, :, 0], 1 + 2 / 16))  # rows 26 to 41
    assert hof[:, :, 1] == pytest.approx(np.full_like(hof[:, :, 1], 2))


def gradients(plane: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    down, across = np.gradient(plane.astype(float))
    down[[0, -1]] = 0
    across[:, [0, -1]] = 0
    return across, down


def test_descriptors_equal_a_plain_count_in_numpy() -> None:
    rng = np.random.default_rng(5)
    frames = rng.integers(0, 256, (16, 50, 60), np.uint8)
    flow = rng.normal(0, 1, (15, 2, 50, 60)).astype(np.float32)
    tracks = improved_trajectories(
        frames, flow, params=TrajectoryParams(camera="kept", scales=1, least_spread=0.1)
    )
    assert len(tracks) > 20
    images = []
    for grey, pair in zip(frames[:15], flow, strict=True):
        still = np.hypot(*pair) <= 0.4
        hof = np.concatenate([shared_by_angle(*pair) * ~still[..., None], still[..., None]], -1)
        others = [shared_by_angle(*gradients(plane)) for plane in (grey, *pair)]
        images.append((others[0], hof, others[1], others[2]))
    for number in rng.choice(len(tracks), 5, replace=False):
        parts: list[list[NDArray]] = [[] for _ in range(4)]
        for piece in range(3):
            for row in range(2):
                for column in range(2):
                    total = [0, 0, 0, 0]
                    for t in range(5 * piece, 5 * piece + 5):
                        x, y = np.floor(tracks.points[number, t] + 0.5).astype(int)
                        top = np.clip(y - 16, 0, 50 - 32) + 16 * row
                        left = np.clip(x - 16, 0, 60 - 32) + 16 * column
                        for kind in range(4):
                            cell = images[t][kind][top : top + 16, left : left + 16]
                            total[kind] = total[kind] + cell.mean((0, 1)) / 5
                    for kind in range(4):
                        parts[kind].append(total[kind])
        wanted = np.concatenate([np.concatenate(part) for part in parts])
        assert tracks.descriptors[number, 30:] == pytest.approx(wanted, rel=1e-3, abs=1e-3)


def test_a_mirrored_video_has_mirrored_descriptors() -> None:
    """But for one column of pixels: a patch of 32 has no pixel in its middle."""
    rng = np.random.default_rng(7)
    smooth = [cv2.GaussianBlur(rng.normal(size=X.shape), None, 5) for _ in range(3)]
    grey, u, v = (image / np.abs(image).max() for image in smooth)
    frames = np.repeat((128 + 120 * grey).astype(np.uint8)[None], 16, axis=0)
    flow = np.repeat(np.stack([1 + u, 3 * v])[None], 15, axis=0).astype(np.float32)
    here = improved_trajectories(frames, flow, params=FINEST)
    other = flow[..., ::-1] * np.array([-1, 1], np.float32)[:, None, None]
    there = improved_trajectories(frames[..., ::-1], other, params=FINEST)
    at = {tuple(np.rint(p * 100).astype(int)): i for i, p in enumerate(here.points[:, 0])}
    back = there.points[:, 0] * (-1, 1) + (WIDTH_PX - 1, 0)
    pairs = [(at[tuple(np.rint(p * 100).astype(int))], i) for i, p in enumerate(back)]
    assert len(pairs) == len(here) > 30
    ours, theirs = np.array(pairs).T
    for name, bins in (("hog", 8), ("hof", 8), ("mbhx", 8), ("mbhy", 8)):
        one = cells(here, name)[ours][..., :bins]
        # Bin b is at 180 - 45 b degrees in the mirror; u changes its sign too, so MBHx at -45 b.
        mirror = [((0 if name == "mbhx" else 4) - b) % 8 for b in range(bins)]
        two = cells(there, name)[theirs][:, :, :, ::-1][..., mirror]
        assert np.abs(one - two).mean() < 0.1 * one.mean()


def test_a_shape_does_not_depend_on_speed() -> None:
    steps = np.random.default_rng(0).normal(size=(4, 15, 2)).astype(np.float32)
    shape = trajectory_shape(steps)
    assert shape == pytest.approx(trajectory_shape(3 * steps), abs=1e-6)
    assert np.linalg.norm(shape.reshape(4, 15, 2), axis=2).sum(1) == pytest.approx(np.ones(4))
    assert not trajectory_shape(np.zeros((1, 15, 2), np.float32)).any()


def test_the_largest_sum_of_a_cell_fits_its_integer() -> None:
    planes = np.zeros((3, 16, 16), np.float32)
    planes[1:] = 300
    unit = integer_unit(256)
    out = np.empty((17, 17, 33), np.uint32)
    integral_histograms(planes, unit, out)
    assert out[16, 16, 8 + 1] / float(unit) == pytest.approx(255 * 256, rel=1e-4)
