// The data term of one warp: the second frame and its gradients read where the flow points.
#pragma once

// Keys' cubic kernel at the taps -1, 0, 1, 2 around a point `t` past tap 0.
__device__ __forceinline__ void cubic_weights(float t, float a, float weight[4])
{
    const float far0 = 1.0f + t, near1 = 1.0f - t, far1 = 2.0f - t;
    weight[0] = ((a * far0 - 5.0f * a) * far0 + 8.0f * a) * far0 - 4.0f * a;
    weight[1] = ((a + 2.0f) * t - (a + 3.0f)) * t * t + 1.0f;
    weight[2] = ((a + 2.0f) * near1 - (a + 3.0f)) * near1 * near1 + 1.0f;
    weight[3] = ((a * far1 - 5.0f * a) * far1 + 8.0f * a) * far1 - 4.0f * a;
}

// `second` holds grey level, x and y gradient a pixel. `zero_outside` is the rule of opencv-cpu;
// otherwise edges repeat and the sum is divided by the sum of the weights.
// Gives n.x, n.y, rho / length at no flow, and the longest step: see iterate.cuh.
__device__ __forceinline__ float4 data_term(
    float first, const float4* second, float2 flow, int x, int y, int width, int height,
    bool zero_outside, float lambda_theta)
{
    // further out than this nothing changes, and the integers below stay small
    const float at_x = fminf(fmaxf(x + flow.x, -4.0f), width + 3.0f);
    const float at_y = fminf(fmaxf(y + flow.y, -4.0f), height + 3.0f);
    const float floor_x = floorf(at_x), floor_y = floorf(at_y);
    float weight_x[4], weight_y[4];
    const float a = zero_outside ? -0.75f : -0.5f;
    cubic_weights(at_x - floor_x, a, weight_x);
    cubic_weights(at_y - floor_y, a, weight_y);

    float level = 0.0f, gx = 0.0f, gy = 0.0f, total = 0.0f;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
        const int row = int(floor_y) + j - 1;
        const int near_row = min(max(row, 0), height - 1);
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const int column = int(floor_x) + i - 1;
            const int near_column = min(max(column, 0), width - 1);
            const float4 tap = second[near_row * width + near_column];
            float weight = weight_y[j] * weight_x[i];
            if (zero_outside && (row != near_row || column != near_column)) weight = 0.0f;
            level += weight * tap.x;
            gx += weight * tap.y;
            gy += weight * tap.z;
            total += weight;
        }
    }
    if (!zero_outside) {
        // correctly rounded, so that a frame warped by no flow is the frame itself
        level = __fdiv_rn(level, total);
        gx = __fdiv_rn(gx, total);
        gy = __fdiv_rn(gy, total);
    }
    const float square = gx * gx + gy * gy;
    if (!(square > 1e-20f)) return make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    const float rho = level - gx * flow.x - gy * flow.y - first;
    const float shrink = rsqrtf(square);
    return make_float4(gx * shrink, gy * shrink, rho * shrink, lambda_theta * square * shrink);
}
