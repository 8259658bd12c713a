"""The package: its three lists of dependencies agree, and its wheel works outside the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from surroundings import ROOT

ROOMS = ("flow", "fusion", "scripts", "storage", "streams")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
SET_UP = (ROOT / "scripts" / "setup.sh").read_text()
OF_CUDA = re.compile(r"nvidia-|cuda-|triton$|cupy-")
"""What torch and CuPy add on a machine with a GPU; their own pins hold."""


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    rows = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(row) == 2 for row in rows), "constraints.txt pins everything with =="
    return {canonicalize_name(name): Version(version) for name, version in rows}


def installed_by_set_up() -> list[Requirement]:
    """Our own requirements, of the package and of the extras that set-up installs."""
    (extras,) = re.findall(r"-e '\.\[([\w,]+)\]'", SET_UP)
    texts = [*PROJECT["dependencies"], *(r for name in extras.split(",") for r in EXTRAS[name])]
    return [Requirement(text) for text in texts]


def test_every_requirement_is_pinned_at_a_version_that_it_allows() -> None:
    known = pins()
    for requirement in installed_by_set_up():
        name = canonicalize_name(requirement.name)
        assert name in known, f"{name} is not in constraints.txt"
        assert known[name] in requirement.specifier, f"{requirement} forbids {known[name]}"
        assert requirement.specifier, f"{name} has no lower bound in pyproject.toml"


def test_what_the_requirements_require_is_pinned_too() -> None:
    known, waiting, seen = pins(), [r.name for r in installed_by_set_up()], set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in seen or OF_CUDA.match(name):
            continue
        seen.add(name)
        assert name in known, f"{name} is not in constraints.txt"
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            continue  # of an extra that is not installed here
        needs = [Requirement(line) for line in lines]
        waiting += [r.name for r in needs if not r.marker or r.marker.evaluate({"extra": ""})]
    assert len(seen) > 40


def test_conda_and_pip_describe_the_same_environment() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    parts = environment["dependencies"]
    (by_pip,) = (part["pip"] for part in parts if isinstance(part, dict))
    by_conda = dict(part.partition("=")[::2] for part in parts if isinstance(part, str))
    assert set(by_conda) == {"python", "ffmpeg", "pip"}
    assert SpecifierSet(PROJECT["requires-python"]).contains(by_conda["python"])
    assert f"Programming Language :: Python :: {by_conda['python']}" in PROJECT["classifiers"]
    assert by_pip[0] == "-c constraints.txt"
    (install,) = by_pip[1:]
    assert install.replace("-e ", "-e '") + "'" in SET_UP, "set-up installs the same extras"
    assert environment["name"] == PROJECT["name"]


def test_extras_are_what_they_say() -> None:
    known = {"cuda12", "cuda13", "dask", "dev", "explain", "mlflow", "timm", "wandb"}
    assert set(EXTRAS) == known | {"litdata", "shards"}
    assert [Requirement(r).name for name in ("cuda12", "cuda13") for r in EXTRAS[name]] == [
        "cupy-cuda12x",
        "cupy-cuda13x",
    ]
    assert set(EXTRAS["dask"]) <= set(EXTRAS["dev"]), "the tests use Dask"
    assert {*EXTRAS["shards"], *EXTRAS["litdata"]} <= set(EXTRAS["dev"]), "so do they use these"


def copy_of_checkout(folder: Path) -> Path:
    """What a package is built from, so that the checkout stays as it is."""
    for room in ROOMS:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / room, folder / room, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "twostream.py"):
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheel."""
    source = copy_of_checkout(tmp_path_factory.mktemp("source"))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (source / "dist").glob("*.whl")
    return built


