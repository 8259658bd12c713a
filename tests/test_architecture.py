"""The house keeps its shape: imports run one way, and light modules stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("flow", "storage", "streams", "fusion", "scripts")
MAY_IMPORT = {
    "storage": set(),
    "flow": {"storage"},
    "streams": {"storage"},
    "fusion": {"storage", "streams"},
    "scripts": {"storage", "flow", "streams", "fusion"},
}
NEVER = {"streams": {"cv2", "cupy", "numba", "flow"}, "flow": {"torch", "torchvision"}}
SOURCES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """Every top-level module that a file imports, anywhere in it, and the line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name.split(".")[0], node.lineno
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                yield path.relative_to(ROOT).parts[0], node.lineno
            elif node.module:
                yield node.module.split(".")[0], node.lineno
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name | ast.Attribute)
            and "import_module" in ast.unparse(node.func)
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value).split(".")[0], node.lineno


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    allowed = MAY_IMPORT[room] | {room}
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for name, line in imports(path)
        if (name in ROOMS and name not in allowed) or name in NEVER.get(room, set())
    ]
    assert not wrong


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_one_concept(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def imports_without(blocked: tuple[str, ...], statement: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n{statement}"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


HEAVY = ("torch", "torchvision", "cv2", "numba", "lmdb", "av", "joblib", "scipy", "sklearn", "tqdm")


@pytest.mark.parametrize("room", ["flow", "storage", "streams", "fusion", "scripts.cli"])
def test_a_room_opens_with_nothing_but_numpy(room: str) -> None:
    done = imports_without((*HEAVY, "tyro", "cupy"), f"import {room}")
    assert done.returncode == 0, done.stderr


ONLY_NUMPY = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        known = sys.stdlib_module_names | {"numpy", "flow", "storage"}
        if name.split(".")[0] not in known:
            raise ModuleNotFoundError(f"only numpy is installed, not {name}")
sys.meta_path.insert(0, Refuse())
"""


@pytest.mark.parametrize("path", sorted((ROOT / "flow").glob("gpu*.py")), ids=lambda p: p.stem)
def test_the_gpu_engine_opens_with_only_numpy_installed(path: Path) -> None:
    code = f"{ONLY_NUMPY}\nimport flow.{path.stem}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
