// What the solver starts from: grey levels, the coarser levels, gradients, no flow.
//
// One thread a pixel; blockIdx.y counts images or pairs.
#include "linear.cuh"

extern "C" __global__ void grey_levels(const unsigned char* frames, float* images, int area)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= area) return;
    images[(size_t)blockIdx.y * area + at] = frames[(size_t)blockIdx.y * area + at];
}

extern "C" __global__ void shrink(
    const float* fine, float* coarse, int fine_width, int fine_height, int width, int height,
    double step, double shift)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= width * height) return;
    const float* const image = fine + (size_t)blockIdx.y * fine_width * fine_height;
    const Taps x = linear_taps(at % width, step, shift, fine_width);
    const Taps y = linear_taps(at / width, step, shift, fine_height);
    const float* const upper = image + (size_t)y.low * fine_width;
    const float* const lower = image + (size_t)y.high * fine_width;
    const float above = upper[x.low] * (1.0f - x.part) + upper[x.high] * x.part;
    const float below = lower[x.low] * (1.0f - x.part) + lower[x.high] * x.part;
    coarse[(size_t)blockIdx.y * width * height + at] = above * (1.0f - y.part) + below * y.part;
}

// Grey level and its central differences together, so that a tap of the warp is one load.
extern "C" __global__ void add_gradients(const float* images, float4* taps, int width, int height)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= width * height) return;
    const float* const image = images + (size_t)blockIdx.y * width * height;
    const int x = at % width, y = at / width;
    const float* const row = image + y * width;
    const float gx = 0.5f * (row[min(x + 1, width - 1)] - row[max(x - 1, 0)]);
    const float gy =
        0.5f * (image[min(y + 1, height - 1) * width + x] - image[max(y - 1, 0) * width + x]);
    taps[(size_t)blockIdx.y * width * height + at] = make_float4(row[x], gx, gy, 0.0f);
}

extern "C" __global__ void no_flow(float2* flow, int area)
{
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at < area) flow[(size_t)blockIdx.y * area + at] = make_float2(0.0f, 0.0f);
}
