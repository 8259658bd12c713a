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

#define NO_TASK (-1)

// Wait for the next task; false when there will be none for this block.
__device__ __forceinline__ bool take_task(
    Queue* queue, const int* steps, int tiles, int* pair, int* tile)
{
    // no more than `tiles` tasks of a pair can run at once: let other kernels have the room
    const int needed = atomicAdd(&queue->unfinished, 0) * tiles;
    if (atomicAdd(&queue->blocks, 0) > needed) {
        if (atomicSub(&queue->blocks, 1) > needed) return false;
        atomicAdd(&queue->blocks, 1);
    }
    const int ticket = atomicAdd(&queue->tickets, 1);
    const volatile int* step = steps + ticket / tiles;
    int found = *step;
    while (found == 0) {
        if (atomicAdd(&queue->unfinished, 0) == 0) return false;
        __nanosleep(100);
        found = *step;
    }
    __threadfence();
    *pair = found - 1;
    *tile = ticket % tiles;
    return true;
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
        pair.repeating = pair.arrived = 0;
        pair.useful = coarsest ? 0.0 : pair.useful;
        pair.executed = coarsest ? 0.0 : pair.executed;
        pair.predicted = 0.0;
        pairs[i] = pair;
    }
}

extern __shared__ float4 block_memory[];

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS_PER_SM) solve_level(
    Queue* queue, int* steps, Pair* pairs, int count, int width, int height, int tiles_x,
    int tiles_y, int halo, const float* images, const float4* taps, int first_frame,
    int second_frame, float2* flow_0, float2* flow_1, float4* dual_0, float4* dual_1,
    float4* data_terms, float* tile_errors, int warps, int outer, int inner, int median,
    int opencv_cpu, double threshold, float theta, float taut, float lambda_theta)
{
    Exchange exchange;
    exchange.data = block_memory;
    exchange.bottom = exchange.data + TILE_WIDTH * TILE_HEIGHT;
    exchange.top = exchange.bottom + THREADS;
    exchange.error = (float*)(exchange.top + THREADS);
    double* const errors = (double*)(exchange.error + MAX_HALO * WARPS);
    int* const shared = (int*)(errors + MAX_HALO);  // pair, tile, whether last

    const int tiles = tiles_x * tiles_y;
    const size_t area = (size_t)width * height;
    Rules rules;
    rules.warps = warps;
    rules.outer = outer;
    rules.inner = inner;
    rules.median = median;
    rules.predicts = !opencv_cpu;
    rules.threshold = threshold;

    while (true) {
        __syncthreads();
        if (threadIdx.x == 0 && !take_task(queue, steps, tiles, &shared[0], &shared[1]))
            shared[0] = NO_TASK;
        __syncthreads();
        const int index = shared[0], tile_index = shared[1];
        if (index == NO_TASK) return;

        Pair* const pair = pairs + index;
        const int phase = pair->phase, flow_at = pair->flow_at;
        const Tile tile = make_tile(tile_index, tiles_x, tiles_y, width, height, halo);
        float2* const flow = (flow_at ? flow_1 : flow_0) + index * area;
        float2* const flow_out = (flow_at ? flow_0 : flow_1) + index * area;
        float4* const data = data_terms + index * area;

        if (phase == ITERATE) {
            const int steps_now = pair->steps;
            const unsigned measured = pair->measured;
            float4* const dual = (pair->dual_at ? dual_1 : dual_0) + index * area;
            float4* const dual_out = (pair->dual_at ? dual_0 : dual_1) + index * area;
            if (width < TILE_WIDTH || height < TILE_HEIGHT)
                iterate<true>(tile, width, height, steps_now, measured, pair->dual_is_zero != 0,
                              theta, taut, flow, dual, data, flow_out, dual_out, exchange);
            else
                iterate<false>(tile, width, height, steps_now, measured, pair->dual_is_zero != 0,
                               theta, taut, flow, dual, data, flow_out, dual_out, exchange);
            if (measured) {
                __syncthreads();
                if (threadIdx.x < steps_now) {
                    float sum = 0.0f;
                    for (int w = 0; w < WARPS; ++w)
                        sum += exchange.error[threadIdx.x * WARPS + w];
                    tile_errors[((size_t)index * tiles + tile_index) * MAX_HALO + threadIdx.x] =
                        sum;
                }
            }
        } else {
            const float* const first = images + (index + first_frame) * area;
            const float4* const second = taps + (index + second_frame) * area;
            const int own_width = tile.own_right - tile.own_left;
            const int own_area = own_width * (tile.own_bottom - tile.own_top);
            for (int i = threadIdx.x; i < own_area; i += THREADS) {
                const int x = tile.own_left + i % own_width, y = tile.own_top + i / own_width;
                const int at = y * width + x;
                if (phase == FILTER)
                    flow_out[at] = median_5x5(flow, x, y, width, height);
                else
                    data[at] = data_term(first[at], second, flow[at], x, y, width, height,
                                         opencv_cpu != 0, lambda_theta);
            }
        }

        __syncthreads();
        if (threadIdx.x == 0) {
            __threadfence();
            shared[2] = atomicAdd(&pair->arrived, 1) == tiles - 1;
            __threadfence();
        }
        __syncthreads();
        if (!shared[2]) continue;

        // this block is the last of the step
        if (phase == ITERATE && pair->measured) {
            const int lane = threadIdx.x % LANES;
            for (int i = threadIdx.x / LANES; i < pair->steps; i += WARPS) {
                double sum = 0.0;
                for (int t = lane; t < tiles; t += LANES)
                    sum += tile_errors[((size_t)index * tiles + t) * MAX_HALO + i];
                for (int offset = LANES / 2; offset > 0; offset /= 2)
                    sum += __shfl_down_sync(ALL_LANES, sum, offset);
                if (lane == 0) errors[i] = sum;
            }
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            Pair next = *pair;
            decide(next, rules, halo, (double)area, errors);
            next.arrived = 0;
            *pair = next;
            if (next.phase != DONE) {
                put_step(queue, steps, index);
            } else {
                const int waiting = atomicAdd(&queue->admitted, 1);
                if (waiting < count) put_step(queue, steps, waiting);
                __threadfence();
                atomicSub(&queue->unfinished, 1);
            }
        }
    }
}
