// All kernels in one library, called by name. The compiler gets -I for them, and -D for their constants.
#include "cuda_on_host.h"

#include "ceilings.cu"
#include "pyramid.cu"
#include "results.cu"
#include "solve.cu"

float4 block_memory[SHARED_BYTES / sizeof(float4)];

static const std::vector<Kernel> kernels = {
    KERNEL(grey_levels), KERNEL(shrink),     KERNEL(add_gradients), KERNEL(no_flow),
    KERNEL(grow_flow),   KERNEL(write_flow), KERNEL(write_codes),   KERNEL(start_level),
    KERNEL(solve_level), KERNEL(copy_memory), KERNEL(multiply_add),  KERNEL(special_functions),
};
static std::string message;

static const Kernel* find(const char* name)
{
    for (const Kernel& kernel : kernels)
        if (std::string(name) == kernel.name) return &kernel;
    return nullptr;
}

// The sizes of a kernel's arguments in bytes, as text; null for an unknown kernel.
extern "C" const char* argument_sizes(const char* name)
{
    const Kernel* kernel = find(name);
    return kernel ? kernel->sizes.c_str() : nullptr;
}

// Null, or what went wrong.
extern "C" const char* launch(
    const char* name, unsigned x, unsigned y, int threads, size_t shared, void** arguments,
    int order, unsigned seed, int blocks_at_once, int quantum)
{
    Schedule schedule;
    schedule.order.kind = order;
    schedule.order.random.seed(seed);
    schedule.blocks_at_once = blocks_at_once;
    schedule.quantum = quantum;
    try {
        run_grid({x, y, 1}, threads, shared, find(name)->call, arguments, schedule);
    } catch (const std::exception& error) {
        message = error.what();
        return message.c_str();
    }
    return nullptr;
}
