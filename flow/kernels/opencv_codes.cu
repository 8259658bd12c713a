// Flow that OpenCV left in a GpuMat (rows of interleaved x and y, each row `pitch` bytes after the
// one before) to codes in two planes. The code of v is how many of the 255 ascending thresholds are
// at most v: nothing but comparisons, so it is the host's code for every quantiser.

extern "C" __global__ void opencv_codes(
    const char* flow, size_t pitch, int height, int width, const float* thresholds,
    unsigned char* codes)
{
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= height * width) return;
    const int row = pixel / width, column = pixel % width;
    const float* at = (const float*)(flow + row * pitch) + 2 * column;
    for (int part = 0; part < 2; ++part) {
        int code = 0;
        for (int half = 128; half > 0; half >>= 1) {
            if (at[part] >= thresholds[code + half - 1]) code += half;
        }
        codes[(size_t)part * height * width + pixel] = (unsigned char)code;
    }
}
