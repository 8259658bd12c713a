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

from flow.cpu_vector import (
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
def _primal(  # type: ignore[no-untyped-def]
    m, i, pitch, u, v, pux, puy, pvx, pvy, left_pux, left_pvx, reach, minus_reach, theta
):
    """Update sixteen pixels of u and v; gives the sum of their squared changes, lane by lane."""
    row = PLANES * pitch
    gx = load(m, i + GX * pitch)
    gy = load(m, i + GY * pitch)
    residual = load(m, i + CONSTANT * pitch) + gx * u + gy * v
    step = residual * load(m, i + INVERSE * pitch)
    step = minimum(maximum(step, minus_reach), reach)
    div_u = pux - after_last(left_pux, pux) + (puy - load(m, i - row + PUY * pitch))
    div_v = pvx - after_last(left_pvx, pvx) + (pvy - load(m, i - row + PVY * pitch))
    du = step * gx + theta * div_u
    dv = step * gy + theta * div_v
    store(m, i + U * pitch, u + du)
    store(m, i + V * pitch, v + dv)
    return du * du + dv * dv


def _row_kernel(dual: bool, primal: bool) -> Any:
    """A sweep over one row: either half of an iteration, or the dual half and the next primal.

    The primal half runs one vector behind the dual half: their long chains of dependent
    operations then overlap in the processor.
    """

    @njit(nogil=True, error_model="numpy")
    def sweep(m, first, pitch, width, below, mask, reach_, theta_, taut_, errors):  # type: ignore[no-untyped-def]
        one, taut, theta = splat(np.float32(1)), splat(taut_), splat(theta_)
        reach, minus_reach = splat(reach_), splat(-reach_)
        error = load(m, errors)
        # what the vector to the left held: behind (u..), and before that (left..)
        left_pux = behind_pux = load(m, first + PUX * pitch - LANES)
        left_pvx = behind_pvx = load(m, first + PVX * pitch - LANES)
        behind_puy, behind_pvy, behind_u, behind_v = left_pux, left_pux, left_pux, left_pux
        u, v = load(m, first + U * pitch), load(m, first + V * pitch)
        for x in range(0, width, LANES):
            i = first + x
            next_u, next_v = load(m, i + U * pitch + LANES), load(m, i + V * pitch + LANES)
            pux, puy = load(m, i + PUX * pitch), load(m, i + PUY * pitch)
            pvx, pvy = load(m, i + PVX * pitch), load(m, i + PVY * pitch)
            if dual:
                ux = until_first(u, next_u) - u
                vx = until_first(v, next_v) - v
                uy = load(m, i + below + U * pitch) - u
                vy = load(m, i + below + V * pitch) - v
                scale_u = one / (one + taut * square_root(ux * ux + uy * uy))
                scale_v = one / (one + taut * square_root(vx * vx + vy * vy))
                pux, puy = (pux + taut * ux) * scale_u, (puy + taut * uy) * scale_u
                pvx, pvy = (pvx + taut * vx) * scale_v, (pvy + taut * vy) * scale_v
                store(m, i + PUX * pitch, pux)
                store(m, i + PUY * pitch, puy)
                store(m, i + PVX * pitch, pvx)
                store(m, i + PVY * pitch, pvy)
            if primal:
                if x > 0:
                    error += _primal(
                        m, i - LANES, pitch, behind_u, behind_v,
                        behind_pux, behind_puy, behind_pvx, behind_pvy, left_pux, left_pvx,
                        reach, minus_reach, theta,
                    )  # fmt: skip
                left_pux, left_pvx = behind_pux, behind_pvx
                behind_pux, behind_puy, behind_pvx, behind_pvy = pux, puy, pvx, pvy
            behind_u, behind_v, u, v = u, v, next_u, next_v
        if primal:
            i = first + (width - 1) // LANES * LANES
            # lanes past the last pixel are not part of the frame, nor of its error
            error += load(m, mask) * _primal(
                m, i, pitch, behind_u, behind_v,
                behind_pux, behind_puy, behind_pvx, behind_pvy, left_pux, left_pvx,
                reach, minus_reach, theta,
            )  # fmt: skip
            store(m, errors, error)
            m[first + U * pitch + width] = m[first + U * pitch + width - 1]
            m[first + V * pitch + width] = m[first + V * pitch + width - 1]

    return sweep


_primal_row = _row_kernel(dual=False, primal=True)
_dual_primal_row = _row_kernel(dual=True, primal=True)
_dual_row = _row_kernel(dual=True, primal=False)


@njit(nogil=True, error_model="numpy")
def iterate(  # type: ignore[no-untyped-def]
    m, origin, pitch, height, width, count, opens, mask, reach, theta, taut, errors
):
    """Run `count` iterations over a level, their rows interleaved, the dual half left open.

    `opens` says that p is up to date, so that the first iteration starts with the primal half.
    The summed squared change of iteration k goes to m[errors + 16 k].
    """
    row = PLANES * pitch
    for k in range(count):
        store(m, errors + k * LANES, splat(np.float32(0)))
    for wave in range(height + count - 1):
        for k in range(max(0, wave - height + 1), min(count, wave + 1)):
            y = wave - k
            first = origin + y * row
            below = row if y < height - 1 else 0
            at = errors + k * LANES
            if opens and k == 0:
                _primal_row(m, first, pitch, width, below, mask, reach, theta, taut, at)
            else:
                _dual_primal_row(m, first, pitch, width, below, mask, reach, theta, taut, at)
    for k in range(count):
        m[errors + k * LANES] = lane_sum(load(m, errors + k * LANES))


@njit(nogil=True, error_model="numpy")
def close(m, origin, pitch, height, width, mask, reach, theta, taut, errors):  # type: ignore[no-untyped-def]
    """The dual half that `iterate` left open."""
    row = PLANES * pitch
    for y in range(height):
        below = row if y < height - 1 else 0
        _dual_row(m, origin + y * row, pitch, width, below, mask, reach, theta, taut, errors)
