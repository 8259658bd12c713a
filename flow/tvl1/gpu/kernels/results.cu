// What a level leaves: its flow on the next finer level, as floats, or as one byte a component.
#include "codes.cuh"
#include "control.cuh"
#include "linear.cuh"

__device__ __forceinline__ const float2* present_flow(
    const Pair* pairs, const float2* flow_0, const float2* flow_1, int area)
{
    return (pairs[blockIdx.y].flow_at ? flow_1 : flow_0) + (size_t)blockIdx.y * area;
}

__device__ __forceinline__ float2 between(float2 low, float2 high, float part)
{
    return make_float2(low.x * (1.0f - part) + high.x * part, low.y * (1.0f - part) + high.y * part);
}

extern "C" __global__ void grow_flow(
    const Pair* pairs, const float2* flow_0, const float2* flow_1, float2* fine, int width,
    int height, int fine_width, int fine_height, double step_x, double step_y, double shift,
    float factor)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= fine_width * fine_height) return;
    const float2* const flow = present_flow(pairs, flow_0, flow_1, width * height);
    const Taps x = linear_taps(at % fine_width, step_x, shift, width);
    const Taps y = linear_taps(at / fine_width, step_y, shift, height);
    const float2* const upper = flow + y.low * width;
    const float2* const lower = flow + y.high * width;
    const float2 above = between(upper[x.low], upper[x.high], x.part);
    const float2 below = between(lower[x.low], lower[x.high], x.part);
    const float2 value = between(above, below, y.part);
    fine[(size_t)blockIdx.y * fine_width * fine_height + at] =
        make_float2(value.x * factor, value.y * factor);
}

extern "C" __global__ void write_flow(
    const Pair* pairs, const float2* flow_0, const float2* flow_1, float* planes, int area)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= area) return;
    const float2 value = present_flow(pairs, flow_0, flow_1, area)[at];
    float* const out = planes + (size_t)blockIdx.y * 2 * area;
    out[at] = value.x;
    out[area + at] = value.y;
}

extern "C" __global__ void write_codes(
    const Pair* pairs, const float2* flow_0, const float2* flow_1, const float* thresholds,
    unsigned char* codes, int area)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= area) return;
    const float2 value = present_flow(pairs, flow_0, flow_1, area)[at];
    unsigned char* const out = codes + (size_t)blockIdx.y * 2 * area;
    out[at] = code_of(value.x, thresholds);
    out[area + at] = code_of(value.y, thresholds);
}
