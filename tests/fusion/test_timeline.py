"""Moments are pooled in the right windows and fused by the given weights."""

from __future__ import annotations

import numpy as np
import pytest

from fusion.report.video_timeline import (
    Fusing,
    StreamScores,
    overall,
    running,
    timeline,
    window_starts,
)
from storage import UserError

CLASSES = ("a", "b", "c")


def scores(*rows: tuple[float, tuple[float, float, float]]) -> StreamScores:
    made = StreamScores()
    for time, logits in rows:
        made.times.append(time)
        made.logits.append(np.array(logits, np.float32))
    return made


def softmax(logits: object) -> np.ndarray:
    e = np.exp(np.asarray(logits, np.float64))
    return e / e.sum()


S = scores((0.5, (1, 0, 0)), (1.5, (3, 0, 0)), (2.5, (0, 2, 0)), (3.5, (0, 4, 0)))
T = scores((0.5, (0, 0, 1)), (2.5, (0, 0, 3)))


@pytest.mark.parametrize(
    ("duration", "window", "stride", "starts"),
    [
        (4, 10, 5, [0]),
        (10, 10, 5, [0]),
        (10.1, 10, 5, [0, 5]),
        (20, 10, 5, [0, 5, 10]),
        (4, 1, 1, [0, 1, 2, 3]),
        (0, 10, 5, [0]),
    ],
)
def test_windows_cover_the_video(
    duration: float, window: float, stride: float, starts: list[float]
) -> None:
    assert list(window_starts(duration, window, stride)) == starts


@pytest.mark.parametrize(("window", "stride"), [(0, 1), (1, 0), (1, 2), (-1, -1)])
def test_impossible_windows_are_refused(window: float, stride: float) -> None:
    with pytest.raises(UserError, match="--window"):
        window_starts(10, window, stride)


def test_rows_pool_the_moments_inside() -> None:
    rows = timeline({"s": S}, Fusing(CLASSES, ("s",)), 4.0, 2.0, 1.0)
    assert [(row.start, row.stop) for row in rows] == [(0, 2), (1, 3), (2, 4)]
    for row, logits in zip(rows, [(2, 0, 0), (1.5, 1, 0), (0, 3, 0)], strict=True):
        assert row.probabilities == pytest.approx(softmax(logits), abs=1e-6)
    assert [row.top(1)[0][0] for row in rows] == [0, 0, 1]


def test_weights_belong_to_their_streams() -> None:
    fusing = Fusing(CLASSES, ("t", "s"), (1.0, 3.0))
    row = overall({"s": S, "t": T}, fusing, 4.0)
    wanted = 0.25 * softmax((0, 0, 2)) + 0.75 * softmax((1, 1.5, 0))
    assert row.probabilities == pytest.approx(wanted, abs=1e-6)
    logits = overall({"s": S, "t": T}, Fusing(CLASSES, ("t", "s"), (1.0, 3.0), "logits"), 4.0)
    assert logits.probabilities == pytest.approx(softmax((0.75, 1.125, 0.5)), abs=1e-6)


def test_a_score_in_one_piece_goes_before_the_moments() -> None:
    one = scores((0.5, (0, 9, 0)))
    one.whole = np.array([5, 0, 0], np.float32)
    assert overall({"s": one}, Fusing(CLASSES, ("s",)), 1.0).top(1)[0][0] == 0


def test_a_stretch_without_a_stream_is_left_out() -> None:
    fusing = Fusing(CLASSES, ("s", "t"))
    rows = timeline({"s": S, "t": T}, fusing, 4.0, 1.0, 1.0)
    assert [row.start for row in rows] == [0, 2]


def test_the_running_prediction_knows_only_the_past() -> None:
    fusing = Fusing(CLASSES, ("s",))
    assert running({"s": S}, fusing, 0.4, 10) is None
    assert running({"s": S}, fusing, 0.5, 10).top(1)[0][0] == 0  # type: ignore[union-attr]
    late = running({"s": S}, fusing, 3.5, 1.5)
    assert late is not None
    assert late.probabilities == pytest.approx(softmax((0, 3, 0)), abs=1e-6)


def test_top_names_the_first_of_equals() -> None:
    row = Fusing(CLASSES, ("s",)).row(0, 1, {"s": np.zeros(3, np.float32)})
    assert [index for index, _ in row.top(2)] == [0, 1]
