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

struct Exchange {
    float4* data;    // [TILE_HEIGHT][2][LANES]: n.x, n.y, rho / length, longest step
    float4* bottom;  // [WARPS][LANES]: the y duals of each warp's last row, for the warp below
    float4* top;     // [WARPS][LANES]: the flow of each warp's first row, for the warp above
    float* error;    // [MAX_HALO][WARPS]: sums of squared updates of owned pixels
};

struct Owned {
    bool column[2];
    int first_row, end_row;  // of this thread's rows
};

__device__ __forceinline__ float clamp_step(float4 d, float u, float v)
{
    return fminf(fmaxf(d.z + d.x * u + d.y * v, -d.w), d.w);
}

template <bool MEASURE>
__device__ __forceinline__ float primal_step(
    Strip& s, const float4* data, float4 up, float theta, int lane, const Owned& owned)
{
    float error = 0.0f;
    float above[2][2] = {{up.x, up.y}, {up.z, up.w}};
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
        const float4 d0 = data[(2 * r) * LANES];
        const float4 d1 = data[(2 * r + 1) * LANES];
        const float t0 = clamp_step(d0, s.u[0][r][0], s.u[1][r][0]);
        const float t1 = clamp_step(d1, s.u[0][r][1], s.u[1][r][1]);
        float square0 = 0.0f, square1 = 0.0f;
#pragma unroll
        for (int c = 0; c < 2; ++c) {
            float left = __shfl_up_sync(ALL_LANES, s.p[c][0][r][1], 1);
            left = lane == 0 ? 0.0f : left;  // no dual enters through the border
            const float div0 = (s.p[c][0][r][0] - left) + (s.p[c][1][r][0] - above[c][0]);
            const float div1 =
                (s.p[c][0][r][1] - s.p[c][0][r][0]) + (s.p[c][1][r][1] - above[c][1]);
            above[c][0] = s.p[c][1][r][0];
            above[c][1] = s.p[c][1][r][1];
            const float new0 = s.u[c][r][0] - (c ? d0.y : d0.x) * t0 + theta * div0;
            const float new1 = s.u[c][r][1] - (c ? d1.y : d1.x) * t1 + theta * div1;
            if (MEASURE) {
                const float change0 = new0 - s.u[c][r][0];
                const float change1 = new1 - s.u[c][r][1];
                square0 += change0 * change0;
                square1 += change1 * change1;
            }
            s.u[c][r][0] = new0;
            s.u[c][r][1] = new1;
        }
        if (MEASURE && r >= owned.first_row && r < owned.end_row)
            error += (owned.column[0] ? square0 : 0.0f) + (owned.column[1] ? square1 : 0.0f);
    }
    return error;
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

// `steps` iterations from `flow`, `dual` to `flow_out`, `dual_out`, all of them (height, width).
// Bit i of `measured` asks for the sum of squared updates of iteration i.
template <bool CLIPPED>
__device__ __forceinline__ void iterate(
    const Tile& tile, int width, int height, int steps, unsigned measured, bool dual_is_zero,
    float theta, float taut, const float2* flow, const float4* dual, const float4* data,
    float2* flow_out, float4* dual_out, const Exchange& exchange)
{
    const int lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    const int x = tile.x + 2 * lane, y = tile.y + warp * ROWS;
    float4* const own_data = exchange.data + warp * ROWS * 2 * LANES + lane;
    const float4 nothing = make_float4(0.0f, 0.0f, 0.0f, 0.0f);

    Strip s;
#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
#pragma unroll
        for (int k = 0; k < 2; ++k) {
            const bool inside = !CLIPPED || (x + k < width && y + r < height);
            const int at = (y + r) * width + x + k;
            const float2 f = inside ? flow[at] : make_float2(0.0f, 0.0f);
            const float4 p = inside && !dual_is_zero ? dual[at] : nothing;
            s.u[0][r][k] = f.x;
            s.u[1][r][k] = f.y;
            s.p[0][0][r][k] = p.x;
            s.p[0][1][r][k] = p.y;
            s.p[1][0][r][k] = p.z;
            s.p[1][1][r][k] = p.w;
            own_data[(2 * r + k) * LANES] = inside ? data[at] : nothing;
        }
    }
    Owned owned;
    owned.column[0] = x >= tile.own_left && x < tile.own_right;
    owned.column[1] = x + 1 >= tile.own_left && x + 1 < tile.own_right;
    owned.first_row = tile.own_top - y;
    owned.end_row = tile.own_bottom - y;

    for (int i = 0; i < steps; ++i) {
        exchange.bottom[warp * LANES + lane] = make_float4(
            s.p[0][1][ROWS - 1][0], s.p[0][1][ROWS - 1][1], s.p[1][1][ROWS - 1][0],
            s.p[1][1][ROWS - 1][1]);
        __syncthreads();
        const float4 up = warp == 0 ? nothing : exchange.bottom[(warp - 1) * LANES + lane];
        if (measured >> i & 1) {
            const float error =
                sum_of_warp(primal_step<true>(s, own_data, up, theta, lane, owned));
            if (lane == 0) exchange.error[i * WARPS + warp] = error;
        } else {
            primal_step<false>(s, own_data, up, theta, lane, owned);
        }
        exchange.top[warp * LANES + lane] =
            make_float4(s.u[0][0][0], s.u[0][0][1], s.u[1][0][0], s.u[1][0][1]);
        __syncthreads();
        const float4 down =
            warp == WARPS - 1
                ? make_float4(s.u[0][ROWS - 1][0], s.u[0][ROWS - 1][1], s.u[1][ROWS - 1][0],
                              s.u[1][ROWS - 1][1])
                : exchange.top[(warp + 1) * LANES + lane];
        dual_step<CLIPPED>(s, down, taut, lane, height - 1 - y, width - 1 - x);
    }

#pragma unroll
    for (int r = 0; r < ROWS; ++r) {
#pragma unroll
        for (int k = 0; k < 2; ++k) {
            if (owned.column[k] && r >= owned.first_row && r < owned.end_row) {
                const int at = (y + r) * width + x + k;
                flow_out[at] = make_float2(s.u[0][r][k], s.u[1][r][k]);
                dual_out[at] = make_float4(
                    s.p[0][0][r][k], s.p[0][1][r][k], s.p[1][0][r][k], s.p[1][1][r][k]);
            }
        }
    }
}