def test_the_wheel_holds_every_source_and_what_is_read_beside_it(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    kinds = (".py", ".cu", ".cuh", ".html", ".css", ".js")
    ours = {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.suffix in kinds
    } | {"twostream.py"}
    assert ours <= inside
    assert any(
        name.startswith("flow/tvl1/gpu/kernels/") and name.endswith(".cu") for name in inside
    )
    others = {name for name in inside - ours if ".dist-info/" not in name}
    assert not others, "nothing but our own files"
    assert any(name.endswith("/licenses/LICENSE") for name in inside)


def test_the_wheel_names_the_command_and_the_python(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (entry,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert "twostream = scripts.cli:main" in archive.read(entry).decode()
    (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
    text = archive.read(metadata).decode()
    assert f"Requires-Python: {PROJECT['requires-python']}" in text
    assert all(f"Provides-Extra: {extra}" in text for extra in EXTRAS)


def outside(folder: Path) -> dict[str, str]:
    """Environment variables in which nothing leads back to the checkout."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV_", "PYTEST"))}
    return kept | {"HOME": str(folder)}


def check_installed(environment: Path, folder: Path) -> None:
    """Where it is installed, `twostream` works, and finds its data files, far from the checkout."""
    python, env = environment / "bin" / "python", outside(folder)
    where = subprocess.run(
        [
            python,
            "-c",
            "import importlib.resources as r, flow, scripts; print(flow.__file__);"
            "print(sorted(f.name for f in r.files('flow.tvl1.gpu.kernels').iterdir()))",
        ],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert where.returncode == 0, where.stderr
    assert str(environment) in where.stdout
    assert ".cu'" in where.stdout
    done = subprocess.run(
        [environment / "bin" / "twostream", "doctor", "--json"],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["twostream"] == PROJECT["version"]
    assert report["engines"]["opencv-cuda"]["reference"] == "ok"


@pytest.mark.slow
def test_the_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own, which borrows only the dependencies of this one."""
    check_installed(installed(tmp_path, str(wheel)), tmp_path)


def installed(folder: Path, *what: str) -> Path:
    """An environment with us in it, which borrows only the dependencies of this one."""
    environment = folder / "environment"
    venv.create(environment, with_pip=False, symlinks=True)
    (packages,) = environment.glob("lib/python3*/site-packages")
    borrowed = [path for path in sys.path if Path(path).name == "site-packages"]
    (packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python")]
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed"]
    # Away from the checkout, whose egg-info would pass for an installed twostream.
    done = subprocess.run(
        [*pip, "install", "-q", *options, *what],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return environment


@pytest.mark.slow
def test_a_folder_named_flow_does_not_hide_an_editable_install(tmp_path: Path) -> None:
    """Folders of flow pictures are often called so; `pip install -e` alone would find those."""
    (tmp_path / "checkout").mkdir()
    source = copy_of_checkout(tmp_path / "checkout")
    environment = installed(tmp_path, "-e", str(source))
    data = tmp_path / "data"
    (data / "flow").mkdir(parents=True)
    (data / "flow" / "img_00001.jpg").touch()
    (data / "storage").mkdir()
    python = str(environment / "bin" / "python")
    code = "from flow import TVL1; import flow, storage; print(flow.__file__, storage.__file__)"
    for words in ([python, "-c", code], [python, "-c", f"import twostream; {code}"]):
        done = subprocess.run(
            words, cwd=data, env=outside(data), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert all(Path(file).is_relative_to(source) for file in done.stdout.split())
    for words in (["--version"], ["extract", "--help"]):
        done = subprocess.run(
            [str(environment / "bin" / "twostream"), *words],
            cwd=data,
            env=outside(data),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_wheel_installs_with_all_it_needs(wheel: Path, tmp_path: Path) -> None:
    """From the package index, at the pinned versions, into an environment that has nothing."""
    environment = tmp_path / "environment"
    venv.create(environment, with_pip=True, symlinks=True)
    command = [
        environment / "bin" / "python",
        *("-m", "pip", "install", "-q", "--disable-pip-version-check"),
        *("-c", ROOT / "constraints.txt", wheel),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    check_installed(environment, tmp_path)
    shutil.rmtree(environment)
