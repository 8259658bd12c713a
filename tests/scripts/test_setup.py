"""`scripts/setup.sh`, with tools that are broken in every way a newcomer's can be."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from surroundings import ROOT

PYTHON = """#!/bin/sh
# Stands in for python3, and for the one in the virtual environment.
case "$*" in
    -V) echo "Python ${FAKE_VERSION:-3.12.4}" ;;
    *version_info*) [ -z "${FAKE_VERSION:-}" ] ;;
    *ensurepip*) [ -z "${FAKE_NO_VENV:-}" ] ;;
    "-m venv "*)
        [ -z "${FAKE_READ_ONLY:-}" ] || { echo "Error: Permission denied" >&2; exit 1; }
        mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    "-m pip "*)
        echo "$*" >>pip.calls
        [ -z "${FAKE_PIP_SAYS:-}" ] || { echo "$FAKE_PIP_SAYS"; exit 1; } ;;
    *) echo "not expected: $*" >&2; exit 3 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with a stand-in for Python first on the path."""
    tools = tmp_path / "tools"
    tools.mkdir()
    write_tool(tools / "python3", PYTHON)
    return tmp_path


def write_tool(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def set_up(checkout: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "setup.sh"), ".venv"],
        cwd=checkout,
        env={"PATH": f"{checkout / 'tools'}:/usr/bin:/bin", **env},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_it_makes_the_environment_and_installs_at_the_pinned_versions(checkout: Path) -> None:
    done = set_up(checkout)
    assert done.returncode == 0, done.stderr
    (call,) = (checkout / "pip.calls").read_text().splitlines()
    assert call.endswith("-c constraints.txt -e .[dask,dev]")
    assert set_up(checkout).returncode == 0, "a second time"


NO_NETWORK = "NewConnectionError: [Errno -3] Temporary failure in name resolution"
NO_COMPILER = "error: command 'gcc' failed: No such file or directory"
TOO_NEW = "ERROR: Ignored the following versions that require a different python version: 0.68.1"
NO_SPACE = "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"PYTHON": "no-such-python"}, "no 'no-such-python' here; install Python 3.11"),
        ({"FAKE_VERSION": "3.9.2"}, "3.11 or newer is needed, 'python3' is Python 3.9.2"),
        ({"FAKE_NO_VENV": "1"}, "install python3-venv"),
        ({"FAKE_READ_ONLY": "1"}, "could not make .venv; is this folder writable?"),
        ({"FAKE_PIP_SAYS": NO_NETWORK}, "check the network"),
        ({"FAKE_PIP_SAYS": "ERROR: No matching distribution found for av"}, "package index"),
        ({"FAKE_PIP_SAYS": NO_COMPILER}, "no working compiler; install gcc"),
        ({"FAKE_PIP_SAYS": NO_SPACE}, "the disk is full"),
        ({"FAKE_PIP_SAYS": TOO_NEW}, "not made for Python 3.12.4; say PYTHON="),
    ],
)
def test_what_is_missing_is_one_line_with_its_remedy(
    checkout: Path, env: dict[str, str], told: str
) -> None:
    done = set_up(checkout, **env)
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("set-up: ")
    assert told in line


def test_too_little_disk_is_said_before_anything_is_installed(checkout: Path) -> None:
    row = "echo 'disk 9 9 {free} 9% /'"
    write_tool(checkout / "tools" / "df", f"#!/bin/sh\necho head\n{row.format(free=900000)}\n")
    done = set_up(checkout)
    assert done.returncode == 2
    assert "only 878 MB free here" in done.stderr
    assert not (checkout / ".venv").exists()
    write_tool(checkout / "tools" / "df", f"#!/bin/sh\necho head\n{row.format(free=9000000)}\n")
    assert set_up(checkout).returncode == 0


def test_any_other_fault_shows_the_end_of_pip_s_story(checkout: Path) -> None:
    done = set_up(checkout, FAKE_PIP_SAYS="ERROR: something never seen before")
    assert done.returncode == 2
    assert "something never seen before" in done.stderr
    assert "the whole story is in .venv/install.log" in done.stderr.splitlines()[-1]
