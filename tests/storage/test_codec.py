"""Codecs: what is exact is exact, what loses keeps its bound, and every size works."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.codecs.codec import Half, Jpeg, double, flow_codec, frame_codec, halve
from storage.codecs.quantize import Quantizer
from storage.errors import StoreError, UserError

SIZES = st.integers(1, 40)
QUANTIZER = Quantizer()


def smooth(height: int, width: int, seed: int) -> np.ndarray:
    """Codes of a flow that JPEG was made for."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 40.0
    flow = np.stack([np.sin(x + phase) * 3 + np.cos(y * 2) for phase in random.random(2)])
    return QUANTIZER.quantize(flow)


def noise(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (2, height, width), dtype=np.uint8)


def there_and_back(name: str, item: np.ndarray) -> np.ndarray:
    codec = flow_codec(name, QUANTIZER)
    out = np.full_like(item, 77)
    codec.decode(codec.encode(item), out)
    return out


def error(a: np.ndarray, b: np.ndarray) -> float:
    x, y = QUANTIZER.dequantize(a) - QUANTIZER.dequantize(b)
    return float(np.hypot(x, y).mean())


@pytest.mark.parametrize("name", ["raw", "lossless", "within:0"])
@given(height=SIZES, width=SIZES, seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_exact_codecs_are_exact(name: str, height: int, width: int, seed: int) -> None:
    item = noise(height, width, seed)
    np.testing.assert_array_equal(there_and_back(name, item), item)


@given(
    height=SIZES,
    width=SIZES,
    seed=st.integers(0, 99),
    pixels=st.sampled_from([0.01, 0.08, 0.5, 5.0]),
    make=st.sampled_from([smooth, noise]),
)
@settings(max_examples=60, deadline=None)
def test_within_keeps_its_bound(height: int, width: int, seed: int, pixels: float, make) -> None:
    item = make(height, width, seed)
    assert error(there_and_back(f"within:{pixels}", item), item) <= pixels + 1e-5


def test_within_takes_the_cheapest_that_will_do() -> None:
    still = np.full((2, 64, 64), QUANTIZER.zero, np.uint8)
    assert flow_codec("within:0.08", QUANTIZER).encode(still) == Half(80).encode(still)
    torn = noise(64, 64, 0)
    assert flow_codec("within:0.08", QUANTIZER).encode(torn) == flow_codec("lossless").encode(torn)
    stripes = np.full((2, 64, 64), 100, np.uint8)
    stripes[:, ::2] = 140  # gone at half resolution, a picture that JPEG keeps
    data = flow_codec("within:0.08", QUANTIZER).encode(stripes)
    assert data in [Jpeg(quality).encode(stripes) for quality in (70, 80, 85, 90, 95)]


@given(height=SIZES, width=SIZES, seed=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_half_is_the_mean_of_four(height: int, width: int, seed: int) -> None:
    plane = noise(height, width, seed)[0]
    padded = np.pad(plane, ((0, height % 2), (0, width % 2)), "edge").astype(int)
    four = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2).mean(axis=(1, 3))
    assert np.abs(halve(plane) - four).max() <= 0.5
    item = np.stack([plane, plane])
    far = np.abs(
        there_and_back("half:100", item)
        - np.stack([four, four]).repeat(2, 1).repeat(2, 2)[:, :height, :width]
    )
    assert far.max() <= 4  # JPEG's own


@pytest.mark.parametrize("name", ["jpeg:95", "half:95"])
@pytest.mark.parametrize("size", [(64, 64), (65, 63), (16, 1), (1, 16), (240, 321)])
def test_lossy_codecs_stay_near(name: str, size: tuple[int, int]) -> None:
    item = smooth(*size, seed=1)
    assert error(there_and_back(name, item), item) < 0.25


def test_small_tables_change_no_pixel() -> None:
    item = smooth(64, 64, 3)
    out = np.empty((2, *item.shape), np.uint8)
    data = [Jpeg(80).encode(item, small=small) for small in (True, False)]
    for one, into in zip(data, out, strict=True):
        flow_codec("jpeg:80").decode(one, into)
    np.testing.assert_array_equal(*out)
    assert len(data[0]) < len(data[1])


@pytest.mark.parametrize("name", ["raw", "lossless", "jpeg:95"])
def test_frames_come_back(name: str) -> None:
    y, x = np.mgrid[:33, :47]
    frame = np.stack([y * 5, x * 4, 255 - y - x], 2).astype(np.uint8)
    codec = frame_codec(name)
    assert codec is not None
    out = np.empty_like(frame)
    codec.decode(codec.encode(frame), out)
    assert np.abs(out.astype(int) - frame).mean() < (4 if name == "jpeg:95" else 1e-9)
    assert out[0, 40, 0] < 40 < 120 < out[0, 40, 1]  # red and green are not exchanged


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\x28\xb5\x2f\xfd", b"junk" * 50])
@pytest.mark.parametrize("name", ["raw", "lossless", "jpeg:90", "within:0.1"])
def test_junk_is_an_error_that_says_so(name: str, data: bytes) -> None:
    with pytest.raises(StoreError):
        flow_codec(name).decode(data, np.empty((2, 16, 16), np.uint8))


def test_a_picture_of_another_size_is_an_error() -> None:
    with pytest.raises(StoreError, match="no JPEG of 16x32"):
        flow_codec("jpeg:90").decode(Jpeg(90).encode(noise(20, 20, 0)), np.empty((2, 16, 16), "u1"))


@pytest.mark.parametrize(
    "name", ["", "png", "jpeg", "jpeg:0", "jpeg:101", "jpeg:x", "within:", "within:-1",
             "within:inf", "within:nan", "none"]
)  # fmt: skip
def test_unknown_codecs_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="choose"):
        flow_codec(name)


@given(SIZES, SIZES, st.integers(0, 9))
def test_doubling_repeats_every_value_in_both_directions(
    height: int, width: int, seed: int
) -> None:
    """Of an odd size the last row and column stand alone."""
    half = noise((height + 1) // 2, (width + 1) // 2, seed)
    out = np.empty((2, height, width), np.uint8)
    double(half, out)
    repeated = half.repeat(2, axis=1).repeat(2, axis=2)
    assert np.array_equal(out, repeated[:, :height, :width])
