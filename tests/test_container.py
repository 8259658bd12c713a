"""The Dockerfile installs what the project declares; CITATION.cff says what it is."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet
from surroundings import ROOT

from scripts.cli import main

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
ROOMS = ("flow", "fusion", "scripts", "storage", "streams")
CUDAS = ("0", "12", "13")


def instructions() -> list[tuple[str, str]]:
    """(FROM, python:3.12) ..., continued lines joined, in order."""
    text = (ROOT / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in joined.splitlines()]


def values(name: str) -> list[str]:
    return [text for kind, text in instructions() if kind == name]


def test_everything_that_is_copied_is_here_and_all_of_us_is_copied() -> None:
    copied = [word for text in values("COPY") for word in shlex.split(text)[:-1]]
    assert all((ROOT / word).exists() for word in copied)
    needed = {*ROOMS, "twostream.py", "pyproject.toml", "constraints.txt", PROJECT["readme"]}
    assert needed | set(PROJECT["license-files"]) <= set(copied)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not set(copied) & set(ignored)


def test_its_python_is_one_that_the_project_takes() -> None:
    (version,) = re.findall(r"PYTHON=([\d.]+)", " ".join(values("ARG")))
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    assert values("FROM") == ["python:${PYTHON}-slim"]


@pytest.mark.parametrize("cuda", CUDAS)
def test_the_commands_it_runs_are_those_of_this_cuda(cuda: str, tmp_path: Path) -> None:
    """The shell runs them, with stand-ins that write down how they were called."""
    for name in ("pip", "apt-get", "twostream", "rm"):
        stand_in = tmp_path / name
        stand_in.write_text(f'#!/bin/sh\necho {name} "$@" >> "{tmp_path}/calls"\n')
        stand_in.chmod(0o755)
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CUDA": cuda, "CPU_WHEELS": "https://cpu"}
    for text in values("RUN"):
        subprocess.run(["sh", "-euc", text], check=True, env=env, cwd=tmp_path)
    calls = (tmp_path / "calls").read_text().splitlines()
    (install,) = [call for call in calls if call.startswith("pip install")]
    assert "-c constraints.txt" in install
    (extras,) = re.findall(r"\.\[([\w,]+)\]", install)
    assert set(extras.split(",")) <= set(EXTRAS)
    assert (f"cuda{cuda}" in extras) is (cuda != "0")
    assert ("--extra-index-url https://cpu" in install) is (cuda == "0")
    assert calls[-1] == "twostream --version"
    assert any(call.startswith("apt-get install --yes") for call in calls)


def test_it_starts_our_command(capsys: pytest.CaptureFixture[str]) -> None:
    (entry,), (words,) = (json.loads(values(name)[0]) for name in ("ENTRYPOINT", "CMD"))
    assert entry in PROJECT["scripts"]
    assert main([words]) == 0
    assert "usage: twostream COMMAND" in capsys.readouterr().out
    examples = re.findall(r"twostream:cuda (\w+)$", (ROOT / "Dockerfile").read_text(), re.M)
    done = subprocess.run(
        [sys.executable, "-m", "scripts", *examples, "--help"], cwd=ROOT, capture_output=True
    )
    assert done.returncode == 0


def test_the_citation_is_of_this_version() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited.keys() >= {"cff-version", "message", "title", "authors", "version", "type"}
    assert (cited["title"], cited["version"]) == (PROJECT["name"], PROJECT["version"])
    assert cited["license"] == PROJECT["license"]
    assert cited["type"] == "software"
    assert all(work["title"] and work["authors"] and work["year"] for work in cited["references"])
