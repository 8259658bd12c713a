"""One pair of frames from pyramid to flow, in memory that was laid out beforehand."""

from __future__ import annotations

import numpy as np
from numba import njit

from flow.tvl1.cpu.median import median_5x5
from flow.tvl1.cpu.memory import Image, Planes
from flow.tvl1.cpu.resize import resize
from flow.tvl1.cpu.simd import LANES, load, splat, store
from flow.tvl1.cpu.sweep import PLANES, U, V, close, iterate
from flow.tvl1.cpu.warp import lay_out_quads, warp

TOGETHER = 4
"""Most iterations whose rows are interleaved: as many rows stay in the nearest caches."""


@njit(nogil=True, error_model="numpy")
def _image(arena, level, slot):  # type: ignore[no-untyped-def]
    """The image of a frame on a level; `slot` is 0 or 1."""
    about = arena.levels[level]
    return Image(arena.frames[level, slot], about.pitch, about.height, about.width)


@njit(nogil=True, error_model="numpy")
def build_pyramid(m, arena, slot, frame):  # type: ignore[no-untyped-def]
    """A frame, uint8 (H, W), as float32 on every level."""
    image = _image(arena, 0, slot)
    for y in range(image.height):
        row = image.place + y * image.pitch
        for x in range(image.width):
            m[row + x] = np.float32(frame[y, x])
    for level in range(1, arena.levels.shape[0]):
        about, coarser = arena.levels[level], _image(arena, level, slot)
        resize(m, image, coarser, arena, about.shrink_rows, about.shrink_columns, np.float32(1))
        image = coarser


@njit(nogil=True, error_model="numpy")
def solve(m, arena, rules, corners, first, out):  # type: ignore[no-untyped-def]
    """Flow to `out`, float32 (2, H, W), from the frame in slot `first` to the other one.

    Gives the pixel-iterations that it took.
    """
    work = 0
    coarsest = arena.levels.shape[0] - 1
    for level in range(coarsest, -1, -1):
        about = arena.levels[level]
        height, width, pitch = about.height, about.width, about.pitch
        row = PLANES * pitch
        origin = arena.state + LANES + row
        planes = Planes(origin, pitch, height, width, about.mask)
        nothing = splat(np.float32(0))
        for i in range(arena.state, origin + (height + 1) * row, LANES):
            store(m, i, nothing)
        if level < coarsest:
            coarse = arena.levels[level + 1]
            for plane in range(2):
                place = arena.coarse + plane * coarse.height * coarse.pitch
                resize(
                    m,
                    Image(place, coarse.pitch, coarse.height, coarse.width),
                    Image(origin + plane * pitch, row, height, width),
                    arena,
                    about.grow_rows,
                    about.grow_columns,
                    rules.growth,
                )
            _repeat_last(m, planes)
        work += _refine(m, arena, rules, planes, corners, level, first)
        if level > 0:
            for plane in range(2):
                for y in range(height):
                    source = origin + y * row + plane * pitch
                    target = arena.coarse + (plane * height + y) * pitch
                    for x in range(0, width, LANES):
                        store(m, target + x, load(m, source + x))
    for plane in range(2):
        for y in range(height):
            source = origin + y * row + plane * pitch
            for x in range(width):
                out[plane, y, x] = m[source + x]
    return work


@njit(nogil=True, error_model="numpy")
def _repeat_last(m, planes):  # type: ignore[no-untyped-def]
    """Behind the last pixel of a row, u and v repeat it."""
    for y in range(planes.height):
        for plane in (U, V):
            row = planes.origin + (y * PLANES + plane) * planes.pitch
            m[row + planes.width] = m[row + planes.width - 1]


@njit(nogil=True, error_model="numpy")
def _refine(m, arena, rules, planes, corners, level, first):  # type: ignore[no-untyped-def]
    """All warps of one level; gives the pixel-iterations that it took."""
    origin, pitch, height, width, _ = planes
    errors, weights = arena.errors, rules.weights
    threshold = rules.epsilon * rules.epsilon * np.float32(height * width)
    lay_out_quads(m, _image(arena, level, 1 - first), arena.quads, rules.repeats)
    total = 0
    for _ in range(rules.warps):
        warp(m, planes, arena, arena.frames[level, first], rules.cubic, corners)
        reached = False
        iteration = 0
        predicted = np.float32(0)
        for _ in range(rules.outer):
            if reached:
                break
            if rules.median:
                for plane in (U, V):
                    image = Image(origin + plane * pitch, PLANES * pitch, height, width)
                    median_5x5(m, image, arena.scratch)
                _repeat_last(m, planes)
            opens = True
            iterations = 0
            while iterations < rules.inner and not reached:
                # iterations that no check can end are run together with the one that is checked
                count, checked = 0, False
                while count < TOGETHER and iterations + count < rules.inner and not checked:
                    checked = not rules.predicts or (iteration % 2 == 1 and predicted < threshold)
                    predicted -= threshold
                    iteration += 1
                    count += 1
                iterate(m, planes, weights, count, opens, errors)
                opens = False
                iterations += count
                if checked:
                    predicted = m[errors + (count - 1) * LANES]
                    reached = predicted <= threshold
            total += iterations
            close(m, planes, weights, errors)
    return total * height * width
