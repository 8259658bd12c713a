"""What `twostream doctor` looks at. Nothing here fails: what is broken becomes a finding."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import PackageNotFoundError, distributions, version
from importlib.util import find_spec
from typing import Any

REQUIRED = {
    "av": "av",
    "cv2": "opencv-contrib-python",
    "h5py": "h5py",
    "safetensors": "safetensors",
    "jinja2": "jinja2",
    "joblib": "joblib",
    "lmdb": "lmdb",
    "matplotlib": "matplotlib",
    "numba": "numba",
    "numpy": "numpy",
    "PIL": "pillow",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "tensorboard": "tensorboard",
    "torch": "torch",
    "torchvision": "torchvision",
    "tqdm": "tqdm",
    "tyro": "tyro",
    "yaml": "pyyaml",
    "zstandard": "zstandard",
}
"""Module -> the package that has it."""
OPTIONAL = {
    "cupy": ("flow on NVIDIA GPUs", "'twostream[cuda12]' or 'twostream[cuda13]'"),
    "distributed": ("extraction on many machines", "'twostream[dask]'"),
    "webdataset": ("clips of a store as shards, read back (shards)", "'twostream[shards]'"),
    "litdata": ("clips of a store as chunks of LitData (litdata)", "'twostream[litdata]'"),
    "captum": ("pictures of what networks see (explain)", "'twostream[explain]'"),
    "timm": ("networks by the name timm:NAME", "'twostream[timm]'"),
    "wandb": ("curves at Weights & Biases, --track wandb", "'twostream[wandb]'"),
    "mlflow": ("curves at MLflow, --track mlflow", "'twostream[mlflow]'"),
}
"""Module -> what it is for, and what to install."""
FIRST_DRIVER_WITH_CUDA_13 = 580
LITTLE_DISK, LITTLE_SHARED = 5e9, 1e9

Finding = dict[str, Any]
Report = dict[str, Any]


def examine() -> Report:
    """Everything, as JSON values; `problems` says what is wrong and what to do about it."""
    packages = look_at_packages()
    report: Report = {
        "twostream": version_of("twostream") or "run from a checkout",
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "packages": packages,
        "torchvision_workaround": look_at_torchvision(packages),
        "engines": look_at_engines(),
        "gpus": look_at_gpus(),
        "machine": look_at_machine(),
        "tools": look_at_tools(),
    }
    report["problems"] = problems(report)
    return report


def look_at_packages() -> dict[str, Finding]:
    """Every package is imported, since an installed one can still be broken."""
    findings: dict[str, Finding] = {}
    for module, package in REQUIRED.items():
        if module != "torchvision":  # it has a door of its own
            findings[package] = {"needed": True, **try_import(module, package)}
    findings["torchvision"] = {"needed": True, "version": version_of("torchvision")}
    for module, (purpose, install) in OPTIONAL.items():
        if find_spec(module) is None:
            reason = f"for {purpose}; pip install {install}"
            findings[module] = {"needed": False, "version": None, "reason": reason}
        else:
            findings[module] = {"needed": False, **try_import(module, module)}
    return findings


def try_import(module: str, package: str) -> Finding:
    """The version of a module, or the reason why there is none."""
    try:
        known = getattr(import_module(module), "__version__", None)
    except Exception as error:
        # Broken packages fail with whatever they like, and the doctor has to report it.
        return {"version": None, "reason": one_line(error)}
    return {"version": version_of(package) or known or "unknown"}


def look_at_torchvision(packages: dict[str, Finding]) -> str | None:
    """What had to be done to import torchvision; None where nothing had to."""
    try:
        workaround = import_module("streams.networks.torchvision_compat").WORKAROUND
    except Exception as error:
        packages["torchvision"] |= {"version": None, "reason": one_line(error)}
        return None
    return str(workaround) if workaround else None


def look_at_engines() -> dict[str, dict[str, str]]:
    """Preset -> flow engine -> "ok" or the reason why not."""
    try:
        from flow.tvl1 import DIALECTS, TVL1, engines
    except Exception as error:
        return {"all": {"every engine": one_line(error)}}
    return {preset: engines(TVL1.preset(preset)) for preset in DIALECTS}


def look_at_gpus() -> list[dict[str, str]]:
    """NVIDIA GPUs, as the driver's own tool lists them."""
    fields = ("name", "memory.total", "driver_version", "compute_cap")
    lines = first_lines("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader")
    rows = [line.split(", ") for line in lines or []]
    return [dict(zip(fields, row, strict=True)) for row in rows if len(row) == len(fields)]


