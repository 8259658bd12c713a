// Flow that OpenCV left in a GpuMat (rows of interleaved x and y, each row `pitch` bytes after the
// one before) to codes in two planes.
#include "codes.cuh"

extern "C" __global__ void opencv_codes(
    const char* flow, size_t pitch, int height, int width, const float* thresholds,
    unsigned char* codes)
{
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= height * width) return;
    const int row = pixel / width, column = pixel % width;
    const float* at = (const float*)(flow + row * pitch) + 2 * column;
    codes[pixel] = code_of(at[0], thresholds);
    codes[(size_t)height * width + pixel] = code_of(at[1], thresholds);
}
