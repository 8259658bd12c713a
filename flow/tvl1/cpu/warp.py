"""The second frame and its gradients read where the flow points: one set of weights for all three.

The frame is laid out as quads (grey level, x gradient, y gradient, 0), so that four neighbouring
taps of all three planes are one vector, wherever they begin; three pixels' width of border on all
sides takes the place of bounds checks.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from flow.tvl1.cpu.simd import (
    LANES,
    floor,
    load,
    load_plane_of_quads,
    maximum,
    minimum,
    splat,
    store,
    store_quads,
    store_whole,
    weigh_taps,
)
from flow.tvl1.cpu.sweep import CONSTANT, GX, GY, INVERSE, PLANES, U, V

BORDER = 3
"""Pixels around the frame: from 2 outside of it on, a warp reads nothing but these."""
QUAD = 4


@njit(nogil=True, error_model="numpy")
def lay_out_quads(m, image, quads, repeat):  # type: ignore[no-untyped-def]
    """Fill the quads of an image, borders included.

    `quads` is the index of the border's first quad; a row of quads is QUAD times the image's.
    `repeat`: the border repeats the edge; otherwise it is 0. On both sides of an image row one
    float must be free.
    """
    place, pitch, height, width = image
    quad_pitch = QUAD * pitch
    half = splat(np.float32(0.5))
    for y in range(height):
        here = place + y * pitch
        above = place + max(y - 1, 0) * pitch
        below = place + min(y + 1, height - 1) * pitch
        out = quads + (y + BORDER) * quad_pitch + BORDER * QUAD
        m[here - 1] = m[here]
        m[here + width] = m[here + width - 1]
        for x in range(0, width, LANES):
            gx = half * (load(m, here + x + 1) - load(m, here + x - 1))
            gy = half * (load(m, below + x) - load(m, above + x))
            store_quads(m, out + x * QUAD, load(m, here + x), gx, gy)
        for x in range(BORDER):
            for plane in range(QUAD):
                edge = np.float32(0)
                m[out - (x + 1) * QUAD + plane] = m[out + plane] if repeat else edge
                end = out + width * QUAD + plane
                m[end + x * QUAD] = m[end - QUAD] if repeat else edge
    top = quads + BORDER * quad_pitch
    bottom = top + (height - 1) * quad_pitch
    for y in range(BORDER):
        for i in range((width + 2 * BORDER) * QUAD):
            m[quads + y * quad_pitch + i] = m[top + i] if repeat else np.float32(0)
            m[bottom + (y + 1) * quad_pitch + i] = m[bottom + i] if repeat else np.float32(0)


@njit(forceinline=True, error_model="numpy")
def _store_cubic_weights(m, place, t, a):  # type: ignore[no-untyped-def]
    """Keys' kernel at the taps -1, 0, 1, 2 around points t past tap 0, to four runs of 16."""
    one, two, three = splat(np.float32(1)), splat(np.float32(2)), splat(np.float32(3))
    rest = one - t
    outer_low = a * t * rest * rest
    outer_high = a * rest * t * t
    low = ((a + two) * t - (a + three)) * t * t + one
    store(m, place, outer_low)
    store(m, place + LANES, low)
    store(m, place + 2 * LANES, one - outer_low - low - outer_high)
    store(m, place + 3 * LANES, outer_high)


@njit(nogil=True, error_model="numpy")
def warp(m, planes, arena, image, cubic, corners):  # type: ignore[no-untyped-def]
    """Linearise around the flow: fill GX, GY, CONSTANT and INVERSE of every pixel.

    The first frame's pixel (0, 0) is m[image], its rows as far apart as a plane's.
    m[arena.columns] begins 0, 1, 2, ... up to the width. `corners` is an int32 array of 32.
    `arena.scratch` has 12 x 16 floats that may be used.
    """
    origin, pitch, height, width, _ = planes
    quads, quad_pitch, scratch = arena.quads, QUAD * pitch, arena.scratch
    a = splat(cubic)
    least = splat(np.float32(-2))
    most_x, most_y = splat(np.float32(width + 1)), splat(np.float32(height + 1))
    minus_one, eps = splat(np.float32(-1)), splat(np.float32(np.finfo(np.float32).eps))
    taps = scratch + 8 * LANES
    for y in range(height):
        line = splat(np.float32(y))
        first = origin + y * PLANES * pitch
        for x in range(0, width, LANES):
            i = first + x
            u, v = load(m, i + U * pitch), load(m, i + V * pitch)
            at_x = minimum(maximum(load(m, arena.columns + x) + u, least), most_x)
            at_y = minimum(maximum(line + v, least), most_y)
            low_x, low_y = floor(at_x), floor(at_y)
            _store_cubic_weights(m, scratch, at_y - low_y, a)
            _store_cubic_weights(m, scratch + 4 * LANES, at_x - low_x, a)
            store_whole(corners, 0, low_x)
            store_whole(corners, LANES, low_y)
            for lane in range(LANES):
                corner = (
                    quads
                    + (corners[LANES + lane] + (BORDER - 1)) * quad_pitch
                    + (corners[lane] + (BORDER - 1)) * QUAD
                )
                weigh_taps(m, corner, quad_pitch, m, scratch + lane, m, taps + lane * QUAD)
            grey = load_plane_of_quads(m, taps, 0)
            gx = load_plane_of_quads(m, taps, 1)
            gy = load_plane_of_quads(m, taps, 2)
            store(m, i + GX * pitch, gx)
            store(m, i + GY * pitch, gy)
            first_grey = load(m, image + y * pitch + x)
            store(m, i + CONSTANT * pitch, grey - gx * u - gy * v - first_grey)
            store(m, i + INVERSE * pitch, minus_one / maximum(gx * gx + gy * gy, eps))
