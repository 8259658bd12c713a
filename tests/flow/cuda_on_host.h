// Enough of CUDA C to run our kernels on a CPU, for tests on machines without a GPU.
//
// Every CUDA thread is a coroutine. A block's threads run one after another, each as far as its
// next barrier or shuffle, in an order that the test chooses: a kernel that lacks a barrier gives
// different results for different orders. Several blocks can be under way at once; they change
// over when one of them sleeps, and at barriers. A barrier or shuffle that some threads of its
// block or warp never reach is an error, as it would be (or should be) on a GPU.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct uint3 { unsigned x, y, z; };
struct float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

using std::max;
using std::min;
inline float rsqrtf(float v) { return 1.0f / std::sqrt(v); }
inline float __fdiv_rn(float a, float b) { return a / b; }

// ---------------------------------------------------------------- coroutines

typedef void* Stack;  // a saved stack pointer

#if defined(__x86_64__)
extern "C" void change_stack(Stack* from, Stack to);
asm(R"(
.text
.globl change_stack
change_stack:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
inline Stack new_stack(char* memory, size_t size, void (*entry)())
{
    uintptr_t top = (uintptr_t(memory) + size) & ~uintptr_t(63);
    void** at = (void**)top;
    *--at = nullptr;         // where `entry` would return to; it never does
    *--at = (void*)entry;    // popped by `ret`
    for (int i = 0; i < 6; ++i) *--at = nullptr;
    return at;
}
#else
#include <ucontext.h>
inline void change_stack(Stack* from, Stack to)
{
    ucontext_t* self = new ucontext_t;
    *from = self;
    swapcontext(self, (ucontext_t*)to);
    delete self;
}
inline Stack new_stack(char* memory, size_t size, void (*entry)())
{
    ucontext_t* context = new ucontext_t;
    getcontext(context);
    context->uc_stack.ss_sp = memory;
    context->uc_stack.ss_size = size;
    context->uc_link = nullptr;
    makecontext(context, entry, 0);
    return context;
}
#endif

// ---------------------------------------------------------------- threads and blocks

enum Waiting { READY, AT_BARRIER, AT_SHUFFLE, ASLEEP, INTERRUPTED, FINISHED };

constexpr int WARP_LANES = 32;
constexpr size_t STACK_BYTES = 32 * 1024;
constexpr int LONGEST_SLEEP = 100000;  // changes of block without one step forward: a deadlock

struct Thread {
    uint3 index;
    Stack stack;
    Waiting waiting;
    double slots[2];  // what it gives to the other lanes of a shuffle, by turns
    unsigned shuffles;
};

struct Block {
    uint3 index;
    std::vector<Thread> threads;
    std::unique_ptr<char[]> stacks;
    std::vector<char> shared;
};

struct Order {
    int kind = 0;  // 0 forward, 1 backward, 2 shuffled anew after every barrier
    std::mt19937 random{0};
    std::vector<int> list(int count)
    {
        std::vector<int> order(count);
        for (int i = 0; i < count; ++i) order[i] = kind == 1 ? count - 1 - i : i;
        if (kind == 2) std::shuffle(order.begin(), order.end(), random);
        return order;
    }
};

inline uint3 gridDim, blockDim, blockIdx;
inline Thread* this_thread;
inline Block* this_block;
inline Stack scheduler;
inline void (*run_kernel)(void**);
inline void** kernel_arguments;
#define threadIdx (this_thread->index)

constexpr size_t SHARED_BYTES = 160 * 1024;
extern float4 block_memory[];

inline void wait_for(Waiting what)
{
    this_thread->waiting = what;
    change_stack(&this_thread->stack, scheduler);
}

inline void thread_main()
{
    run_kernel(kernel_arguments);
    wait_for(FINISHED);
}

inline void __syncthreads() { wait_for(AT_BARRIER); }
inline void __nanosleep(unsigned) { wait_for(ASLEEP); }
inline void __threadfence() {}

// The value of another lane; a lane outside the warp gives one's own.
template <class T> T shuffle(T value, int source)
{
    static_assert(sizeof(T) <= sizeof(double), "a slot holds 8 bytes");
    Thread* const self = this_thread;
    // two slots by turns: a lane writes one again only when all have read it
    const unsigned turn = self->shuffles++ % 2;
    std::memcpy(&self->slots[turn], &value, sizeof(T));
    wait_for(AT_SHUFFLE);
    if (source >= 0 && source < WARP_LANES)
        std::memcpy(&value, &(self - self->index.x % WARP_LANES)[source].slots[turn], sizeof(T));
    return value;
}
template <class T> T __shfl_up_sync(unsigned, T value, int by)
{
    return shuffle(value, int(threadIdx.x % WARP_LANES) - by);
}
template <class T> T __shfl_down_sync(unsigned, T value, int by)
{
    return shuffle(value, int(threadIdx.x % WARP_LANES) + by);
}

inline bool interrupt_at_atomics;
inline int after_atomic(int before)
{
    if (interrupt_at_atomics) wait_for(INTERRUPTED);
    return before;
}
inline int atomicAdd(int* at, int by) { return after_atomic(std::exchange(*at, *at + by)); }
inline int atomicSub(int* at, int by) { return after_atomic(std::exchange(*at, *at - by)); }
inline int atomicExch(int* at, int to) { return after_atomic(std::exchange(*at, to)); }

// ---------------------------------------------------------------- scheduling

// Blocks that have ended, kept for their stacks: new ones cost more than a small kernel.
inline std::vector<std::unique_ptr<Block>> ended_blocks;

inline std::unique_ptr<Block> new_block(uint3 index, int threads, size_t shared)
{
    std::unique_ptr<Block> block;
    if (!ended_blocks.empty() && int(ended_blocks.back()->threads.size()) == threads) {
        block = std::move(ended_blocks.back());
        ended_blocks.pop_back();
    } else {
        block = std::make_unique<Block>();
        block->threads.resize(threads);
        block->stacks.reset(new char[threads * STACK_BYTES]);
    }
    block->index = index;
    block->shared.assign(shared, char(0xcd));  // shared memory starts with anything in it
    for (int i = 0; i < threads; ++i) {
        Thread& thread = block->threads[i];
        thread.index = {unsigned(i), 0, 0};
        thread.waiting = READY;
        thread.shuffles = 0;
        thread.stack = new_stack(block->stacks.get() + i * STACK_BYTES, STACK_BYTES, thread_main);
    }
    return block;
}

inline bool all(const Thread* threads, int count, Waiting what)
{
    return std::all_of(threads, threads + count, [=](const Thread& t) { return t.waiting == what; });
}

// Run a warp until it can go no further: all of its lanes at a barrier, asleep or finished.
// False when it was interrupted.
inline bool run_warp(Thread* lanes, int count, Order& order)
{
    while (true) {
        for (int lane : order.list(count)) {
            if (lanes[lane].waiting != READY) continue;
            this_thread = &lanes[lane];
            change_stack(&scheduler, this_thread->stack);
            if (lanes[lane].waiting == INTERRUPTED) return false;
        }
        if (!std::any_of(lanes, lanes + count, [](auto& t) { return t.waiting == AT_SHUFFLE; }))
            return true;
        if (!all(lanes, count, AT_SHUFFLE))
            throw std::runtime_error("a shuffle that not all lanes of its warp reach");
        for (int lane = 0; lane < count; ++lane) lanes[lane].waiting = READY;
    }
}

enum Progress { RUNNING, STOPPED, SLEEPING, ENDED };

// Run a block for up to `quantum` barriers, or until a thread of it sleeps.
inline Progress run_block(Block& block, Order& order, int quantum)
{
    const int count = int(block.threads.size());
    const int warps = (count + WARP_LANES - 1) / WARP_LANES;
    this_block = &block;
    blockIdx = block.index;
    for (Thread& thread : block.threads)
        if (thread.waiting == ASLEEP || thread.waiting == INTERRUPTED) thread.waiting = READY;
    while (true) {
        for (int warp : order.list(warps)) {
            Thread* const lanes = &block.threads[warp * WARP_LANES];
            if (!run_warp(lanes, std::min(WARP_LANES, count - warp * WARP_LANES), order))
                return STOPPED;
        }
        Thread* const threads = block.threads.data();
        if (std::any_of(threads, threads + count, [](auto& t) { return t.waiting == ASLEEP; }))
            return SLEEPING;
        if (all(threads, count, FINISHED)) return ENDED;
        if (!all(threads, count, AT_BARRIER))
            throw std::runtime_error("a barrier that not all threads of the block reach");
        for (Thread& thread : block.threads) thread.waiting = READY;
        if (--quantum <= 0) return RUNNING;
    }
}

struct Schedule {
    Order order;
    int blocks_at_once = 1;
    int quantum = 1 << 30;  // barriers after which another block has its turn; 0: atomics as well
};

inline void run_grid(
    uint3 grid, int threads, size_t shared, void (*kernel)(void**), void** arguments,
    Schedule& schedule)
{
    if (shared > SHARED_BYTES) throw std::runtime_error("more shared memory than a block can have");
    run_kernel = kernel;
    interrupt_at_atomics = schedule.quantum == 0;
    kernel_arguments = arguments;
    gridDim = grid;
    blockDim = {unsigned(threads), 1, 1};
    const int total = int(grid.x * grid.y * grid.z);
    const std::vector<int> order = schedule.order.list(total);
    std::vector<std::unique_ptr<Block>> under_way;
    int started = 0, idle = 0, stay = 0;
    size_t turn = 0;
    while (started < total || !under_way.empty()) {
        while (started < total && int(under_way.size()) < schedule.blocks_at_once) {
            const unsigned i = order[started++];
            under_way.push_back(
                new_block({i % grid.x, i / grid.x % grid.y, i / grid.x / grid.y}, threads, shared));
        }
        if (!interrupt_at_atomics) {
            turn = (turn + 1) % under_way.size();
        } else if (--stay <= 0 || turn >= under_way.size()) {
            // unfair: a block may do whole tasks while another one stands still in the middle
            turn = schedule.order.random() % under_way.size();
            stay = 1 + schedule.order.random() % 1000;
        }
        Block& block = *under_way[turn];
        if (shared) std::memcpy((void*)block_memory, block.shared.data(), shared);
        const Progress progress = run_block(block, schedule.order, schedule.quantum);
        if (shared) std::memcpy(block.shared.data(), (void*)block_memory, shared);
        if (progress == ENDED) {
            ended_blocks.push_back(std::move(under_way[turn]));
            under_way.erase(under_way.begin() + turn);
        }
        idle = progress == SLEEPING ? idle + 1 : 0;
        if (progress == SLEEPING || (progress == STOPPED && schedule.order.random() % 2)) stay = 0;
        if (idle > LONGEST_SLEEP) throw std::runtime_error("all blocks wait: a deadlock");
    }
}

// ---------------------------------------------------------------- calls by name

template <class... A> struct Call {
    template <void (*kernel)(A...), size_t... I>
    static void unpack(void** arguments, std::index_sequence<I...>)
    {
        kernel(*(std::decay_t<A>*)arguments[I]...);
    }
};
template <class F> struct Arguments;
template <class... A> struct Arguments<void (*)(A...)> {
    static constexpr size_t count = sizeof...(A);
    template <void (*kernel)(A...)> static void call(void** arguments)
    {
        Call<A...>::template unpack<kernel>(arguments, std::index_sequence_for<A...>{});
    }
    static std::string sizes()
    {
        std::string text;
        ((text += std::to_string(sizeof(A)) + " "), ...);
        return text;
    }
};
struct Kernel {
    const char* name;
    void (*call)(void**);
    std::string sizes;
};
#define KERNEL(name) \
    Kernel { #name, Arguments<decltype(&name)>::call<name>, Arguments<decltype(&name)>::sizes() }
