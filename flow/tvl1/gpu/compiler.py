"""The CUDA sources through NVRTC, into machine code that is kept on disk.

CuPy's own way to compile looks for the headers of a CUDA toolkit, and fails without them though
these sources include none. NVRTC alone needs none, so it is asked directly.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from flow.tvl1.gpu.kernel_source import compile_options, source
from storage import atomic

log = logging.getLogger(__name__)

Capability = tuple[int, int]
"""Of a GPU: (8, 6) is sm_86."""
OLDEST = (7, 0)
EMBEDDED = (72, 87, 101)
"""Jetsons: their code does not run on the others of their generation."""
TINY = 'extern "C" __global__ void tiny(float* x) { *x = sqrtf(*x); }'


class CompileError(Exception):
    """NVRTC does not compile the kernels here; the text says why, in one line."""


def tiny_kernel_compiles(capability: Capability) -> None:
    """CompileError where no kernel can be compiled for such a GPU."""
    _compile(TINY, "tiny.cu", (), target_of(capability))


def kept_module(file: str, tile_rows: int, capability: Capability) -> Path:
    """The machine code of a file in `kernels/`, compiled when it is first asked for (seconds).

    The name tells the text, the options and NVRTC's version, so that nothing old is ever used.
    """
    options, target = compile_options(tile_rows), target_of(capability)
    text = source(file)
    key = "\n".join((text, *options, target, str(nvrtc().getVersion())))
    digest = hashlib.sha256(key.encode()).hexdigest()[:24]
    name = f"{Path(file).stem}-{target.rpartition('=')[2]}-{digest}.cubin"
    for folder in kernel_folders():
        path = folder / name
        if path.is_file():
            return path
    code = _compile(text, file, options, target)
    for folder in kernel_folders():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with atomic.replacing(folder / name) as fresh:
                fresh.write_bytes(code)
            return folder / name
        except OSError as error:
            log.debug("compiled kernels are not kept in %s: %s", folder, error)
    raise CompileError(f"compiled kernels can be written to none of {kernel_folders()}")


def kernel_folders() -> list[Path]:
    """Where compiled kernels are kept: the user's cache, or else a temporary folder."""
    cache = os.environ.get("XDG_CACHE_HOME")
    home = Path(cache) if cache else Path("~").expanduser() / ".cache"
    other = Path(tempfile.gettempdir()) / f"twostream-{os.getuid()}"
    with suppress(OSError):
        other.mkdir(mode=0o700, exist_ok=True)
    trusted = other.is_dir() and other.stat().st_uid == os.getuid()  # anybody may write there
    folders = [home, other] if trusted else [home]
    return [folder / "twostream" / "kernels" for folder in folders]


def target_of(capability: Capability) -> str:
    """NVRTC's option for a GPU: its machine code, or for a GPU newer than this NVRTC the most
    recent portable code that it knows, which the driver translates."""
    number = 10 * capability[0] + capability[1]
    known = known_architectures()
    version = ".".join(map(str, nvrtc().getVersion()))
    if capability < OLDEST:
        raise CompileError(
            f"the GPU has compute capability {capability[0]}.{capability[1]}; 7.0 is needed"
        )
    if number in known:
        return f"-arch=sm_{number}"
    if known and number > max(known):
        return f"-arch=compute_{max(known)}"
    older = [each for each in known if each // 10 == capability[0] and each < number]
    older = [each for each in older if each not in EMBEDDED]
    if older:  # code for 8.6 runs on an 8.9
        return f"-arch=sm_{max(older)}"
    raise CompileError(
        f"NVRTC {version} has no sm_{number}, this GPU's architecture; "
        "pip install 'twostream[cuda12]' instead of [cuda13]"
    )


def nvrtc() -> Any:
    """CuPy's door to NVRTC; it needs no driver."""
    from cupy.cuda import nvrtc

    return nvrtc


@lru_cache
def known_architectures() -> tuple[int, ...]:
    return tuple(int(number) for number in nvrtc().getSupportedArchs())


def _compile(text: str, name: str, options: tuple[str, ...], target: str) -> bytes:
    return machine_code(text, name, (*options, target))[0]


def machine_code(text: str, name: str, options: tuple[str, ...]) -> tuple[bytes, str]:
    """Machine code, or portable code for a `compute_` target, and what the compiler said."""
    compiler = nvrtc()
    try:
        program = compiler.createProgram(text, name, (), ())
    except Exception as error:  # a broken or missing library shows as whatever CuPy makes of it
        raise CompileError(f"NVRTC does not work: {error}") from None
    try:
        compiler.compileProgram(program, options)
        portable = any("=compute_" in option for option in options)
        code = compiler.getPTX(program) if portable else compiler.getCUBIN(program)
        said = compiler.getProgramLog(program)
    except Exception as error:
        lines = [line for line in _said(compiler, program).splitlines() if "error" in line]
        why = lines[0] if lines else str(error)
        raise CompileError(f"NVRTC does not compile {name}: {why}") from None
    finally:
        compiler.destroyProgram(program)
    return code if isinstance(code, bytes) else str(code).encode(), str(said)


def _said(compiler: Any, program: Any) -> str:
    try:
        return str(compiler.getProgramLog(program))
    except Exception:
        return ""
