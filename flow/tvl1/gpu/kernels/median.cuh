// Median of 25, of two values at once: the flow's x and y.
#pragma once

__device__ __forceinline__ void order(float2& low, float2& high)
{
    const float2 a = low, b = high;
    low = make_float2(fminf(a.x, b.x), fminf(a.y, b.y));
    high = make_float2(fmaxf(a.x, b.x), fmaxf(a.y, b.y));
}

// The 5x5 median of `flow` around (x, y); the border repeats.
// Of 14 of the 25 values the least and the greatest cannot be the median: drop both, take in one
// more, and go on until three are left.
__device__ __forceinline__ float2 median_5x5(
    const float2* flow, int x, int y, int width, int height)
{
    float2 kept[14];
    int taken = 0;
#pragma unroll
    for (int j = -2; j <= 2; ++j) {
        const int row = min(max(y + j, 0), height - 1) * width;
#pragma unroll
        for (int i = -2; i <= 2; ++i) {
            const float2 value = flow[row + min(max(x + i, 0), width - 1)];
            if (taken < 14) {
                kept[taken] = value;
            } else {
                const int count = 28 - taken;  // still in play: 14 down to 4
                // pairs first: a minimum lies among the lower, a maximum among the higher
#pragma unroll
                for (int k = 0; k < count / 2; ++k) order(kept[k], kept[count - 1 - k]);
#pragma unroll
                for (int k = 1; k < (count + 1) / 2; ++k) order(kept[0], kept[k]);
#pragma unroll
                for (int k = count / 2; k < count - 1; ++k) order(kept[k], kept[count - 1]);
                kept[0] = value;  // the least makes room; the greatest falls off the end
            }
            ++taken;
        }
    }
    order(kept[0], kept[1]);
    order(kept[1], kept[2]);
    order(kept[0], kept[1]);
    return kept[1];
}
