// What a device can do at most, for the benchmark: bytes, multiply-adds and special functions.
// CHAINS comes from the compiler's options: see gpu/layout.py.

extern "C" __global__ void copy_memory(const float4* from, float4* to, int count)
{
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < count; i += gridDim.x * blockDim.x)
        to[i] = from[i];
}

extern "C" __global__ void multiply_add(float* out, int rounds, float factor)
{
    float value[CHAINS];
#pragma unroll
    for (int c = 0; c < CHAINS; ++c) value[c] = threadIdx.x + c;
    for (int i = 0; i < rounds; ++i) {
#pragma unroll
        for (int c = 0; c < CHAINS; ++c) value[c] = value[c] * factor + 1.0f;
    }
    float sum = 0.0f;
#pragma unroll
    for (int c = 0; c < CHAINS; ++c) sum += value[c];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}

extern "C" __global__ void special_functions(float* out, int rounds)
{
    float value[CHAINS];
#pragma unroll
    for (int c = 0; c < CHAINS; ++c) value[c] = threadIdx.x + c + 2.0f;
    for (int i = 0; i < rounds; ++i) {
#pragma unroll
        for (int c = 0; c < CHAINS; ++c) value[c] = rsqrtf(value[c]);
    }
    float sum = 0.0f;
#pragma unroll
    for (int c = 0; c < CHAINS; ++c) sum += value[c];
    out[blockIdx.x * blockDim.x + threadIdx.x] = sum;
}
