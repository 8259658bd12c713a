// Several iterations of the dual ascent on one tile, kept in registers.
//
//   v  = u + the least change that brings rho to 0, no longer than lambda theta |grad I1w|
//   u' = v + theta div p
//   p' = (p + tau/theta grad u') / (1 + tau/theta |grad u'|)
//
// The data term is kept as a unit vector n along grad I1w, rho over its length at no flow, and the
// longest step: the clipped step is then two multiply-adds and a clamp, and no division.
#pragma once
#include "tile.cuh"

// What a thread holds: [component][row][column], and [component][direction][row][column].
struct Strip {
    float u[2][ROWS][2];
    float p[2][2][ROWS][2];
};

// When to stop, and how many iterations there may be; in shared memory, as Task is.
struct Rules {
    double threshold;  // the sum of squared updates at which to stop
    int warps, outer, inner, median;
    bool predicts;     // measure on odd iterations, and only where the prediction is low enough
};

// What the block does now; in shared memory, so that it costs no registers in the iterations.
struct alignas(8) Task {
    int pair, index;  // which tile of which pair
    Tile tile;
    int phase;
    int flow_at, dual_at;
    int dual_is_zero;
    int steps;
    unsigned measured;  // bit i asks for the sum of squared updates of iteration i
    int is_last;        // of the tasks of its step
};

static_assert(sizeof(Task) == TASK_BYTES && sizeof(Rules) == RULES_BYTES,
              "gpu/layout.py knows other sizes");

extern __shared__ float4 block_memory[];

// Shared memory of a block: sections of rows of LANES values, one section a warp. First the flow of
// the warp's first row of pixels; then two rows of data terms for each row of pixels, as a lane has
// two columns; last the y duals of its last row. So the row before a section is what comes down
// from the warp above, and the row after it what comes up from the warp below. Before the first
// section lies a row of zeros, and after the last one the flow of the tile's own last row.
#define SECTION ((2 * ROWS + 2) * LANES)
#define SECTIONS (block_memory + LANES)
#define ERRORS ((double*)(SECTIONS + WARPS * SECTION + LANES))  // [MAX_HALO]: of all tiles
#define WARP_ERRORS ((float*)(ERRORS + MAX_HALO))  // [MAX_HALO][WARPS]: of this tile
#define RULES (*(Rules*)(WARP_ERRORS + MAX_HALO * WARPS))
#define TASK (*(Task*)(&RULES + 1))

__device__ __forceinline__ float clamp_step(float4 d, float u, float v)
{
    return fminf(fmaxf(d.z + d.x * u + d.y * v, -d.w), d.w);
}

// With MEASURE, gives the sums of squared updates of the thread's two columns over the rows whose
// bits are set in `own_rows`.
template <bool MEASURE>
__device__ __forceinline__ float2 primal_step(
    Strip& s, const float4* terms, const float4* up, float theta, int lane, unsigned own_rows)
{
    float error0 = 0.0f, error1 = 0.0f;
    float above[2][2] = {{up->x, up->y}, {up->z, up->w}};
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        const float4 d0 = terms[(2 * r) * LANES];
        const float4 d1 = terms[(2 * r + 1) * LANES];
        const float t0 = clamp_step(d0, s.u[0][r][0], s.u[1][r][0]);
        const float t1 = clamp_step(d1, s.u[0][r][1], s.u[1][r][1]);
        const bool own_row = MEASURE && (own_rows >> r & 1);
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            float left = __shfl_up_sync(ALL_LANES, s.p[c][0][r][1], 1);
            left = lane == 0 ? 0.0f : left;  // no dual enters through the border
            const float div0 = (s.p[c][0][r][0] - left) + (s.p[c][1][r][0] - above[c][0]);
            const float div1 =
                (s.p[c][0][r][1] - s.p[c][0][r][0]) + (s.p[c][1][r][1] - above[c][1]);
            above[c][0] = s.p[c][1][r][0];
            above[c][1] = s.p[c][1][r][1];
            const float n0 = c ? d0.y : d0.x, n1 = c ? d1.y : d1.x;
            if (MEASURE) {
                // the change first: old and new flow side by side would not fit the registers
                const float change0 = theta * div0 - n0 * t0, change1 = theta * div1 - n1 * t1;
                error0 += own_row ? change0 * change0 : 0.0f;
                error1 += own_row ? change1 * change1 : 0.0f;
                s.u[c][r][0] += change0;
                s.u[c][r][1] += change1;
            } else {
                s.u[c][r][0] = s.u[c][r][0] - n0 * t0 + theta * div0;
                s.u[c][r][1] = s.u[c][r][1] - n1 * t1 + theta * div1;
            }
        }
    }
    return make_float2(error0, error1);
}

