"""The CPU stand-in for CUDA finds the faults that it is there to find."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
from surroundings import missing_system_part

HERE = Path(__file__).resolve().parent

KERNELS = """
#include "cuda_on_host.h"
float4 block_memory[SHARED_BYTES / sizeof(float4)];

void rotate(int* out, int barrier)
{
    int* const shared = (int*)block_memory;
    shared[threadIdx.x] = threadIdx.x;
    if (barrier) __syncthreads();
    out[threadIdx.x] = shared[(threadIdx.x + 1) % blockDim.x];
}
void lost_barrier(int*, int) { if (threadIdx.x < 40) __syncthreads(); }
void lost_shuffle(int* out, int) { if (threadIdx.x) out[0] = __shfl_down_sync(~0u, 1, 1); }
void sleeper(int* out, int) { while (!out[0]) __nanosleep(1); }
void waker(int* out, int)
{
    if (blockIdx.x == 0) while (atomicAdd(out + 1, 0) == 0) __nanosleep(1);
    else if (threadIdx.x == 0) atomicExch(out + 1, 1);
    if (threadIdx.x == 0) atomicAdd(out, 1);
}
void lanes(int* out, int)
{
    const int up = __shfl_up_sync(~0u, int(threadIdx.x), 1);
    out[threadIdx.x] = 100 * up + __shfl_down_sync(~0u, int(threadIdx.x), 1);
}
static const std::vector<Kernel> kernels = {
    KERNEL(rotate), KERNEL(lost_barrier), KERNEL(lost_shuffle), KERNEL(sleeper), KERNEL(waker),
    KERNEL(lanes)};
static std::string message;
extern "C" const char* run(int which, int* out, int flag, int blocks, int order, int at_once)
{
    void* arguments[] = {&out, &flag};
    Schedule schedule;
    schedule.order.kind = order;
    schedule.blocks_at_once = at_once;
    try {
        run_grid({unsigned(blocks), 1, 1}, 64, 1024, kernels[which].call, arguments, schedule);
    } catch (const std::exception& error) {
        message = error.what();
        return message.c_str();
    }
    return nullptr;
}
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("g++") or shutil.which("c++")
    if compiler is None:
        missing_system_part("a C++ compiler", "install g++ or clang++")
    folder = tmp_path_factory.mktemp("kernels")
    (folder / "kernels.cpp").write_text(KERNELS)
    command = [compiler, "-std=c++17", "-O1", "-shared", "-fPIC", f"-I{HERE}"]
    subprocess.run([*command, "kernels.cpp", "-o", "kernels.so"], cwd=folder, check=True)
    loaded = ctypes.CDLL(str(folder / "kernels.so"))
    loaded.run.restype = ctypes.c_char_p
    return loaded


def run(
    library: ctypes.CDLL, which: int, flag: int = 0, blocks: int = 1, order: int = 0, once: int = 1
) -> tuple[list[int], str | None]:
    out = (ctypes.c_int * 64)()
    error = library.run(which, out, flag, blocks, order, once)
    return list(out), error and error.decode()


def test_a_missing_barrier_shows_in_some_order(library: ctypes.CDLL) -> None:
    expected = [(i + 1) % 64 for i in range(64)]
    assert all(run(library, 0, 1, order=order) == (expected, None) for order in range(3))
    assert any(run(library, 0, 0, order=order)[0] != expected for order in range(3))


def test_a_barrier_or_shuffle_that_some_do_not_reach_is_an_error(library: ctypes.CDLL) -> None:
    assert "barrier" in (run(library, 1)[1] or "")
    assert "shuffle" in (run(library, 2)[1] or "")


def test_blocks_that_wait_for_each_other_run_at_once_or_not_at_all(library: ctypes.CDLL) -> None:
    assert "deadlock" in (run(library, 3)[1] or "")
    assert "deadlock" in (run(library, 4, blocks=2, once=1)[1] or "")
    assert run(library, 4, blocks=2, once=2) == ([2, 1] + [0] * 62, None)


def test_lanes_at_the_ends_of_a_warp_get_their_own_value(library: ctypes.CDLL) -> None:
    out, _ = run(library, 5, order=2)
    ends = {0: 1, 31: 3031, 32: 3233, 63: 6263}
    assert {i: out[i] for i in ends} == {0: 1, 31: 3031, 32: 3233, 63: 6263}
    assert out[5] == 406
