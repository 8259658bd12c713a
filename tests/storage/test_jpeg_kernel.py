"""The compiled decoder gives OpenCV's pixels, and leaves to OpenCV what is not its own."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from storage.codecs import compile_reader, grey
from storage.codecs.codec import flow_codec
from storage.codecs.grey import fill_grey
from storage.codecs.pictures import decode_file, encode_jpeg, encode_jpeg_by_table

SIDES = st.integers(1, 70)


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> None:
    compile_reader()


def picture(height: int, width: int, seed: int, rough: float) -> np.ndarray:
    """From flat to noise."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 9.0
    smooth = 128 + 60 * np.sin(x + 6 * random.random()) + 50 * np.cos(y)
    mixed = (1 - rough) * smooth + rough * random.integers(-60, 316, (height, width))
    mixed[: height // 2] = np.rint(mixed[: height // 2] / 64) * 64  # flat blocks, and edges
    return np.clip(mixed, 0, 255).astype(np.uint8)


def decoded(file: bytes, shape: tuple[int, int]) -> np.ndarray | None:
    """What the kernel gives; None where it leaves the file to OpenCV."""
    room = np.full(shape[0] * shape[1] + 32, 77, np.uint8)
    out = room[16:-16].reshape(shape)
    done = fill_grey(file, out)
    assert (room[:16] == 77).all()
    assert (room[-16:] == 77).all()
    return out if done else None


@given(
    height=SIDES,
    width=SIDES,
    seed=st.integers(0, 99),
    rough=st.sampled_from([0.0, 0.05, 0.3, 1.0]),
    quality=st.integers(1, 100),
    small=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_every_grey_jpeg_decodes_to_opencvs_pixels(
    height: int, width: int, seed: int, rough: float, quality: int, small: bool
) -> None:
    file = encode_jpeg(picture(height, width, seed, rough), quality, small)
    ours = decoded(file, (height, width))
    assert ours is not None
    np.testing.assert_array_equal(ours, decode_file(file, grey=True))


@given(height=SIDES, width=SIDES, seed=st.integers(0, 99), step=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_tables_of_ones_own_decode_to_opencvs_pixels(
    height: int, width: int, seed: int, step: int
) -> None:
    table = np.full((8, 8), step, np.uint8)
    file = encode_jpeg_by_table(picture(height, width, seed, 0.2), table)
    if file is None:
        return
    ours = decoded(file, (height, width))
    assert ours is not None
    np.testing.assert_array_equal(ours, decode_file(file, grey=True))


@given(data=st.data(), seed=st.integers(0, 9))
@settings(max_examples=300, deadline=None)
def test_no_damage_makes_it_write_beyond_the_picture(data: st.DataObject, seed: int) -> None:
    file = bytearray(encode_jpeg(picture(40, 56, seed, 0.2), 80, small=True))
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(2, len(file) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(file)))
    decoded(bytes(file), (40, 56))
    decoded(bytes(file[:cut]), (40, 56))


def test_what_is_no_whole_baseline_jpeg_of_that_size_is_left_to_opencv() -> None:
    grey_picture = picture(40, 56, 0, 0.2)
    usual = encode_jpeg(grey_picture, 90)
    scan = usual.index(b"\xff\xda")
    progressive, colour = io.BytesIO(), io.BytesIO()
    Image.fromarray(grey_picture).save(progressive, "JPEG", progressive=True)
    Image.fromarray(np.stack([grey_picture] * 3, -1)).save(colour, "JPEG")
    _, restarts = cv2.imencode(".jpg", grey_picture, [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])
    assert decoded(usual, (40, 56)) is not None
    for other in (
        progressive.getvalue(),
        colour.getvalue(),
        bytes(restarts),
        usual[: (scan + len(usual)) // 2],
        usual[: scan + 3],
        b"\xff\xd8",
        b"",
        b"\x89PNG\r\n\x1a\n",
    ):
        assert decoded(other, (40, 56)) is None
    assert decoded(usual, (56, 40)) is None
    assert decoded(usual, (40, 55)) is None


@pytest.mark.parametrize("name", ["within:0.08", "jpeg:80", "half:90"])
@pytest.mark.parametrize("shape", [(2, 48, 64), (2, 47, 61)])
def test_a_pair_is_the_same_with_and_without_it(
    name: str, shape: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    item = np.stack([picture(*shape[1:], seed, 0.02) for seed in (1, 2)])
    codec = flow_codec(name)
    file = codec.encode(item)
    ours, theirs = np.zeros_like(item), np.ones_like(item)
    codec.decode(file, ours)
    monkeypatch.setattr(grey, "_kernel", None)
    monkeypatch.setattr(grey, "_doubler", None)
    monkeypatch.setattr(grey, "ENOUGH", np.inf)
    codec.decode(file, theirs)
    np.testing.assert_array_equal(ours, theirs)


def test_it_comes_when_much_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    file = encode_jpeg(picture(40, 56, 0, 0.1), 90)
    monkeypatch.setattr(grey, "_kernel", None)
    monkeypatch.setattr(grey, "_pixels", 0)
    monkeypatch.setattr(grey, "ENOUGH", 3 * 40 * 56)
    assert [decoded(file, (40, 56)) is not None for _ in range(4)] == [False, False, True, True]


def test_it_reads_bytes_of_any_kind() -> None:
    drawn = picture(40, 56, 0, 0.1)
    file = encode_jpeg(drawn, 90)
    out = np.empty_like(drawn)
    for data in (file, bytearray(file), memoryview(file), memoryview(bytearray(file))):
        out[:] = 0
        assert fill_grey(data, out)
        np.testing.assert_array_equal(out, decode_file(file, grey=True))
