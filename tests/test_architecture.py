"""The house keeps its shape: the plan of `house_plan.py` holds, and light modules stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from house_plan import ALIKE, NEVER, PLAN
from surroundings import ROOT

BIG_ROOMS = ("flow", "storage", "streams", "fusion", "scripts")
OPEN_TO_ALL = {
    "twostream",
    "storage.atomic",
    "storage.progress",
    "storage.errors",
    "storage.hdf5",
    "storage.videos",
    "streams.settings",
}
MOST_LINES = 400
MOST_ROOMS, MOST_FLOORS = 12, 6


def module_of(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def sources(root: Path) -> dict[str, Path]:
    """Module -> its file."""
    files = (path for room in BIG_ROOMS for path in sorted((root / room).rglob("*.py")))
    return {module_of(path, root): path for path in files}


@cache
def nodes(text: str) -> tuple[ast.AST, ...]:
    """What a source imports, and its constants; kept, since a planted fault changes one file."""
    kinds = ast.Import | ast.ImportFrom | ast.Constant
    return tuple(node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds))


def imports(path: Path) -> Iterator[tuple[str, str, int]]:
    """(module, name or "", line) of everything that a file imports, anywhere in it."""
    for node in nodes(path.read_text(encoding="utf-8")):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno}: imports here are absolute"
            yield from ((str(node.module), alias.name, node.lineno) for alias in node.names)


def named_modules(path: Path, room: str, known: set[str]) -> set[str]:
    """Modules that a file names in a string, whole or within its room, as tables of engines,
    formats and networks do."""
    texts = {
        node.value
        for node in nodes(path.read_text(encoding="utf-8"))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return known & (texts | {f"{room}.{text}" for text in texts})


def room_of(module: str) -> str:
    """The innermost room of the plan that a module belongs to."""
    while module not in PLAN:
        module, _, last = module.rpartition(".")
        assert module, f"no room for {last}"
    return module


def forbidden_arrows(root: Path) -> list[str]:
    """Imports that the plan does not allow, by what is imported and from where."""
    wrong = []
    modules = sources(root)
    for module, path in modules.items():
        package = path.name == "__init__.py"
        room = module if package else module.rpartition(".")[0]
        if room not in PLAN:
            wrong.append(f"{path.relative_to(root)} is in no room of the plan")
            continue
        for target, name, line in imports(path):
            where = f"{path.relative_to(root)}:{line} imports {target}"
            big = target.split(".")[0]
            if {target, big} & NEVER.get(room.split(".")[0], set()):
                wrong.append(where)
            inside = f"{target}.{name}" if f"{target}.{name}" in modules else target
            if big not in BIG_ROOMS or inside in OPEN_TO_ALL:
                continue
            other = inside if inside in PLAN else room_of(inside)
            if package and other.startswith(room + "."):
                continue  # a big room hands on what its rooms hand on
            if other != room and other not in PLAN[room]:
                wrong.append(where)
            elif other not in (room, "scripts") and target != other:
                wrong.append(f"{where}: from another room only {other}'s public names")
    return wrong


def doubled_names(root: Path) -> list[str]:
    """Classes and functions that two modules of one big room define."""
    homes: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module, path in sources(root).items():
        big = module.split(".")[0]
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if (
                isinstance(node, ast.ClassDef | ast.FunctionDef)
                and not node.name.startswith("_")
                and node.name not in ALIKE[big]
            ):
                homes[big, node.name].append(module)
    return [f"{name}: {', '.join(at)}" for (_, name), at in homes.items() if len(at) > 1]


def orphans(root: Path) -> list[str]:
    """Modules that no module imports or names, and that are no command to start."""
    modules = sources(root)
    used: set[str] = set()
    for module, path in modules.items():
        for target, name, _ in imports(path):
            used |= {m for m in (target, f"{target}.{name}") if m != module}
        used |= named_modules(path, module.rpartition(".")[0], set(modules)) - {module}
    return [
        module
        for module, path in modules.items()
        if module not in used
        and path.name not in ("__init__.py", "__main__.py")
        and "__main__" not in path.read_text(encoding="utf-8")
        and not any(kernel.suffix == ".cu" for kernel in path.parent.iterdir())
    ]


def test_imports_follow_the_plan() -> None:
    assert forbidden_arrows(ROOT) == []


def test_the_plan_runs_one_way() -> None:
    """Rooms can be put on floors: each stands above all that it imports."""
    for big in (*BIG_ROOMS, ""):

        def floor(room: str, above: tuple[str, ...] = (), big: str = big) -> int:
            assert room not in above, f"a circle: {' -> '.join((*above, room))}"
            below = [floor(other, (*above, room)) for other in PLAN[room] if other.startswith(big)]
            return 1 + max(below, default=0)

        floors = {room: floor(room) for room in PLAN if room.startswith(f"{big}.")}
        assert len(floors) <= MOST_ROOMS
        assert max(floors.values(), default=0) <= MOST_FLOORS


def test_the_plan_has_no_room_that_is_not_there() -> None:
    assert [room for room in PLAN if not (ROOT / room.replace(".", "/")).is_dir()] == []


def test_one_name_means_one_thing() -> None:
    assert doubled_names(ROOT) == []


def test_no_module_is_left_over() -> None:
    assert orphans(ROOT) == []


def test_a_public_name_is_not_the_name_of_a_module_beside_it() -> None:
    """Else `from room import name` would give one or the other, by what was imported before."""
    wrong = []
    for room in PLAN:
        init = ROOT / room.replace(".", "/") / "__init__.py"
        inside = {path.stem for path in init.parent.iterdir()} - {"__init__"}
        names = [name for module, name, _ in imports(init) if module.startswith(room)]
        # A room within is handed on as itself: `streams.networks` is room and list in one.
        wrong += [
            f"{room}.{name}" for name in names if name in inside and f"{room}.{name}" not in PLAN
        ]
    assert wrong == []


@pytest.mark.parametrize("path", sources(ROOT).values(), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_is_one_concept(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The sources alone, to plant faults in."""
    for path in sources(ROOT).values():
        to = tmp_path / path.relative_to(ROOT)
        to.parent.mkdir(parents=True, exist_ok=True)
        to.write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    for path in ROOT.glob("flow/tvl1/gpu/kernels/*.cu"):
        (tmp_path / path.relative_to(ROOT)).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("storage/codecs/codec.py", "from flow.tvl1 import TVL1"),
        ("flow/tvl1/params.py", "from flow.tvl1.cpu.engine import compute"),
        ("flow/extraction/recipe.py", "from flow.tvl1.params import TVL1"),
        ("streams/samples/crops.py", "def inside():\n    import cv2"),
        ("streams/inputs/stacks.py", "from streams.training import Recipe"),
    ],
)
def test_a_planted_arrow_is_found(copied: Path, file: str, line: str) -> None:
    with (copied / file).open("a") as end:
        end.write(f"\n{line}\n")
    (found,) = forbidden_arrows(copied)
    assert found.startswith(f"{file}:")


