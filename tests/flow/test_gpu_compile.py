"""The CUDA sources compile for every generation, keep to the registers, and ask for no new ones."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

from flow.tvl1.gpu import compiler
from flow.tvl1.gpu.kernel_source import FILE_OF, KERNELS, compile_options, source
from flow.tvl1.gpu.layout import block_bytes

NVCC = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
TILE_ROWS = {70: 8, 75: 4, 80: 8, 86: 8, 89: 8, 90: 8, 100: 8, 103: 8, 120: 8}
QUICK = {90}
"""The others of the same generation use the same code paths; they take seconds each."""
SPILLS_ALLOWED = 80
"""Bytes, loads and stores together, where a thread's 96 values leave 32 registers for the rest;
none of it is in the arithmetic. See docs/gpu.md."""

every_architecture = pytest.mark.parametrize(
    "arch",
    [arch if arch in QUICK else pytest.param(arch, marks=pytest.mark.slow) for arch in TILE_ROWS],
)


def hold_to_registers(file: str, said: str) -> None:
    """The compiler's report of each kernel: no spills worth speaking of, no more registers."""
    entries = said.split("Compiling entry function '")[1:]
    report = {entry.split("'")[0]: entry for entry in entries}
    assert set(report) == set(KERNELS[file])
    for name, lines in report.items():
        spilled = sum(map(int, re.findall(r"(\d+) bytes spill", lines)))
        (registers,) = map(int, re.findall(r"Used (\d+) registers", lines))
        assert spilled <= (SPILLS_ALLOWED if name == "solve_level" else 0), lines
        assert registers <= (128 if name == "solve_level" else 64), lines


@lru_cache
def known_to_nvcc() -> set[int]:
    listed = subprocess.run(
        [str(NVCC), "--list-gpu-arch"], capture_output=True, text=True, check=True
    ).stdout
    return {int(number) for number in re.findall(r"compute_(\d+)", listed)}


@pytest.mark.skipif(NVCC is None, reason="nvcc is not here; the CUDA toolkit has it")
@every_architecture
@pytest.mark.parametrize("file", KERNELS)
def test_nvcc_compiles_it_into_registers(file: str, arch: int, tmp_path: Path) -> None:
    if arch not in known_to_nvcc():
        pytest.skip(f"this nvcc has no sm_{arch}; NVRTC of CUDA 12 has")
    (tmp_path / "kernels.cu").write_text(source(file))
    options = [*compile_options(TILE_ROWS[arch]), f"-arch=sm_{arch}", "-Xptxas=-v"]
    done = subprocess.run(
        [str(NVCC), *options, "-cubin", "-o", "kernels.cubin", "kernels.cu"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    hold_to_registers(file, done.stderr)


@every_architecture
@pytest.mark.parametrize("file", KERNELS)
def test_nvrtc_compiles_it_into_registers(file: str, arch: int) -> None:
    """With the options and by the calls that the engine uses; it needs no driver."""
    pytest.importorskip("cupy", reason="CuPy is not here: pip install 'twostream[cuda12]'")
    try:
        compiler.known_architectures()
    except Exception as error:
        pytest.skip(f"CuPy is here, NVRTC is not: {error}")
    if arch not in compiler.known_architectures():
        pytest.skip(f"this NVRTC has no sm_{arch}")
    options = (*compile_options(TILE_ROWS[arch]), f"-arch=sm_{arch}", "--ptxas-options=-v")
    code, said = compiler.machine_code(source(file), file, options)
    assert code[:4] == b"\x7fELF"
    hold_to_registers(file, said)


def test_includes_are_put_in_place_once() -> None:
    for file in KERNELS:
        text = source(file)
        assert '#include "' not in text
        assert "#pragma once" not in text
        assert text.count("struct Tile {") <= 1


def test_every_kernel_is_in_the_file_that_the_table_names() -> None:
    for kernel, file in FILE_OF.items():
        assert re.search(rf"\b{kernel}\(", source(file)), kernel


@pytest.mark.parametrize(("rows", "most"), [(8, 227 * 1024 // 2 - 1024), (4, 64 * 1024)])
def test_shared_memory_is_what_the_sources_use(rows: int, most: int) -> None:
    assert block_bytes(rows) <= most
