"""Chunks: every stretch of items comes back, heads are shared, and damage is seen."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage import StoreError
from storage.codecs import head_length
from storage.store.chunk import count, pack, unpack

ITEMS = st.lists(st.binary(max_size=60) | st.binary(max_size=60).map(lambda b: b"\xff\xd8" + b))


@given(items=ITEMS.filter(bool), data=st.data())
def test_any_stretch_comes_back(items: list[bytes], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(items)))
    stop = data.draw(st.integers(first, len(items)))
    record = pack(items)
    assert count(record) == len(items)
    assert unpack(record, first, stop) == items[first:stop]


def jpegs(qualities: list[int]) -> list[bytes]:
    picture = np.random.default_rng(0).integers(0, 99, (32, 32), dtype=np.uint8)
    return [
        bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, q])[1]) for q in qualities
    ]


def test_heads_of_jpegs_are_kept_once() -> None:
    items = jpegs([90, 50, 90, 90, 50])
    assert head_length(items[0]) > 90
    record = pack(items)
    assert unpack(record, 0, 5) == items
    assert sum(map(len, items)) - len(record) > 3 * 90 - 5 * 10 - 20


@given(data=st.data())
def test_a_flipped_byte_is_seen_or_harmless(data: st.DataObject) -> None:
    items = jpegs([90, 80, 70])
    record = bytearray(pack(items))
    record[data.draw(st.integers(0, len(record) - 1))] ^= data.draw(st.integers(1, 255))
    for at in range(3):
        try:
            assert unpack(bytes(record), at, at + 1) == [items[at]]
        except StoreError:
            continue


@given(cut=st.integers(0, 400))
@example(cut=4)  # the head is whole, the table of items is not
def test_a_cut_record_is_an_error(cut: int) -> None:
    record = pack([bytes(range(200)), b"b" * 300])
    with pytest.raises(StoreError):
        unpack(record[:cut], 0, 2)


@pytest.mark.parametrize("cut", range(4))
def test_a_record_without_its_beginning_is_an_error(cut: int) -> None:
    with pytest.raises(StoreError, match="cut short"):
        count(pack([b"item"])[:cut])


def test_items_that_are_not_there_are_refused() -> None:
    with pytest.raises(StoreError, match="asked for items 0 to 3"):
        unpack(pack([b"a", b"b"]), 0, 3)