def test_a_planted_doubled_name_is_found(copied: Path) -> None:
    for file in ("storage/codecs/codec.py", "storage/scores/npz.py"):
        with (copied / file).open("a") as end:
            end.write("\n\nclass Planted:\n    pass\n")
    assert doubled_names(copied) == ["Planted: storage.codecs.codec, storage.scores.npz"]


def test_a_planted_orphan_is_found(copied: Path) -> None:
    (copied / "flow" / "video" / "left_over.py").write_text("VALUE = 1\n")
    assert orphans(copied) == ["flow.video.left_over"]


def imports_without(blocked: tuple[str, ...], statement: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys\nfor name in {blocked!r}: sys.modules[name] = None\n{statement}"
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)


HEAVY = ("torch", "torchvision", "cv2", "numba", "lmdb", "av", "joblib", "scipy", "sklearn", "tqdm")


def test_every_room_opens_with_nothing_but_numpy() -> None:
    rooms = ", ".join(["twostream", *PLAN, "scripts.cli"])
    done = imports_without((*HEAVY, "tyro", "cupy"), f"import {rooms}")
    assert done.returncode == 0, done.stderr


ONLY_NUMPY = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        known = sys.stdlib_module_names | {"numpy", "flow", "storage", "twostream"}
        if name.split(".")[0] not in known:
            raise ModuleNotFoundError(f"only numpy is installed, not {name}")
sys.meta_path.insert(0, Refuse())
"""


def test_the_gpu_engine_opens_with_only_numpy_installed() -> None:
    modules = [module for module in sources(ROOT) if module.startswith("flow.tvl1.gpu.")]
    assert len(modules) >= 7
    code = f"{ONLY_NUMPY}\nimport {', '.join(modules)}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
