#pragma once

// How many of the 255 ascending thresholds lie at or under `value`: its code. The host finds the
// thresholds with the quantiser itself, so every rule gives the very codes that it gives there.
__device__ __forceinline__ unsigned char code_of(float value, const float* thresholds)
{
    int code = 0;
#pragma unroll
    for (int half = 128; half > 0; half /= 2)
        if (value >= thresholds[code + half - 1]) code += half;
    return (unsigned char)code;
}
