"""One pair of frames from pyramid to flow, in memory that was laid out beforehand."""

from __future__ import annotations

import numpy as np
from numba import njit

from flow.tvl1.cpu.median import median_5x5
from flow.tvl1.cpu.resize import resize
from flow.tvl1.cpu.simd import LANES, load, splat, store
from flow.tvl1.cpu.sweep import PLANES, U, V, close, iterate
from flow.tvl1.cpu.warp import lay_out_quads, warp

# columns of the plan's table, a row a level; indices count floats in the arena
HEIGHT, WIDTH, PITCH, FIRST_FRAME, SECOND_FRAME = 0, 1, 2, 3, 4
SHRINK_ROWS, SHRINK_COLUMNS = 5, 6
"""Where in the tap tables the taps lie that make this level's image of the finer one's."""
GROW_ROWS, GROW_COLUMNS = 7, 8
"""... and those that make this level's flow of the coarser one's."""
MASK = 9
LEVEL_COLUMNS = 10

# the other indices into the arena
STATE, QUADS, COARSE, COLUMNS, SCRATCH, ERRORS = 0, 1, 2, 3, 4, 5
PLACES = 6

TOGETHER = 4
"""Most iterations whose rows are interleaved: as many rows stay in the nearest caches."""

# numbers
REACH, THETA, TAUT, EPSILON, CUBIC, GROWTH = 0, 1, 2, 3, 4, 5
# whole numbers
WARPS, OUTER, INNER, MEDIAN, PREDICTS, REPEATS = 0, 1, 2, 3, 4, 5


@njit(nogil=True, error_model="numpy")
def build_pyramid(m, levels, places, low, fraction, slot, frame):  # type: ignore[no-untyped-def]
    """A frame, uint8 (H, W), as float32 on every level; `slot` is FIRST_FRAME or SECOND_FRAME."""
    for y in range(levels[0, HEIGHT]):
        row = levels[0, slot] + y * levels[0, PITCH]
        for x in range(levels[0, WIDTH]):
            m[row + x] = np.float32(frame[y, x])
    for level in range(1, levels.shape[0]):
        resize(
            m, levels[level - 1, slot], levels[level - 1, PITCH], levels[level - 1, WIDTH],
            levels[level, slot], levels[level, PITCH], levels[level, HEIGHT],
            levels[level, WIDTH], low, fraction, levels[level, SHRINK_ROWS],
            levels[level, SHRINK_COLUMNS], np.float32(1), places[SCRATCH],
        )  # fmt: skip


@njit(nogil=True, error_model="numpy")
def solve(m, levels, places, low, fraction, corners, numbers, wholes, first, second, out):  # type: ignore[no-untyped-def]
    """Flow between the frames in two slots to `out`, float32 (2, H, W). Gives pixel-iterations."""
    work = 0
    state = places[STATE]
    coarsest = levels.shape[0] - 1
    for level in range(coarsest, -1, -1):
        height, width, pitch = levels[level, HEIGHT], levels[level, WIDTH], levels[level, PITCH]
        row = PLANES * pitch
        origin = state + LANES + row
        nothing = splat(np.float32(0))
        for i in range(state, origin + (height + 1) * row, LANES):
            store(m, i, nothing)
        if level < coarsest:
            for plane in range(2):
                coarse_pitch = levels[level + 1, PITCH]
                resize(
                    m, places[COARSE] + plane * levels[level + 1, HEIGHT] * coarse_pitch,
                    coarse_pitch, levels[level + 1, WIDTH], origin + plane * pitch, row, height,
                    width, low, fraction, levels[level, GROW_ROWS], levels[level, GROW_COLUMNS],
                    numbers[GROWTH], places[SCRATCH],
                )  # fmt: skip
            for y in range(height):
                for plane in range(2):
                    end = origin + y * row + plane * pitch + width
                    m[end] = m[end - 1]
        work += _refine(m, levels[level], places, corners, numbers, wholes, first, second)
        if level > 0:
            for plane in range(2):
                for y in range(height):
                    source = origin + y * row + plane * pitch
                    target = places[COARSE] + (plane * height + y) * pitch
                    for x in range(0, width, LANES):
                        store(m, target + x, load(m, source + x))
    for plane in range(2):
        for y in range(height):
            source = origin + y * row + plane * pitch
            for x in range(width):
                out[plane, y, x] = m[source + x]
    return work


@njit(nogil=True, error_model="numpy")
def _refine(m, level, places, corners, numbers, wholes, first, second):  # type: ignore[no-untyped-def]
    """All warps of one level; gives the pixel-iterations that it took."""
    height, width, pitch = level[HEIGHT], level[WIDTH], level[PITCH]
    row = PLANES * pitch
    origin = places[STATE] + LANES + row
    quad_pitch = 4 * pitch
    mask, errors = level[MASK], places[ERRORS]
    reach, theta, taut = numbers[REACH], numbers[THETA], numbers[TAUT]
    threshold = numbers[EPSILON] * numbers[EPSILON] * np.float32(height * width)
    lay_out_quads(
        m, level[second], pitch, height, width, places[QUADS], quad_pitch, wholes[REPEATS] != 0
    )
    total = 0
    for _ in range(wholes[WARPS]):
        warp(
            m, origin, pitch, height, width, level[first], pitch, places[QUADS], quad_pitch,
            places[COLUMNS], corners, numbers[CUBIC], places[SCRATCH],
        )  # fmt: skip
        reached = False
        iteration = 0
        predicted = np.float32(0)
        for _ in range(wholes[OUTER]):
            if reached:
                break
            if wholes[MEDIAN]:
                for plane in (U, V):
                    median_5x5(m, origin + plane * pitch, row, height, width, places[SCRATCH])
                    for y in range(height):
                        end = origin + y * row + plane * pitch + width
                        m[end] = m[end - 1]
            opens = True
            done = 0
            while done < wholes[INNER] and not reached:
                # iterations that no check can end are run together with the one that is checked
                count, checked = 0, False
                while count < TOGETHER and done + count < wholes[INNER] and not checked:
                    checked = not wholes[PREDICTS] or (iteration % 2 == 1 and predicted < threshold)
                    predicted -= threshold
                    iteration += 1
                    count += 1
                iterate(
                    m, origin, pitch, height, width, count, opens, mask, reach, theta, taut, errors
                )  # fmt: skip
                opens = False
                done += count
                if checked:
                    predicted = m[errors + (count - 1) * LANES]
                    reached = predicted <= threshold
            total += done
            close(m, origin, pitch, height, width, mask, reach, theta, taut, errors)
    return total * height * width