// `CLIPPED`: the tile reaches past the image, whose last row and column lie inside it.
template <bool CLIPPED>
__device__ __forceinline__ void dual_step(
    Strip& s, float4 down, float taut, int lane, int last_row, int last_column)
{
    const float below_strip[2][2] = {{down.x, down.y}, {down.z, down.w}};
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            const float u0 = s.u[c][r][0], u1 = s.u[c][r][1];
            float right0 = u1;
            float right1 = __shfl_down_sync(ALL_LANES, u0, 1);
            right1 = lane == LANES - 1 ? u1 : right1;
            float below0 = r == ROWS - 1 ? below_strip[c][0] : s.u[c][r == ROWS - 1 ? r : r + 1][0];
            float below1 = r == ROWS - 1 ? below_strip[c][1] : s.u[c][r == ROWS - 1 ? r : r + 1][1];
            if (CLIPPED) {
                right0 = last_column == 0 ? u0 : right0;
                right1 = last_column == 1 ? u1 : right1;
                below0 = last_row == r ? u0 : below0;
                below1 = last_row == r ? u1 : below1;
            }
            const float x0 = right0 - u0, y0 = below0 - u0;
            const float x1 = right1 - u1, y1 = below1 - u1;
            const float scale0 = 1.0f / (1.0f + taut * sqrtf(x0 * x0 + y0 * y0));
            const float scale1 = 1.0f / (1.0f + taut * sqrtf(x1 * x1 + y1 * y1));
            s.p[c][0][r][0] = (s.p[c][0][r][0] + taut * x0) * scale0;
            s.p[c][1][r][0] = (s.p[c][1][r][0] + taut * y0) * scale0;
            s.p[c][0][r][1] = (s.p[c][0][r][1] + taut * x1) * scale1;
            s.p[c][1][r][1] = (s.p[c][1][r][1] + taut * y1) * scale1;
        }
    }
}

__device__ __forceinline__ float sum_of_warp(float value)
{
#pragma unroll
    for (int offset = LANES / 2; offset > 0; offset /= 2)
        value += __shfl_down_sync(ALL_LANES, value, offset);
    return value;
}

// All pairs of a level: flow and duals in two buffers each, and the data terms.
struct State {
    float2* flow_0;
    float2* flow_1;
    float4* dual_0;
    float4* dual_1;
    float4* terms;
};

