"""All commands alike: help, options, JSON, silence, exit codes, and one line for every mistake."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from every_command import CALLS, NAMES, NUMBERS, TOO_LONG_HERE, Place, make_place
from surroundings import ROOT

from scripts import cli
from scripts.docs.commands import all_calls, help_of

CALLED = [" ".join(words) for words in all_calls()]
WHOLE = [call for call in CALLED if call in CALLS]
QUICK = [call for call in WHOLE if call not in TOO_LONG_HERE]
ONE_OF_A_KIND = [c for c in QUICK if not c.startswith("train ") or c == "train temporal"]
"""Trainings share their loop, and take the most time."""
OF_A_KIND = [
    call if call in {*ONE_OF_A_KIND, *TOO_LONG_HERE} else pytest.param(call, marks=pytest.mark.slow)
    for call in WHOLE
]
DISPATCHERS = {"train", "bench"}
HELP = {call: help_of(*call.split()) for call in CALLED}
SEEDED = {"demo", "fuse", "report", "bench store", *(c for c in WHOLE if c.startswith("train "))}
NO_JSON = {"preview"}
"""What writes one picture has nothing that a program would read."""

Said = Callable[[list[str]], tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return make_place(tmp_path_factory.mktemp("place"))


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Said:
    """Run a command in this process; gives its exit code, its output and its messages."""

    def run(words: list[str]) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(words)
        out, err = capsys.readouterr()
        return code, out, err

    return run


def the_one_line(code: int, out: str, err: str, call: str) -> str:
    """What a mistake must look like; gives the line."""
    assert code == 2, (code, out, err)
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith(f"twostream {call}: "), err
    assert "Traceback" not in err
    return lines[0]


def test_every_command_has_a_call_here() -> None:
    missing = [c for c in CALLED if c not in CALLS and c not in DISPATCHERS]
    assert not missing


# ---- help ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLED)
def test_help_shows_examples_on_lines_of_their_own(call: str) -> None:
    page = HELP[call].splitlines()
    examples = [line for line in page if line.startswith("    ") and f"twostream {call}" in line]
    assert examples
    assert all(line.count("twostream ") == 1 for line in examples)
    assert "{None}" not in HELP[call]
    assert max(map(len, page)) <= 102


@pytest.mark.parametrize("call", WHOLE)
def test_every_command_can_be_quiet_verbose_and_read_by_a_program(call: str) -> None:
    wanted = {"--quiet", "--verbose"}
    wanted |= {"--json"} - ({"--json"} if call in NO_JSON else set())
    wanted |= {"--seed INT"} if call in SEEDED else set()
    assert not [option for option in wanted if f" {option} " not in HELP[call]]


def test_help_loads_nothing_heavy() -> None:
    """All pages in one new process; a page that loads torch keeps people waiting for seconds."""
    program = (
        "import sys, io, contextlib\n"
        "from scripts import cli\n"
        f"for call in {CALLED!r}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()):\n"
        "        assert cli.main([*call.split(), '--help']) == 0, call\n"
        "    loaded = {'torch', 'cv2', 'numba', 'cupy', 'sklearn', 'scipy', 'matplotlib', 'av'}\n"
        "    loaded &= set(sys.modules)\n"
        "    assert not loaded, (call, loaded)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_the_command_by_itself(said: Said) -> None:
    assert said([])[0] == 2
    code, out, _ = said(["--help"])
    assert code == 0
    assert all(name in out for name in cli.COMMANDS)
    assert "Exit codes: 0" in out
    assert said(["--version"])[1].startswith("twostream ")
    code, out, err = said(["extrakt"])
    assert (code, out) == (2, "")
    assert "did you mean extract" in err


# ---- what works ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        call if call in ONE_OF_A_KIND else pytest.param(call, marks=pytest.mark.slow)
        for call in QUICK
        if call not in NO_JSON
    ],
)
def test_json_is_one_document_and_alone(
    call: str, place: Place, said: Said, tmp_path: Path
) -> None:
    code, out, err = said([*place.words(call, tmp_path), "--json"])
    assert code == 0, err
    json.loads(out)  # the whole of stdout, and nothing beside it


@pytest.mark.parametrize("call", [c for c in ONE_OF_A_KIND if c != "doctor"])
def test_quiet_says_the_summary_only(call: str, place: Place, said: Said, tmp_path: Path) -> None:
    code, out, err = said([*place.words(call, tmp_path), "--quiet"])
    assert code == 0, err
    assert err == ""
    assert out
    assert not out.startswith("{")


# ---- mistakes in the words -----------------------------------------------------------------------


@pytest.mark.parametrize("call", WHOLE)
def test_an_unknown_option(call: str, place: Place, said: Said, tmp_path: Path) -> None:
    line = the_one_line(*said([*place.words(call, tmp_path), "--no-such-option", "7"]), call)
    assert "--no-such-option" in line


def number_options(call: str) -> list[str]:
    rows = (line.strip("│ ").split() for line in HELP[call].splitlines() if " --" in line)
    return [row[0] for row in rows if len(row) > 1 and row[1] in ("INT", "FLOAT")]


@pytest.mark.parametrize("call", OF_A_KIND)
def test_words_in_place_of_numbers(call: str, place: Place, said: Said, tmp_path: Path) -> None:
    for option in number_options(call):
        line = the_one_line(*said([*place.words(call, tmp_path), option, "many"]), call)
        assert "many" in line
        assert option in line


@pytest.mark.parametrize("call", ["train x", "bench x", "train", "bench"])
def test_sub_commands_that_are_none(call: str, said: Said) -> None:
    code, out, err = said(call.split())
    assert code == 2
    if " " in call:
        assert len(err.splitlines()) == 1
        assert out == ""


@pytest.mark.parametrize(("call", "option", "value"), [*NUMBERS, *NAMES])
def test_values_that_cannot_be(
    call: str, option: str, value: str, place: Place, said: Said, tmp_path: Path
) -> None:
    words = [*place.words(call, tmp_path), option, value, "--quiet"]  # no progress before it
    line = the_one_line(*said(words), call)
    assert value in line or option in line


# ---- files and folders that are something else ---------------------------------------------------

WRONG = {
    "STORE": ("nowhere", "notes.txt", "empty folder", "other folder", "torn store", "noise.npz"),
    "FEATURES": ("nowhere", "notes.txt", "empty folder", "STORE", "noise.npz"),
    "LISTS": ("nowhere", "empty file", "empty folder", "other folder", "noise.npz"),
    "RUN": ("nowhere", "notes.txt", "empty folder", "broken run", "torn run", "strange run"),
    "WEIGHTS": ("nowhere", "notes.txt", "noise.npz", "other.npz", "empty file", "empty folder"),
    "CLASSES": ("nowhere", "noise.npz", "empty file", "empty folder"),
    "SCORES": ("nowhere", "notes.txt", "noise.npz", "other.npz", "empty file", "empty folder"),
    "VIDEO": ("nowhere", "notes.txt", "empty file", "noise.npz", "empty folder"),
    "VIDEOS": ("nowhere", "empty folder", "other folder"),
    "IMPORTED": ("nowhere", "notes.txt", "empty folder", "noise.npz"),
}
"""Kind of input -> what may stand there by mistake."""
TAKEN_ALL_THE_SAME = {("report", "broken run"), ("report", "strange run")}
"""The report shows what a run folder has, and needs none of it."""
SAME_KIND = {"RUN2": "RUN", "SCORES2": "SCORES", "FIT": "SCORES", "FIT2": "SCORES"}


def wrong_inputs() -> Iterator[tuple[str, str, str]]:
    for call in QUICK:
        for word in CALLS[call].split():
            for wrong in WRONG.get(SAME_KIND.get(word, word), ()):
                if (call, wrong) not in TAKEN_ALL_THE_SAME:
                    yield call, word, wrong


@pytest.mark.parametrize(("call", "word", "wrong"), list(wrong_inputs()))
def test_wrong_inputs(
    call: str, word: str, wrong: str, place: Place, said: Said, tmp_path: Path
) -> None:
    path = place.path(wrong)
    before = what_is_at(path)
    words = [*place.words(call, tmp_path, **{word: path}), "--quiet"]
    line = the_one_line(*said(words), call)
    assert wrong in line
    assert what_is_at(path) == before


def what_is_at(path: Path) -> list[Path] | bytes | None:
    if path.is_dir():
        return sorted(path.rglob("*"))
    return path.read_bytes() if path.exists() else None


def outputs() -> Iterator[tuple[str, str]]:
    for call in QUICK:
        yield from ((call, word) for word in CALLS[call].split() if word.startswith("OUT"))


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that nobody may write to, not even root."""
    folder = tmp_path_factory.mktemp("locked")
    if os.geteuid() != 0:
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    mount = shutil.which("mount")
    done = mount and subprocess.run(
        [mount, "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)], capture_output=True
    )
    if not done or done.returncode:
        pytest.skip("root may write everywhere here, and may not mount a read-only folder")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(("call", "word"), list(outputs()))
def test_outputs_where_nothing_can_be_written(
    call: str, word: str, place: Place, said: Said, tmp_path: Path, locked: Path
) -> None:
    words = [*place.words(call, tmp_path, **{word: locked / word}), "--quiet"]
    assert locked.name in the_one_line(*said(words), call)


@pytest.mark.parametrize(("call", "word"), list(outputs()))
def test_outputs_below_a_file(
    call: str, word: str, place: Place, said: Said, tmp_path: Path
) -> None:
    path = place.path("notes.txt") / word
    words = [*place.words(call, tmp_path, **{word: path}), "--quiet"]
    assert "notes.txt" in the_one_line(*said(words), call)


@pytest.mark.parametrize(("call", "word"), [o for o in outputs() if o[0] in ONE_OF_A_KIND])
def test_outputs_in_a_missing_folder_are_made_or_refused(
    call: str, word: str, place: Place, said: Said, tmp_path: Path
) -> None:
    path = tmp_path / "not there" / word
    code, out, err = said([*place.words(call, tmp_path, **{word: path}), "--quiet"])
    if code == 0:
        assert path.exists()
    else:
        assert "not there" in the_one_line(code, out, err, call)


@pytest.mark.parametrize(("call", "word"), list(outputs()))
def test_outputs_that_are_something_else_already(
    call: str, word: str, place: Place, said: Said, tmp_path: Path
) -> None:
    """A file for a folder, a folder for a file: refused, and left as it is."""
    path = tmp_path / word
    if "." in word:
        (path / "mine").mkdir(parents=True)
    else:
        path.write_text("mine")
    line = the_one_line(*said([*place.words(call, tmp_path), "--quiet"]), call)
    assert word in line
    assert (path / "mine").is_dir() if "." in word else path.read_text() == "mine"


# ---- as a real process ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["inspect", "STORE", "--json"], 0),
        (["inspect", "nowhere"], 2),
        (["extract", "nowhere", "--out", "new store", "--workers", "1"], 2),
        (["extract", "bad videos", "--out", "bad store", "--flow", "dis", "--workers", "1"], 1),
    ],
)
def test_exit_codes_of_a_process(
    words: list[str],
    code: int,
    place: Place,
    twostream: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    bad = place.path("bad videos")
    bad.mkdir(exist_ok=True)
    (bad / "torn.avi").write_bytes(b"RIFF" + bytes(100))
    done = twostream(*words, cwd=place.home)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    if code == 1:
        assert "torn" in done.stderr + done.stdout
    if code == 2:
        assert len(done.stderr.splitlines()) == 1
    if "--json" in words:
        json.loads(done.stdout)
