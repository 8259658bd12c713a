"""`import twostream` and `python -m twostream` give our packages, whatever lies around."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from streams_tiny import Tiny, write_tiny
from surroundings import ROOT

import twostream as front_door

ROOMS = ("flow", "fusion", "scripts", "storage", "streams")


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    """A user's folder with packages of our names; each stops whoever imports it."""
    for room in ROOMS:
        (tmp_path / room).mkdir()
        (tmp_path / room / "__init__.py").write_text("raise SystemExit('the user's own package')\n")
    return tmp_path


def python(folder: Path, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    """Python in a folder that comes first on its path, as with `python -m` and in notebooks."""
    paths = os.pathsep.join([str(folder), str(ROOT)])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )


def test_every_public_name_is_there() -> None:
    assert {"open_store", "load_catalog", "compute_flow", "engines", "TVL1"} <= set(
        front_door.__all__
    )
    for name in front_door.__all__:
        assert getattr(front_door, name) is not None, name
    with pytest.raises(AttributeError, match="has no attribute 'windows'"):
        front_door.windows  # noqa: B018


def test_names_are_imported_when_they_are_used() -> None:
    code = "import sys, twostream; assert not {'torch', 'numpy', 'lmdb'} & set(sys.modules)"
    done = python(ROOT, "-c", code)
    assert done.returncode == 0, done.stderr


def test_our_packages_are_found_in_a_crowded_folder(crowded: Path) -> None:
    code = (
        "import twostream, storage, flow\n"
        "print(twostream.open_store.__module__, storage.__file__, flow.__file__)"
    )
    done = python(crowded, "-c", code)
    assert done.returncode == 0, done.stderr
    module, *files = done.stdout.split()
    assert module == "storage.store.store"
    assert all(Path(file).is_relative_to(ROOT) for file in files)


def test_a_package_that_was_there_first_is_named_in_one_line(crowded: Path) -> None:
    (crowded / "storage" / "__init__.py").write_text("MINE = 1\n")
    done = python(crowded, "-c", "import storage\nimport twostream")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: twostream needs its own package 'storage'")
    assert str(crowded / "storage" / "__init__.py") in last


def test_a_folder_of_data_does_not_hide_a_package(tmp_path: Path) -> None:
    """Folders of flow images are often called `flow`."""
    (tmp_path / "flow").mkdir()
    (tmp_path / "flow" / "img_00001.jpg").touch()
    done = python(tmp_path, "-c", "from flow import TVL1; print(TVL1().tau)")
    assert done.stdout.strip() == "0.25", done.stderr


def test_the_command_works_in_a_crowded_folder(crowded: Path) -> None:
    done = python(crowded, "-m", "twostream", "--version")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("twostream ")
    assert python(crowded, "-m", "twostream", "train", "temporal", "--help").returncode == 0


@pytest.mark.slow
def test_torchrun_trains_from_a_crowded_folder(crowded: Path) -> None:
    """Two processes, each with a reading process of its own."""
    tiny: Tiny = write_tiny(crowded / "data")
    words = f"train temporal --store {tiny.store} --labels {tiny.labels} --out run --recipe small"
    words += " --steps 2 --batch 4 --size 24 --workers 1 --quiet --device cpu"
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2"]
    launcher += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    done = python(crowded, *launcher, "-m", "twostream", *words.split())
    assert done.returncode == 0, done.stdout + done.stderr
    assert (crowded / "run" / "checkpoints" / "best.safetensors").exists()