// The iterations of TASK, from one of the buffers to the other.
template <bool CLIPPED>
__device__ __forceinline__ void iterate(
    const State& state, Size size, float theta, float taut)
{
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const float4 nothing = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    float4* const section = SECTIONS + warp * SECTION + lane;
    float4* const terms = section + LANES;
    float4* const bottom = section + SECTION - LANES;
    Strip s;
    {
        const int x = TASK.tile.x + 2 * lane, y = TASK.tile.y + warp * ROWS;
        const size_t start = (size_t)TASK.pair * size.width * size.height;
        const float2* const flow = (TASK.flow_at ? state.flow_1 : state.flow_0) + start;
        const float4* const dual = (TASK.dual_at ? state.dual_1 : state.dual_0) + start;
        const float4* const data_terms = state.terms + start;
        const bool no_dual = TASK.dual_is_zero != 0;
#pragma unroll
        for (int i = 0; i < 2 * ROWS; ++i) {
            const int r = i / 2, k = i % 2;
            const bool inside = !CLIPPED || (x + k < size.width && y + r < size.height);
            terms[i * LANES] = inside ? data_terms[(y + r) * size.width + x + k] : nothing;
        }
#pragma unroll
        for (int i = 0; i < 2 * ROWS; ++i) {
            const int r = i / 2, k = i % 2;
            const bool inside = !CLIPPED || (x + k < size.width && y + r < size.height);
            const int at = (y + r) * size.width + x + k;
            const float2 f = inside ? flow[at] : make_float2(0.0f, 0.0f);
            const float4 p = inside && !no_dual ? dual[at] : nothing;
            s.u[0][r][k] = f.x;
            s.u[1][r][k] = f.y;
            s.p[0][0][r][k] = p.x;
            s.p[0][1][r][k] = p.y;
            s.p[1][0][r][k] = p.z;
            s.p[1][1][r][k] = p.w;
        }
    }

    for (int i = 0; i < TASK.steps; ++i) {
        *bottom = make_float4(s.p[0][1][ROWS - 1][0], s.p[0][1][ROWS - 1][1],
                              s.p[1][1][ROWS - 1][0], s.p[1][1][ROWS - 1][1]);
        __syncthreads();
        if (TASK.measured >> i & 1) {
            const int y = TASK.tile.y + warp * ROWS;
            const int skip = min(max(TASK.tile.own_top - y, 0), ROWS);
            const int end = min(max(TASK.tile.own_bottom - y, 0), ROWS);
            const unsigned own_rows = ((1u << end) - 1) & ~((1u << skip) - 1);
            const float2 error = primal_step<true>(s, terms, section - LANES, theta, lane, own_rows);
            const int x = TASK.tile.x + 2 * lane;
            const float sum = sum_of_warp(
                (x >= TASK.tile.own_left && x < TASK.tile.own_right ? error.x : 0.0f) +
                (x + 1 >= TASK.tile.own_left && x + 1 < TASK.tile.own_right ? error.y : 0.0f));
            if (lane == 0) WARP_ERRORS[i * WARPS + warp] = sum;
        } else {
            primal_step<false>(s, terms, section - LANES, theta, lane, 0);
        }
        section[0] = make_float4(s.u[0][0][0], s.u[0][0][1], s.u[1][0][0], s.u[1][0][1]);
        if (warp == WARPS - 1)
            section[SECTION] = make_float4(s.u[0][ROWS - 1][0], s.u[0][ROWS - 1][1],
                                           s.u[1][ROWS - 1][0], s.u[1][ROWS - 1][1]);
        __syncthreads();
        const float4 down = section[SECTION];
        const int last_row = CLIPPED ? size.height - 1 - TASK.tile.y - warp * ROWS : 0;
        const int last_column = CLIPPED ? size.width - 1 - TASK.tile.x - 2 * lane : 0;
        dual_step<CLIPPED>(s, down, taut, lane, last_row, last_column);
    }

    const int x = TASK.tile.x + 2 * lane, y = TASK.tile.y + warp * ROWS;
    const size_t start = (size_t)TASK.pair * size.width * size.height;
    float2* const flow_out = (TASK.flow_at ? state.flow_0 : state.flow_1) + start;
    float4* const dual_out = (TASK.dual_at ? state.dual_0 : state.dual_1) + start;
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        const bool own_row = y + r >= TASK.tile.own_top && y + r < TASK.tile.own_bottom;
#pragma unroll
        for (int k = 0; k < 2; ++k) {
            if (own_row && x + k >= TASK.tile.own_left && x + k < TASK.tile.own_right) {
                const int at = (y + r) * size.width + x + k;
                flow_out[at] = make_float2(s.u[0][r][k], s.u[1][r][k]);
                dual_out[at] = make_float4(
                    s.p[0][0][r][k], s.p[0][1][r][k], s.p[1][0][r][k], s.p[1][1][r][k]);
            }
        }
    }
}
