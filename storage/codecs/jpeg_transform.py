"""The inverse transform of eight JPEG blocks at once, for Numba, to the bit that libjpeg computes.

That of C. Loeffler, A. Ligtenberg, G. Moschytz, "Practical fast 1-D DCT algorithms with 11
multiplications" (1989), in fixed point of 13 bits, columns first, rounded as libjpeg's `islow`.
Blocks lie side by side, so that one instruction works on all of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

LANES = 8
"""Blocks that are transformed at once."""
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
i32 = np.int32


# Without the casts Numba would reckon in 64 bits, of which a register holds half as many.
@njit(**OPTIONS)
def mul(a, b):  # type: ignore[no-untyped-def]
    return i32(a * b)


@njit(**OPTIONS)
def add(a, b):  # type: ignore[no-untyped-def]
    return i32(a + b)


@njit(**OPTIONS)
def sub(a, b):  # type: ignore[no-untyped-def]
    return i32(a - b)


@njit(**OPTIONS)
def down(a, bits):  # type: ignore[no-untyped-def]
    return i32(a >> bits)


@njit(**OPTIONS)
def pixel(a):  # type: ignore[no-untyped-def]
    return i32(min(max(i32(a + i32(128)), i32(0)), i32(255)))


@njit(**OPTIONS)
def four(a, b, c, d):  # type: ignore[no-untyped-def]
    """Four pixels as they lie in memory."""
    low = i32(pixel(a) | i32(pixel(b) << i32(8)))
    return i32(low | i32(i32(pixel(c) << i32(16)) | i32(pixel(d) << i32(24))))


@njit(**OPTIONS)
def eight(x0, x1, x2, x3, x4, x5, x6, x7, half, bits):  # type: ignore[no-untyped-def]
    """One row or column: 8 coefficients -> 8 values, rounded by `half` and `bits`."""
    z1 = mul(add(x2, x6), i32(4433))
    t2 = sub(z1, mul(x6, i32(15137)))
    t3 = add(z1, mul(x2, i32(6270)))
    t0 = add(i32(add(x0, x4) << i32(13)), half)
    t1 = add(i32(sub(x0, x4) << i32(13)), half)
    a0, a1, a2, a3 = add(t0, t3), add(t1, t2), sub(t1, t2), sub(t0, t3)
    z1, z2, z3, z4 = add(x7, x1), add(x5, x3), add(x7, x3), add(x5, x1)
    z5 = mul(add(z3, z4), i32(9633))
    z1, z2 = mul(z1, i32(-7373)), mul(z2, i32(-20995))
    z3, z4 = add(mul(z3, i32(-16069)), z5), add(mul(z4, i32(-3196)), z5)
    b0 = add(mul(x7, i32(2446)), add(z1, z3))
    b1 = add(mul(x5, i32(16819)), add(z2, z4))
    b2 = add(mul(x3, i32(25172)), add(z2, z3))
    b3 = add(mul(x1, i32(12299)), add(z1, z4))
    return (
        down(add(a0, b3), bits),
        down(add(a1, b2), bits),
        down(add(a2, b1), bits),
        down(add(a3, b0), bits),
        down(sub(a3, b0), bits),
        down(sub(a2, b1), bits),
        down(sub(a1, b2), bits),
        down(sub(a0, b3), bits),
    )


@njit(**OPTIONS)
def transform(m):  # type: ignore[no-untyped-def]
    """int32 (64 * LANES,), coefficients of LANES blocks side by side, to pixels in place: of row r
    the first four lie at 8 r, the others at 8 r + 1."""
    for c in range(8):
        for lane in range(LANES):
            p = c * LANES + lane
            v = eight(
                m[p],
                m[p + 8 * LANES],
                m[p + 16 * LANES],
                m[p + 24 * LANES],
                m[p + 32 * LANES],
                m[p + 40 * LANES],
                m[p + 48 * LANES],
                m[p + 56 * LANES],
                i32(1 << 10),
                i32(11),
            )
            m[p], m[p + 8 * LANES], m[p + 16 * LANES] = v[0], v[1], v[2]
            m[p + 24 * LANES], m[p + 32 * LANES], m[p + 40 * LANES] = v[3], v[4], v[5]
            m[p + 48 * LANES], m[p + 56 * LANES] = v[6], v[7]
    for r in range(8):
        for lane in range(LANES):
            p = 8 * r * LANES + lane
            v = eight(
                m[p],
                m[p + LANES],
                m[p + 2 * LANES],
                m[p + 3 * LANES],
                m[p + 4 * LANES],
                m[p + 5 * LANES],
                m[p + 6 * LANES],
                m[p + 7 * LANES],
                i32(1 << 17),
                i32(18),
            )
            m[p] = four(v[0], v[1], v[2], v[3])
            m[p + LANES] = four(v[4], v[5], v[6], v[7])