def look_at_machine() -> Finding:
    """Cores that this process may use, and free space where the work happens, in bytes."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    shared = shutil.disk_usage("/dev/shm").free if os.path.isdir("/dev/shm") else None
    return {
        "cores": cores,
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "disk_free": {
            place: shutil.disk_usage(place).free for place in (os.getcwd(), tempfile.gettempdir())
        },
        "shared_memory_free": shared,
    }


def look_at_tools() -> dict[str, str | None]:
    """Programs beside Python; none is needed for the main job."""
    tools: dict[str, Callable[[], str | None]] = {
        "libav in PyAV": libav,
        "ffmpeg": lambda: first_line("ffmpeg", "-version"),
        "compiler": lambda: first_line("g++", "--version") or first_line("c++", "--version"),
        "nvcc": lambda: last(first_lines("nvcc", "--version")),
    }
    return {name: look() for name, look in tools.items()}


def libav() -> str | None:
    try:
        import av
    except Exception:  # the packages' own list says why
        return None
    numbers = {name: ".".join(map(str, numbers)) for name, numbers in av.library_versions.items()}
    return ", ".join(f"{name} {numbers[name]}" for name in ("libavcodec", "libavformat"))


def first_line(*command: str) -> str | None:
    lines = first_lines(*command)
    return lines[0] if lines else None


def last(lines: list[str] | None) -> str | None:
    return lines[-1] if lines else None


def first_lines(*command: str) -> list[str] | None:
    """What a program says on stdout, or None where it is missing or fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.strip().splitlines()
    return lines if done.returncode == 0 and lines else None


def problems(report: Report) -> list[dict[str, Any]]:
    """What is wrong, whether it stops the main job, and the remedy in one line."""
    findings: list[dict[str, Any]] = []

    def add(stops: bool, what: str, remedy: str) -> None:
        findings.append({"stops": stops, "what": what, "remedy": remedy})

    for package, seen in report["packages"].items():
        if seen["needed"] and seen["version"] is None:
            reason = seen.get("reason", "it is not installed")
            add(
                True,
                f"{package} cannot be used: {reason}",
                f"pip install --force-reinstall {package}",
            )
    ours = {name for name in installed_names() if name.startswith("opencv")}
    if len(ours) > 1:
        add(
            False,
            f"{' and '.join(sorted(ours))} are installed over each other",
            f"pip uninstall {' '.join(sorted(ours))}, then pip install opencv-contrib-python",
        )
    engines = report["engines"].values()
    usable = {name for preset in engines for name, state in preset.items() if state == "ok"}
    if not usable & {"gpu", "cpu"}:
        add(False, "only slow flow engines work", "see the reasons beside gpu and cpu")
    if report["gpus"] and "gpu" not in usable:
        driver = int(report["gpus"][0]["driver_version"].split(".")[0])
        extra = "cuda13" if driver >= FIRST_DRIVER_WITH_CUDA_13 else "cuda12"
        reason = next(iter(report["engines"].values())).get("gpu", "")
        add(False, f"a GPU is here and unused: {reason}", f"pip install 'twostream[{extra}]'")
    machine = report["machine"]
    for place, free in machine["disk_free"].items():
        if free < LITTLE_DISK:
            add(False, f"only {free / 1e9:.1f} GB free in {place}", "free some, or work elsewhere")
    if (machine["shared_memory_free"] or LITTLE_SHARED) < LITTLE_SHARED:
        add(
            False,
            f"only {machine['shared_memory_free'] / 1e6:.0f} MB of shared memory for loaders",
            "start the container with --ipc=host or --shm-size=8g, or train with --workers 0",
        )
    return findings


def installed_names() -> set[str]:
    return {str(one.metadata["Name"]).lower() for one in distributions()}


def version_of(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
