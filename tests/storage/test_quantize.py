"""Quantisers: the rules of the tools in use to the letter, and inverses over all codes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.codecs.quantize import RULES, Quantizer
from storage.errors import UserError

BOUNDS = st.sampled_from([0.5, 1.0, 15.0, 20.0, 25.0, 32.0, 100.0])
VALUES = st.floats(-200, 200, width=32)
CODES = np.arange(256, dtype=np.uint8)


def denseflow(v: float, bound: float) -> int:
    """Its CAST macro: cvRound is round half to even."""
    return 255 if v > bound else 0 if v < -bound else round(255 * (v + bound) / (2 * bound))


def mmaction2(v: float, bound: float) -> int:
    """flow_to_img: float32 arrays, clipped, moved, scaled, and cut by astype."""
    flow = np.clip(np.array([v], np.float32), -bound, bound)
    flow += bound
    flow *= 255 / float(2 * bound)
    return int(flow.astype(np.uint8)[0])


def video_features(v: float, bound: float) -> int:
    """Clamp, then (128 + 255 / 2B v).round(); a byte cannot hold its 256."""
    return min(255, round(128 + 255 / (2 * bound) * min(max(v, -bound), bound)))


THEIRS = {"round": denseflow, "truncate": mmaction2, "centred": video_features}


@pytest.mark.parametrize("rule", THEIRS)
@given(v=VALUES, bound=BOUNDS)
def test_rules_are_those_of_the_tools(rule: str, v: float, bound: float) -> None:
    ours = int(Quantizer(rule, bound).quantize(np.float32(v)))
    theirs = THEIRS[rule](v, bound)
    if rule == "truncate":
        assert ours == theirs
    elif ours != theirs:  # float32 and float64 may part at the half way between two codes
        inside = min(max(v, -bound), bound)
        exact = 255 * inside / (2 * bound) + (127.5 if rule == "round" else 128)
        assert abs(ours - theirs) == 1
        assert abs(exact % 1 - 0.5) < 1e-4


@pytest.mark.parametrize(
    ("rule", "zero"), [("round", 128), ("truncate", 127), ("centred", 128), ("companded", 128)]
)
def test_rest(rule: str, zero: int) -> None:
    quantizer = Quantizer(rule)
    assert quantizer.zero == zero
    assert quantizer.quantize(np.zeros(3)).tolist() == [zero] * 3
    at_rest = float(quantizer.table[zero])
    assert at_rest == pytest.approx(20 / 255 if rule == "round" else 0, abs=1e-6)


@pytest.mark.parametrize("rule", RULES)
@given(bound=BOUNDS)
def test_codes_survive_the_round_trip(rule: str, bound: float) -> None:
    quantizer = Quantizer(rule, bound)
    used = CODES[1:] if rule == "companded" else CODES
    np.testing.assert_array_equal(quantizer.quantize(quantizer.dequantize(used)), used)
    assert (np.diff(quantizer.table[used]) > 0).all()
    # centred: its codes are not spread evenly over -B to B, so both ends lie half a step outside
    assert np.abs(quantizer.table).max() <= bound * (1 + 1.01 / 255 if rule == "centred" else 1)


@pytest.mark.parametrize("rule", RULES)
@given(v=VALUES, bound=BOUNDS)
def test_error_is_at_most_half_a_step(rule: str, v: float, bound: float) -> None:
    quantizer = Quantizer(rule, bound)
    inside = np.float32(min(max(v, -bound), bound))
    code = int(quantizer.quantize(inside))
    table = quantizer.table.astype(float)
    neighbours = table[[max(code - 1, 0), min(code + 1, 255)]]
    step = max(abs(neighbours - table[code]).max(), 1e-9)
    # rounding happens on the companded scale, where half a step up is longer than half one down
    share = 0.53 if rule == "companded" else 0.5
    if rule == "centred" and code == 255:
        share = 1.01  # what would be 256 is clipped
    assert abs(table[code] - inside) <= share * step + 1e-5 * bound


@pytest.mark.parametrize("rule", RULES)
@given(v=VALUES, bound=BOUNDS)
def test_negation_is_the_code_of_the_opposite(rule: str, v: float, bound: float) -> None:
    quantizer = Quantizer(rule, bound)
    negated = int(quantizer.negate(quantizer.quantize(np.float32(v))))
    opposite = int(quantizer.quantize(np.float32(-v)))
    # at a tie, or at a bin's edge, the linear rules round both to the same side
    assert abs(negated - opposite) <= (0 if rule == "companded" else 1)


@pytest.mark.parametrize("rule", RULES)
def test_negation_over_all_codes(rule: str) -> None:
    quantizer = Quantizer(rule)
    used = {"companded": CODES[1:], "centred": CODES[1:], "truncate": CODES[:255]}.get(rule, CODES)
    np.testing.assert_array_equal(quantizer.negate(quantizer.negate(used)), used)
    np.testing.assert_allclose(
        quantizer.dequantize(quantizer.negate(used)), -quantizer.dequantize(used), atol=1e-5
    )


def test_companding_keeps_motion_that_a_linear_code_loses() -> None:
    v = np.float32([0.03, -0.05, 0.1, 0.5, 2.0])
    ours, rounded = Quantizer(), Quantizer("round")
    lost = [np.abs(q.dequantize(q.quantize(v)) - v) for q in (ours, rounded)]
    assert (lost[0][:3] < 0.02).all()
    assert lost[0][:3].sum() < lost[1][:3].sum() / 4


def test_infinite_motion_is_clipped_and_nan_refused() -> None:
    for rule in RULES:
        low, high = Quantizer(rule).quantize(np.array([-np.inf, np.inf]))
        assert (low, high) == (1 if rule == "companded" else 0, 255)
        with pytest.raises(UserError, match="NaN"):
            Quantizer(rule).quantize(np.array([0, np.nan]))


@pytest.mark.parametrize(
    ("rule", "bound"),
    [("log", 20), ("round", 0), ("round", -1), ("round", np.inf), ("round", np.nan)],
)
def test_wrong_settings_are_refused(rule: str, bound: float) -> None:
    with pytest.raises(UserError):
        Quantizer(rule, bound)
