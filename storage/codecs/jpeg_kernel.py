"""A decoder of grey JPEGs for Numba, right into the rows where the picture belongs.

A pair of flow is mostly flat: of its 8 x 8 blocks a third has more than a mean. libjpeg clears,
transforms and copies every block alike, which is two thirds of its time. Here a block with a mean
alone is one number, written eight times; the others are gathered and transformed eight at once.

The pixels are the very ones that libjpeg, hence OpenCV and Pillow, gives (`jpeg_transform`).

Read are baseline files of one component without restarts, in which every code lies within the
file; all others are somebody else's (`OTHER`). Whatever the bytes say, nothing outside the arrays
is touched.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from storage.codecs.jpeg_transform import LANES, OPTIONS, i32, transform

log = logging.getLogger(__name__)
DONE, OTHER = 0, 1
LOOK = 10
"""Bits that are looked up at once: a code and, where there is room, the number behind it."""
PEEK = np.uint64(64 - LOOK)
BITS_KEPT = 48
"""The buffer is filled above these, when fewer than ENOUGH are left; a code takes 16 at most, and
its number 15."""
ENOUGH, LONGEST = 32, 64
END, WRONG = 128, 64
"""Runs that lead past every coefficient: the block ends, or the file is none."""
BYTE, WORD = np.uint64(8), np.uint64(64)
EVERY_BYTE = 0x0101010101010101


def zigzag() -> NDArray[np.int64]:
    """int64 (64,): where in a row-major block each coefficient of the file lies."""
    places = [(r, c) for r in range(8) for c in range(8)]
    places.sort(key=lambda p: (sum(p), p[0] if sum(p) % 2 else p[1]))
    return np.array([8 * r + c for r, c in places], np.int64)


ZIGZAG = zigzag()


@njit(**OPTIONS)
def paint(m, columns, count, strip):  # type: ignore[no-untyped-def]
    """Transform `count` blocks, write them to their columns of a strip of 8 rows, and clear."""
    transform(m)
    across = len(strip) // 8
    for lane in range(count):
        at = columns[lane]
        for r in range(8):
            low = np.int64(m[8 * r * LANES + lane]) & 0xFFFFFFFF
            strip[r * across + at] = low | np.int64(m[(8 * r + 1) * LANES + lane]) << 32
    m[:] = 0


@njit(**OPTIONS)
def number(bits, size):  # type: ignore[no-untyped-def]
    """What `size` bits behind a code mean."""
    return bits if bits >> (size - 1) else bits - (1 << size) + 1


@njit(**OPTIONS)
def read_table(data, at, ac, look, longer):  # type: ignore[no-untyped-def]
    """The Huffman table of 16 counts and their values at `at`. False where it is none.

    `look`: of the next LOOK bits, what they begin with: bits taken in all, << 8 the run of zeros
    before the number, << 16 the number; 0 where that takes more bits. `longer`: for long codes, by
    length, the last code, then what leads from a code to its place among the values, then these.
    """
    ends, firsts, values = longer[:17], longer[17:34], longer[34:]
    look[:] = 0
    code, place = 0, 0
    for length in range(1, 17):
        count = np.int64(data[at + length - 1])
        firsts[length] = place - code
        if code + count > 1 << length:
            return False
        for _ in range(count):
            value = np.int64(data[at + 16 + place])
            values[place] = value
            size, run = parts(value, ac)
            spare = LOOK - length - size
            if size < 16 and spare >= 0:
                for bits in range(1 << size):
                    meant = number(bits, size) if size else 0
                    entry = i32((meant << 16) | (run << 8) | (length + size))
                    first = ((code << size) | bits) << spare
                    for same in range(1 << spare):
                        look[first + same] = entry
            code += 1
            place += 1
        ends[length] = code - 1 if count else -1
        code <<= 1
    return True


@njit(**OPTIONS)
def long_entry(buffer, ac, longer):  # type: ignore[no-untyped-def]
    """What the buffer begins with, as `look` has it; a code that there is none of ends the file."""
    ends, firsts, values = longer[:17], longer[17:34], longer[34:]
    for length in range(1, 17):
        code = np.int64(buffer >> (WORD - np.uint64(length)))
        if code <= ends[length]:
            place = firsts[length] + code
            if not 0 <= place < 256:
                break
            size, run = parts(values[place], ac)
            if size > 15:
                break
            if size == 0:
                return (run << 8) | length
            left = np.int64((buffer << np.uint64(length)) >> (WORD - np.uint64(size)))
            return (number(left, size) << 16) | (run << 8) | (length + size)
    return WRONG << 8


@njit(**OPTIONS)
def parts(value, ac):  # type: ignore[no-untyped-def]
    """What a code stands for: (bits of the number behind it, zeros before it)."""
    if not ac:
        return value, 0
    size, run = value & 15, value >> 4
    return size, END if size == 0 and run != 15 else run


@njit(**OPTIONS)
def fill(data, at, buffer, bits, missing):  # type: ignore[no-untyped-def]
    """Take bytes while there is room; behind the end, zeros, as libjpeg has them."""
    while bits <= BITS_KEPT:
        byte = np.uint64(0)
        if at < len(data) and data[at] != 0xFF:
            byte = np.uint64(data[at])
            at += 1
        elif at + 1 < len(data) and data[at + 1] == 0:
            byte = np.uint64(0xFF)
            at += 2
        else:
            missing += 8
        buffer |= byte << np.uint64(56 - bits)
        bits += 8
    return buffer, bits, at, missing


@njit(**OPTIONS)
def read_head(data, width, height, steps, look, longer):  # type: ignore[no-untyped-def]
    """Where the scan begins; 0 where this is no file for us. Fills the tables."""
    at, known, size = 2, 0, len(data)
    if size < 4 or data[0] != 0xFF or data[1] != 0xD8:
        return 0
    while at + 4 <= size and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        p = at + 4
        end = at + 2 + (np.int64(data[at + 2]) << 8 | data[at + 3])
        if end > size or end < p:
            return 0
        if marker == 0xDB:
            while p < end:
                if data[p] > 3 or p + 65 > end:
                    return 0
                if data[p] == 0:
                    known |= 1
                    for k in range(64):
                        steps[k] = data[p + 1 + k]
                p += 65
        elif marker == 0xC0:
            if end - p != 9 or data[p] != 8 or data[p + 5] != 1 or data[p + 8] != 0:
                return 0
            if (np.int64(data[p + 1]) << 8 | data[p + 2]) != height:
                return 0
            if (np.int64(data[p + 3]) << 8 | data[p + 4]) != width:
                return 0
            known |= 2
        elif marker == 0xC4:
            while p < end:
                if p + 17 > end:
                    return 0
                count = 0
                for k in range(16):
                    count += int(data[p + 1 + k])
                if count > 256 or p + 17 + count > end:
                    return 0
                if data[p] & 0xEF:
                    return 0
                kind = int(data[p]) >> 4  # 0 means, 1 the other coefficients
                known |= 4 << kind
                if not read_table(data, p + 1, kind, look[kind], longer[kind]):
                    return 0
                p += 17 + count
        elif marker == 0xDA:
            whole = end - p == 6 and data[p] == 1 and data[p + 2] == 0
            whole = whole and data[p + 3] == 0 and data[p + 4] == 63 and data[p + 5] == 0
            return end if whole and known == 15 else 0
        elif 0xC1 <= marker <= 0xCF or marker == 0xDD:  # other kinds of JPEG; restarts
            return 0
        at = end
    return 0


def decode_grey(data, out, width):  # type: ignore[no-untyped-def]
    """uint8 (N,), a file -> `out`, uint8 (H * width,). DONE; or OTHER, with anything in `out`."""
    height = len(out) // width
    steps = np.zeros(64, np.int64)
    look = np.empty((2, 1 << LOOK), np.int32)
    longer = np.empty((2, 34 + 256), np.int64)
    at = read_head(data, width, height, steps, look, longer)
    if not at:
        return OTHER
    dc_look, ac_look = look[0], look[1]
    across, strips = (width + 7) // 8, (height + 7) // 8
    strip = np.empty(8 * across, np.int64)
    rows = strip.view(np.uint8)
    m = np.zeros(64 * LANES, np.int32)
    columns = np.zeros(LANES, np.int64)
    buffer, bits, missing = np.uint64(0), 0, 0
    mean, wild = 0, 0
    for y in range(strips):
        lane = 0
        for x in range(across):
            if bits < ENOUGH:
                buffer, bits, at, missing = fill(data, at, buffer, bits, missing)
            entry = dc_look[np.int64(buffer >> PEEK)]
            if entry == 0:
                entry = long_entry(buffer, 0, longer[0])
            if (entry >> 8) & 255:
                return OTHER
            mean += entry >> 16
            buffer <<= np.uint64(entry & 255)
            bits -= entry & 255
            k, active = 1, False
            while k < 64:
                if bits < ENOUGH:
                    buffer, bits, at, missing = fill(data, at, buffer, bits, missing)
                entry = ac_look[np.int64(buffer >> PEEK)]
                if entry == 0:
                    entry = long_entry(buffer, 1, longer[1])
                buffer <<= np.uint64(entry & 255)
                bits -= entry & 255
                k += (entry >> 8) & 255
                if k > 63:
                    k += 1
                    break
                active = True
                value = (entry >> 16) * steps[k]
                wild |= abs(value)
                m[ZIGZAG[k] * LANES + lane] = i32(value)
                k += 1
            if 64 < k < END or missing > LONGEST:
                return OTHER
            value = mean * steps[0]
            wild |= abs(value)
            if active:
                m[lane] = i32(value)
                columns[lane] = x
                lane += 1
            else:
                flat = min(max(((4 * value + 16) >> 5) + 128, 0), 255) * EVERY_BYTE
                for r in range(8):
                    strip[r * across + x] = flat
            if lane == LANES or (lane and x == across - 1):
                paint(m, columns, lane, strip)
                lane = 0
        for r in range(min(8, height - 8 * y)):
            to, come = (8 * y + r) * width, 8 * r * across
            line, done = out[to : to + width], rows[come : come + width]
            for x in range(width):
                line[x] = done[x]
    return OTHER if wild > 32767 or missing > bits else DONE


SIGNATURE = types.int64(
    types.Array(types.uint8, 1, "C", readonly=True), types.Array(types.uint8, 1, "C"), types.int64
)


def double_grey(half, out):  # type: ignore[no-untyped-def]
    """uint8 (2, h, w), every value four times into (2, H, W), of which h and w are the halves."""
    planes, height, width = out.shape
    for plane in range(planes):
        for row in range(half.shape[1]):
            few, many = half[plane, row], out[plane, 2 * row]
            for x in range(width // 2):
                many[2 * x] = few[x]
                many[2 * x + 1] = few[x]
            if width % 2:
                many[width - 1] = few[width // 2]
            if 2 * row + 1 < height:
                below = out[plane, 2 * row + 1]
                for x in range(width):
                    below[x] = many[x]


PLANES = types.Array(types.uint8, 3, "C")


def compiled() -> tuple[Any, Any]:
    """`decode_grey` and `double_grey` as machine code."""
    functions = (decode_grey, SIGNATURE), (double_grey, types.void(PLANES, PLANES))
    decode, double = (machine_code(*both) for both in functions)
    return decode, double


def machine_code(function: Any, signature: Any) -> Any:
    """From Numba's cache on disk where it is there already.

    Numba notices a change only in the file of the function that it keeps; so the name carries a
    digest of both files.
    """
    sources = sorted(Path(__file__).parent.glob("jpeg_*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    function.__qualname__ = f"{function.__name__}_{digest}"
    try:
        kernel = njit(cache=True, **OPTIONS)(function)
    except RuntimeError as error:  # neither the installation nor the user's cache is writable
        log.warning("compiled code is not kept: %s; NUMBA_CACHE_DIR names a folder for it", error)
        kernel = njit(**OPTIONS)(function)
    kernel.compile(signature)
    kernel.disable_compile()
    return kernel
