// All warps and iterations of one pyramid level, for all pairs of a batch, in one launch.
//
// The work of a pair is a chain of steps (linearise, filter, iterate) of `tiles` tasks each; its
// next step may start when all tasks of this one are done. A queue holds the steps that may
// start: a block takes a ticket, which names a step and a tile, does that task, and takes another.
// The last block of a step decides how its pair goes on and puts the next step into the queue.
// Pairs go their own ways: one that needs five iterations does not wait for one that needs 300.
// Only some pairs are under way at a time, so that their state stays in the L2 cache; each one
// that is done lets in the next.
//
// A block that waits for a ticket waits for work that a block with an earlier ticket is doing, so
// there is no deadlock, whatever the number of blocks that run at once.
//
// Memory: what a task writes is released by a barrier, a fence and an atomic of thread 0, and
// acquired by thread 0's look at the queue, a fence and a barrier (as cooperative groups do it).
#include "control.cuh"
#include "median.cuh"
#include "warp.cuh"

struct Queue {
    int tickets;    // tasks handed out
    int steps;      // put into the queue
    int admitted;   // pairs that have been let in
    int unfinished; // pairs
    int blocks;     // that still take tickets
    int unused[3];
};

static_assert(sizeof(Queue) == QUEUE_BYTES, "gpu/layout.py knows another size");

#define NO_PAIR (-1)
#define NOT_IN_LINE __device__ __attribute__((noinline))

// Wait for the next task and describe it in TASK; NO_PAIR when there is none for this block.
NOT_IN_LINE void take_task(
    Queue* queue, const int* steps, const Pair* pairs, int tiles_x, int tiles_y, Size size,
    int halo)
{
    const int tiles = tiles_x * tiles_y;
    TASK.pair = NO_PAIR;
    // no more than `tiles` tasks of a pair can run at once: let other kernels have the room
    const int needed = atomicAdd(&queue->unfinished, 0) * tiles;
    if (atomicAdd(&queue->blocks, 0) > needed) {
        if (atomicSub(&queue->blocks, 1) > needed) return;
        atomicAdd(&queue->blocks, 1);
    }
    const int ticket = atomicAdd(&queue->tickets, 1);
    const volatile int* step = steps + ticket / tiles;
    int pair_and_one = *step;
    while (pair_and_one == 0) {
        if (atomicAdd(&queue->unfinished, 0) == 0) return;
        __nanosleep(100);
        pair_and_one = *step;
    }
    __threadfence();
    const Pair& pair = pairs[pair_and_one - 1];
    TASK.pair = pair_and_one - 1;
    TASK.index = ticket % tiles;
    TASK.tile = make_tile(TASK.index, tiles_x, tiles_y, size.width, size.height, halo);
    TASK.phase = pair.phase;
    TASK.flow_at = pair.flow_at;
    TASK.dual_at = pair.dual_at;
    TASK.dual_is_zero = pair.dual_is_zero;
    TASK.steps = pair.steps;
    TASK.measured = pair.measured;
}

__device__ __forceinline__ void put_step(Queue* queue, int* steps, int pair)
{
    __threadfence();
    const int place = atomicAdd(&queue->steps, 1);
    atomicExch(steps + place, pair + 1);
}

extern "C" __global__ void start_level(
    Queue* queue, int* steps, int places, Pair* pairs, int count, int under_way, int blocks,
    int coarsest)
{
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    const int first = min(under_way, count);
    if (i == 0) {
        queue->tickets = 0;
        queue->steps = first;
        queue->admitted = first;
        queue->unfinished = count;
        queue->blocks = blocks;
    }
    if (i < places) steps[i] = i < first ? i + 1 : 0;
    if (i < count) {
        Pair pair = pairs[i];
        pair.phase = LINEARISE;
        pair.warp = pair.outer = pair.iteration = pair.checked = pair.steps = 0;
        pair.measured = 0;
        pair.flow_at = pair.dual_at = 0;
        pair.dual_is_zero = 1;
        pair.arrived = 0;
        pair.useful = coarsest ? 0.0 : pair.useful;
        pair.executed = coarsest ? 0.0 : pair.executed;
        pair.moved = coarsest ? 0.0 : pair.moved;
        pair.predicted = 0.0;
        pairs[i] = pair;
    }
}

// The pixels that the tile owns: filtered, or with a new data term. Like the other functions that
// are not put in line, it has registers to itself that way, and leaves the iterations theirs.
NOT_IN_LINE void treat_pixels(
    const float2* flow, float2* flow_out, const float* first, const float4* second,
    float4* terms, Size size, bool opencv_cpu, float lambda_theta)
{
    const Tile tile = TASK.tile;
    const bool filter = TASK.phase == FILTER;
    const int own_width = tile.own_right - tile.own_left;
    const int own_area = own_width * (tile.own_bottom - tile.own_top);
    for (int i = threadIdx.x; i < own_area; i += THREADS) {
        const int x = tile.own_left + i % own_width, y = tile.own_top + i / own_width;
        const int at = y * size.width + x;
        if (filter)
            flow_out[at] = median_5x5(flow, x, y, size.width, size.height);
        else
            terms[at] = data_term(first[at], second, flow[at], x, y, size.width, size.height,
                                  opencv_cpu, lambda_theta);
    }
}

