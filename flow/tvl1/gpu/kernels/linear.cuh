// Linear interpolation along one axis, for images and flow alike.
//
// It has the two rules of the presets: `shift` 0.5 keeps pixel centres where they are (opencv-cpu),
// 0 keeps the first corner (opencv-cuda). `step` is the pixels of the source for one of the result.
#pragma once

struct Taps {
    int low, high;
    float part;  // of `high`
};

__device__ __forceinline__ Taps linear_taps(int at, double step, double shift, int limit)
{
    // in double, as NumPy has it: a float's error here would grow on its way to the finest level
    const double exact = (at + shift) * step - shift;
    const float place = fminf(fmaxf((float)exact, 0.0f), limit - 1.0f);
    Taps taps;
    taps.low = int(place);
    taps.high = min(taps.low + 1, limit - 1);
    taps.part = place - taps.low;
    return taps;
}
