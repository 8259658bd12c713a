"""A quantiser as thresholds gives the quantiser's own codes, at every edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.codecs.quantize import RULES, Quantizer
from storage.codecs.thresholds import code_thresholds


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bound", [0.5, 15.0, 20.0, 1000.0])
def test_counting_thresholds_is_quantising_at_every_edge(rule: str, bound: float) -> None:
    quantizer = Quantizer(rule, bound)
    thresholds = code_thresholds(quantizer)
    finite = thresholds[np.isfinite(thresholds)]
    edges = [np.nextafter(finite, np.float32(to)) for to in (-np.inf, np.inf)]
    flow = np.concatenate([finite, *edges, np.float32([0, -0.0, 1e30, -1e30])])
    counted = np.searchsorted(thresholds, flow, side="right")
    assert np.array_equal(counted, quantizer.quantize(flow))


@given(st.sampled_from(RULES), st.floats(0.01, 1e4), st.floats(-1e6, 1e6, width=32))
def test_and_everywhere_between(rule: str, bound: float, value: float) -> None:
    quantizer = Quantizer(rule, bound)
    flow = np.float32([value])
    counted = np.searchsorted(code_thresholds(quantizer), flow, side="right")
    assert counted[0] == quantizer.quantize(flow)[0]
