"""Fine: codes of bound 20 that round to nothing around rest are blind; finer ones are not."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from exam_material import Exam, Floats, best, examine, flow_at, listed, picture_view, watermarked

from scripts.samples.fine import Fine
from scripts.samples.question import Clip, Listed
from storage.codecs.quantize import Quantizer

PAIRS = 6


@pytest.fixture(scope="module")
def clips() -> list[Listed]:
    return listed(Fine(), train=24, test=24)


def codes_view(clip: Clip, rule: str) -> Floats:
    """What codes hold of the flow in the middle: means by place, and how many lie off rest."""
    quantizer = Quantizer(rule, 20.0)
    codes = quantizer.quantize(flow_at(clip, 3, PAIRS))
    flow = quantizer.dequantize(codes)
    places = flow.mean(0).reshape(2, 8, 8, 8, 8).mean((2, 4))
    apart = [codes.astype(int)[:, i] - quantizer.zero for i in (0, 1)]
    signs = [((gap > 0).mean(), (gap < 0).mean()) for gap in apart]
    return np.concatenate([places.ravel(), np.ravel(signs), flow.mean((0, 2, 3))])


def seen_through(clips: list[Listed], rule: str) -> dict[str, Exam]:
    return examine(clips, partial(codes_view, rule=rule))


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["centred", "truncate"])
def test_coarse_codes_hold_nothing(clips: list[Listed], rule: str) -> None:
    quantizer = Quantizer(rule, 20.0)
    off = [
        (quantizer.quantize(flow_at(one.clip, 3, PAIRS)) != quantizer.zero).mean() for one in clips
    ]
    assert np.mean(off) < 1e-4
    assert best(seen_through(clips, rule), "choice").low <= 0.5


@pytest.mark.slow
@pytest.mark.parametrize("rule", ["companded", "round"])
def test_finer_codes_tell(clips: list[Listed], rule: str) -> None:
    assert best(seen_through(clips, rule), "choice").value > 0.95


@pytest.mark.slow
def test_the_control_tells_through_coarse_codes() -> None:
    """The leak: a motion of 0.12 px, over the dead zone of 0.078 px."""
    fast = listed(Fine(), train=12, test=16, step=0.12)
    assert best(seen_through(fast, "centred"), "choice").low > 0.5


@pytest.mark.slow
def test_no_picture_tells_and_the_control_does(clips: list[Listed]) -> None:
    for one, other in zip(clips[::2], clips[1::2], strict=True):
        assert np.array_equal(one.clip.frames, other.clip.frames[::-1])

    def middle(clip: Clip) -> Floats:
        return picture_view(clip.frames[6])

    for exam in examine(clips, middle).values():
        assert exam.choice.value == 0.5
    assert best(examine(clips, lambda clip: picture_view(clip.frames[0])), "choice").low <= 0.5
    assert best(examine(watermarked(clips), middle), "choice").low > 0.5
