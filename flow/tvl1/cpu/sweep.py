"""The inner iterations of TV-L1, fused so that a row is read and written once an iteration.

One iteration moves u along the data term and the divergence of the dual variables p, then p along
the gradient of the new u. Row y of the new p needs row y + 1 of the new u, so the two halves
cannot share one sweep; but the second half of an iteration and the first half of the next can:

    primal        u <- u + step grad I1 + theta div p                    opens a run
    dual, primal  p <- (p + taut grad u) / (1 + taut |grad u|), then u   one sweep an iteration
    dual                                                                 closes it

Rows of several iterations can be interleaved: iteration k + 1 follows k one row behind, while
what both need is still in the nearest cache.

The state is one flat float32 array. A row of a level holds its ten planes one after the other,
so a sweep reads one run of memory; `pitch` floats a plane, 10 `pitch` a row, `origin` the index of
the first pixel of plane U in row 0. Before each plane lie 16 free floats, which for the duals are
0 (there is no flux through a border), and above row 0 lies a row of zeros. Behind the last pixel
of a row, u repeats it, so that the forward difference is 0 there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from flow.tvl1.cpu.simd import (
    LANES,
    after_last,
    lane_sum,
    load,
    maximum,
    minimum,
    splat,
    square_root,
    store,
    until_first,
)

U, V = 0, 1
"""The flow."""
PUX, PUY, PVX, PVY = 2, 3, 4, 5
"""The dual variables of u and of v, towards x and towards y."""
GX, GY, CONSTANT, INVERSE = 6, 7, 8, 9
"""Warped gradient, the part of the residual that no iteration changes, and -1 / |gradient|^2."""
PLANES = 10


@njit(forceinline=True, error_model="numpy")
def _slopes(m, i, pitch, below, u, v, next_u, next_v, one, taut):  # type: ignore[no-untyped-def]
    """Forward differences of sixteen pixels of u and v, and what divides their duals."""
    ux = until_first(u, next_u) - u
    vx = until_first(v, next_v) - v
    uy = load(m, i + below + U * pitch) - u
    vy = load(m, i + below + V * pitch) - v
    norm_u = one + taut * square_root(ux * ux + uy * uy)
    norm_v = one + taut * square_root(vx * vx + vy * vy)
    return ux, uy, norm_u, vx, vy, norm_v


@njit(forceinline=True, error_model="numpy")
def _dual(m, i, pitch, slopes, one, taut):  # type: ignore[no-untyped-def]
    """Update the duals of sixteen pixels; gives them."""
    ux, uy, norm_u, vx, vy, norm_v = slopes
    scale_u, scale_v = one / norm_u, one / norm_v
    pux = (load(m, i + PUX * pitch) + taut * ux) * scale_u
    puy = (load(m, i + PUY * pitch) + taut * uy) * scale_u
    pvx = (load(m, i + PVX * pitch) + taut * vx) * scale_v
    pvy = (load(m, i + PVY * pitch) + taut * vy) * scale_v
    store(m, i + PUX * pitch, pux)
    store(m, i + PUY * pitch, puy)
    store(m, i + PVX * pitch, pvx)
    store(m, i + PVY * pitch, pvy)
    return pux, puy, pvx, pvy


@njit(forceinline=True, error_model="numpy")
def _primal(m, i, pitch, u, v, duals, left, reach, minus_reach, theta):  # type: ignore[no-untyped-def]
    """Update sixteen pixels of u and v; gives the sum of their squared changes, lane by lane.

    `left` holds the duals towards x of the vector to the left.
    """
    row = PLANES * pitch
    pux, puy, pvx, pvy = duals
    gx = load(m, i + GX * pitch)
    gy = load(m, i + GY * pitch)
    residual = load(m, i + CONSTANT * pitch) + gx * u + gy * v
    step = residual * load(m, i + INVERSE * pitch)
    step = minimum(maximum(step, minus_reach), reach)
    div_u = pux - after_last(left[0], pux) + (puy - load(m, i - row + PUY * pitch))
    div_v = pvx - after_last(left[1], pvx) + (pvy - load(m, i - row + PVY * pitch))
    du = step * gx + theta * div_u
    dv = step * gy + theta * div_v
    store(m, i + U * pitch, u + du)
    store(m, i + V * pitch, v + dv)
    return du * du + dv * dv


def _row_kernel(primal: bool) -> Any:
    """A sweep over one row: the dual half of an iteration, and if asked for the next primal half.

    The slopes are computed one vector ahead of their use: so the long chains of dependent
    operations, with their square roots and divisions, overlap in the processor.
    """

    @njit(nogil=True, error_model="numpy")
    def sweep(m, first, planes, below, weights, errors):  # type: ignore[no-untyped-def]
        pitch, width = planes.pitch, planes.width
        one, taut, theta = splat(np.float32(1)), splat(weights.taut), splat(weights.theta)
        reach, minus_reach = splat(weights.reach), splat(-weights.reach)
        error = load(m, errors)
        left = load(m, first + PUX * pitch - LANES), load(m, first + PVX * pitch - LANES)
        u, v = load(m, first + U * pitch), load(m, first + V * pitch)
        next_u, next_v = load(m, first + U * pitch + LANES), load(m, first + V * pitch + LANES)
        slopes = _slopes(m, first, pitch, below, u, v, next_u, next_v, one, taut)
        last = first + (width - 1) // LANES * LANES
        for i in range(first, last, LANES):
            ahead = i + LANES
            far_u = load(m, ahead + U * pitch + LANES)
            far_v = load(m, ahead + V * pitch + LANES)
            duals = _dual(m, i, pitch, slopes, one, taut)
            slopes = _slopes(m, ahead, pitch, below, next_u, next_v, far_u, far_v, one, taut)
            if primal:
                error += _primal(m, i, pitch, u, v, duals, left, reach, minus_reach, theta)
                left = duals[0], duals[2]
            u, v, next_u, next_v = next_u, next_v, far_u, far_v
        duals = _dual(m, last, pitch, slopes, one, taut)
        if primal:
            change = _primal(m, last, pitch, u, v, duals, left, reach, minus_reach, theta)
            _end_row(m, first, planes, error, change, errors)

    return sweep


@njit(forceinline=True, error_model="numpy")
def _end_row(m, first, planes, error, change, errors):  # type: ignore[no-untyped-def]
    # lanes past the last pixel are not part of the frame, nor of its error
    store(m, errors, error + load(m, planes.mask) * change)
    end_u = first + U * planes.pitch + planes.width
    end_v = first + V * planes.pitch + planes.width
    m[end_u] = m[end_u - 1]
    m[end_v] = m[end_v - 1]


@njit(nogil=True, error_model="numpy")
def _primal_row(m, first, planes, weights, errors):  # type: ignore[no-untyped-def]
    """The primal half over one row."""
    pitch, width = planes.pitch, planes.width
    reach, minus_reach, theta = splat(weights.reach), splat(-weights.reach), splat(weights.theta)
    error = load(m, errors)
    change = splat(np.float32(0))
    left = load(m, first + PUX * pitch - LANES), load(m, first + PVX * pitch - LANES)
    for i in range(first, first + width, LANES):
        error += change
        u, v = load(m, i + U * pitch), load(m, i + V * pitch)
        duals = (
            load(m, i + PUX * pitch),
            load(m, i + PUY * pitch),
            load(m, i + PVX * pitch),
            load(m, i + PVY * pitch),
        )
        change = _primal(m, i, pitch, u, v, duals, left, reach, minus_reach, theta)
        left = duals[0], duals[2]
    _end_row(m, first, planes, error, change, errors)


_dual_primal_row = _row_kernel(primal=True)
_dual_row = _row_kernel(primal=False)


@njit(nogil=True, error_model="numpy")
def iterate(m, planes, weights, count, opens, errors):  # type: ignore[no-untyped-def]
    """Run `count` iterations over a level, their rows interleaved, the dual half left open.

    `opens` says that p is up to date, so that the first iteration starts with the primal half.
    The summed squared change of iteration k goes to m[errors + 16 k].
    """
    row, height = PLANES * planes.pitch, planes.height
    for k in range(count):
        store(m, errors + k * LANES, splat(np.float32(0)))
    for wave in range(height + count - 1):
        for k in range(max(0, wave - height + 1), min(count, wave + 1)):
            y = wave - k
            first = planes.origin + y * row
            below = row if y < height - 1 else 0
            at = errors + k * LANES
            if opens and k == 0:
                _primal_row(m, first, planes, weights, at)
            else:
                _dual_primal_row(m, first, planes, below, weights, at)
    for k in range(count):
        m[errors + k * LANES] = lane_sum(load(m, errors + k * LANES))


@njit(nogil=True, error_model="numpy")
def close(m, planes, weights, errors):  # type: ignore[no-untyped-def]
    """The dual half that `iterate` left open."""
    row = PLANES * planes.pitch
    for y in range(planes.height):
        below = row if y < planes.height - 1 else 0
        _dual_row(m, planes.origin + y * row, planes, below, weights, errors)