// Sums of squared updates: of this block's tile to device memory, ...
__device__ __forceinline__ void put_tile_errors(float* tile_errors, int tiles)
{
    __syncthreads();
    if (threadIdx.x < TASK.steps) {
        float sum = 0.0f;
        for (int w = 0; w < WARPS; ++w) sum += WARP_ERRORS[threadIdx.x * WARPS + w];
        tile_errors[((size_t)TASK.pair * tiles + TASK.index) * MAX_HALO + threadIdx.x] = sum;
    }
}

// ... and of all tiles, always in the same order, to ERRORS.
NOT_IN_LINE void add_tile_errors(const float* tile_errors, int tiles)
{
    const int lane = threadIdx.x % LANES;
    const float* const errors = tile_errors + (size_t)TASK.pair * tiles * MAX_HALO;
    for (int i = threadIdx.x / LANES; i < TASK.steps; i += WARPS) {
        double sum = 0.0;
        for (int t = lane; t < tiles; t += LANES) sum += errors[t * MAX_HALO + i];
        for (int offset = LANES / 2; offset > 0; offset /= 2)
            sum += __shfl_down_sync(ALL_LANES, sum, offset);
        if (lane == 0) ERRORS[i] = sum;
    }
}

NOT_IN_LINE void go_on(
    Queue* queue, int* steps, Pair* pairs, int count, int halo, Size size, int tiles)
{
    const double area = (double)size.width * size.height;
    const double tiled =
        (double)tiles * min(size.width, TILE_WIDTH) * min(size.height, TILE_HEIGHT);
    Pair& pair = pairs[TASK.pair];
    decide(pair, RULES, halo, area, tiled, ERRORS);
    pair.arrived = 0;
    if (pair.phase != DONE) {
        put_step(queue, steps, TASK.pair);
        return;
    }
    const int waiting = atomicAdd(&queue->admitted, 1);
    if (waiting < count) put_step(queue, steps, waiting);
    __threadfence();
    atomicSub(&queue->unfinished, 1);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM) solve_level(
    Queue* queue, int* steps, Pair* pairs, int count, int width, int height, int tiles_x,
    int tiles_y, int halo, const float* images, const float4* taps,
    float2* flow_0, float2* flow_1, float4* dual_0, float4* dual_1,
    float4* data_terms, float* tile_errors, int warps, int outer, int inner, int median,
    int opencv_cpu, double threshold, float theta, float taut, float lambda_theta)
{
    const Size size = {width, height};
    const State state = {flow_0, flow_1, dual_0, dual_1, data_terms};
    const size_t area = (size_t)width * height;
    const int tiles = tiles_x * tiles_y;
    // no dual comes into a tile from above: see iterate.cuh
    if (threadIdx.x < LANES) block_memory[threadIdx.x] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    if (threadIdx.x == 0) {
        const Rules rules = {threshold, warps, outer, inner, median, opencv_cpu == 0};
        RULES = rules;
    }
    while (true) {
        __syncthreads();
        if (threadIdx.x == 0)
            take_task(queue, steps, pairs, tiles_x, tiles_y, size, halo);
        __syncthreads();
        if (TASK.pair == NO_PAIR) return;

        if (TASK.phase == ITERATE) {
            if (width < TILE_WIDTH || height < TILE_HEIGHT)
                iterate<true>(state, size, theta, taut);
            else
                iterate<false>(state, size, theta, taut);
            if (TASK.measured) put_tile_errors(tile_errors, tiles);
        } else {
            const size_t at = TASK.pair * area;
            treat_pixels((TASK.flow_at ? flow_1 : flow_0) + at,
                         (TASK.flow_at ? flow_0 : flow_1) + at,
                         images + at, taps + at + area,
                         data_terms + at, size, opencv_cpu != 0, lambda_theta);
        }

        __syncthreads();
        if (threadIdx.x == 0) {
            __threadfence();
            TASK.is_last = atomicAdd(&pairs[TASK.pair].arrived, 1) == tiles - 1;
            __threadfence();
        }
        __syncthreads();
        if (!TASK.is_last) continue;

        if (TASK.phase == ITERATE && TASK.measured) add_tile_errors(tile_errors, tiles);
        __syncthreads();
        if (threadIdx.x == 0) go_on(queue, steps, pairs, count, halo, size, tiles);
    }
}
