// Where a pair stands in the solving of one level, and what it does next.
//
// After each task of a pair the block that finishes last decides, alone, so the host is never
// asked. Sums of squared updates come in as one number a tile and are added in a fixed order: the
// same input always stops at the same iteration.
#pragma once
#include "iterate.cuh"

#define LINEARISE 0
#define FILTER 1
#define ITERATE 2
#define DONE 3

// The host reserves the memory, and knows the size of this and where the last three lie.
struct Pair {
    int phase;
    int warp, outer;      // how many are done
    int iteration;        // since the last median filtering, or the last warp
    int checked;          // iterations since the last warp: the stopping rule counts these
    int steps;            // of the task in hand
    unsigned measured;    // its iterations whose update is measured
    int flow_at, dual_at; // which of the two buffers holds the present state
    int dual_is_zero;
    int arrived;          // blocks that have finished the task in hand
    int unused;
    double predicted;     // opencv-cuda: the last measured sum, less what it is predicted to lose
    // for the benchmark, on all levels so far: pixel-iterations, and bytes loaded and stored
    double useful, executed, moved;
};

static_assert(sizeof(Pair) == PAIR_BYTES, "gpu/layout.py knows another size");

__device__ __forceinline__ bool is_measured(const Rules& rules, int checked, double predicted)
{
    if (!rules.predicts) return true;
    return checked % 2 == 1 && predicted < rules.threshold && rules.threshold > 0.0;
}

// Choose how many iterations to run in one go. With prediction it is known when the next
// measurement comes, and a task ends there, so that nothing is computed in vain. Without, every
// iteration is measured, and a stop inside a task means running it again as far as the stop.
__device__ __forceinline__ void plan_steps(Pair& pair, const Rules& rules, int halo)
{
    const int most = min(halo, rules.inner - pair.iteration);
    pair.phase = ITERATE;
    pair.steps = most;
    pair.measured = 0;
    double predicted = pair.predicted;
    for (int i = 0; i < most; ++i) {
        if (!is_measured(rules, pair.checked + i, predicted)) {
            predicted -= rules.threshold;
            continue;
        }
        pair.measured |= 1u << i;
        if (rules.predicts) {
            pair.steps = i + 1;
            return;
        }
    }
}

__device__ __forceinline__ void next_warp(Pair& pair, const Rules& rules)
{
    pair.warp += 1;
    pair.phase = pair.warp == rules.warps ? DONE : LINEARISE;
}

__device__ __forceinline__ void next_outer(Pair& pair, const Rules& rules, int halo)
{
    pair.iteration = 0;
    if (rules.median)
        pair.phase = FILTER;
    else
        plan_steps(pair, rules, halo);
}

// Move on, now that the task in hand is done. `errors[i]` is the sum of squared updates of its
// iteration i, where that was measured; `area` is the level's and `tiled` all tiles', in pixels.
__device__ __forceinline__ void decide(
    Pair& pair, const Rules& rules, int halo, double area, double tiled, const double* errors)
{
    if (pair.phase == LINEARISE) {
        pair.moved += area * (sizeof(float2) + sizeof(float) + 2 * sizeof(float4));
        pair.outer = pair.checked = 0;
        pair.predicted = 0.0;
        next_outer(pair, rules, halo);
        return;
    }
    if (pair.phase == FILTER) {
        pair.moved += area * 2 * sizeof(float2);
        pair.flow_at ^= 1;
        plan_steps(pair, rules, halo);
        return;
    }
    pair.executed += pair.steps * area;
    pair.moved += tiled * (sizeof(float2) + 2 * sizeof(float4));
    pair.moved += area * (sizeof(float2) + sizeof(float4));
    bool stop = false;
    for (int i = 0; i < pair.steps; ++i) {
        if (!(pair.measured >> i & 1)) {
            pair.predicted -= rules.threshold;
            continue;
        }
        pair.predicted = errors[i];
        stop = errors[i] <= rules.threshold;
        if (stop && i + 1 < pair.steps) {
            pair.steps = i + 1;  // it lay inside: the same again from the same state, as far as it
            return;
        }
    }
    pair.useful += pair.steps * area;
    pair.iteration += pair.steps;
    pair.checked += pair.steps;
    pair.flow_at ^= 1;
    pair.dual_at ^= 1;
    pair.dual_is_zero = 0;
    if (stop) {
        next_warp(pair, rules);
    } else if (pair.iteration < rules.inner) {
        plan_steps(pair, rules, halo);
    } else if (++pair.outer < rules.outer) {
        next_outer(pair, rules, halo);
    } else {
        next_warp(pair, rules);
    }
}
