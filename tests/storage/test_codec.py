"""Codecs: what is exact is exact, what loses keeps its bound, and every size works."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flow.tvl1 import compute_flow
from storage.codecs.codec import flow_codec, frame_codec
from storage.codecs.items import Half, Jpeg, double, halve
from storage.codecs.pictures import decode_file, encode_jpeg
from storage.codecs.quantize import Quantizer
from storage.codecs.within import MOVING
from storage.errors import StoreError, UserError
from storage.store import StoreConfig

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


def test_within_keeps_twice_its_bound_where_things_move() -> None:
    item = on_still_ground(96, 128, seed=4)
    moves = np.hypot(*QUANTIZER.dequantize(item)) > MOVING
    assert 0 < moves.mean() < 0.1
    for pixels in (0.005, 0.01, 0.08):
        back = QUANTIZER.dequantize(there_and_back(f"within:{pixels}", item))
        off = np.hypot(*(back - QUANTIZER.dequantize(item)))
        assert off[moves].mean() <= 2 * pixels + 1e-5


def on_still_ground(height: int, width: int, seed: int) -> np.ndarray:
    """Codes of a small textured thing that moves, on ground that trembles a little."""
    return QUANTIZER.quantize(small_mover(height, width, seed))


def small_mover(height: int, width: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    inside = np.hypot(y - height / 2, x - width / 2) < height / 7
    flow = random.normal(0, 0.03, (2, height, width))
    flow[0] += inside * (1.5 + 0.5 * np.sin(x / 3))
    flow[1] += inside * (0.7 * np.cos(y / 4) - 0.4)
    return flow.astype(np.float32)


@pytest.mark.parametrize("height", [128, 256])
def test_a_small_mover_keeps_its_motion_better_than_in_jpegs_of_rounded_codes(height: int) -> None:
    """And in less than two thirds of their bytes. A mean over the picture would not see it."""
    flow = small_mover(height, height * 4 // 3, seed=1)
    ours, theirs = both_ways(flow)
    assert ours[1] < theirs[1]
    assert ours[0] < theirs[0] * 2 / 3


def both_ways(flow: np.ndarray) -> tuple[tuple[int, float], tuple[int, float]]:
    """(bytes, mean loss of moving pixels) of the default, and of two JPEGs of quality 95."""
    moves, rounded = np.hypot(*flow) > MOVING, Quantizer("round")
    data = flow_codec(StoreConfig().codec, QUANTIZER).encode(QUANTIZER.quantize(flow))
    back = np.empty(flow.shape, np.uint8)
    flow_codec("within:1").decode(data, back)
    files = [encode_jpeg(plane, 95) for plane in rounded.quantize(flow)]
    other = np.stack([decode_file(file, grey=True) for file in files])
    ours, theirs = QUANTIZER.dequantize(back), rounded.dequantize(other)
    losses = [float(np.hypot(*(f - flow))[moves].mean()) for f in (ours, theirs)]
    return (len(data), losses[0]), (sum(map(len, files)), losses[1])


@pytest.mark.parametrize("side", [128, 256])
def test_real_clips_keep_their_motion_better_than_in_jpegs_of_rounded_codes(
    shared_data: Path, side: int
) -> None:
    """People before a fixed camera, and a sport that the camera follows."""
    for clip in (
        "surveillance/noFight/film040_noFight_f_nm_np1_fr_med_12.mp4",
        "ucf101/SoccerJuggling/v_SoccerJuggling_g24_c01.avi",
    ):
        capture = cv2.VideoCapture(str(next((shared_data / "clips").glob(clip))))
        frames = [capture.read()[1] for _ in range(14)][-2:]
        size = (side * frames[0].shape[1] // frames[0].shape[0], side)
        grey = [cv2.cvtColor(cv2.resize(f, size), cv2.COLOR_BGR2GRAY) for f in frames]
        flow = compute_flow(np.stack(grey), engine="cpu")[0]
        ours, theirs = both_ways(flow)
        assert ours[1] < theirs[1]
        assert ours[0] < theirs[0] * 2 / 3


def test_within_is_lossless_where_no_jpeg_keeps_the_bound() -> None:
    torn = noise(64, 64, 0)
    assert flow_codec("within:0.001", QUANTIZER).encode(torn) == flow_codec("lossless").encode(torn)
    still = np.full((2, 64, 64), QUANTIZER.zero, np.uint8)
    assert len(flow_codec("within:0.08", QUANTIZER).encode(still)) < 400
    assert (there_and_back("within:0.08", still) == still).all()


@pytest.mark.parametrize("older", [Half(80), Half(95), Jpeg(70), Jpeg(95)])
def test_what_within_wrote_before_is_read(older: Half | Jpeg) -> None:
    """Pairs of stores that were made when it chose among JPEGs of the usual tables."""
    item = smooth(65, 63, 2)
    out = np.empty_like(item)
    flow_codec("within:0.08", QUANTIZER).decode(older.encode(item), out)
    assert error(out, item) < 0.25


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
    picture = smooth(64, 64, 3)[0]
    small, usual = (encode_jpeg(picture, 80, small) for small in (True, False))
    np.testing.assert_array_equal(decode_file(small, grey=True), decode_file(usual, grey=True))
    assert len(small) < len(usual)


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
