"""The completion that docs/troubleshooting.md gives for bash completes what the program knows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from surroundings import ROOT

PAGE = ROOT / "docs" / "troubleshooting.md"


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_commands_kinds_and_options_are_completed(tmp_path: Path) -> None:
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    (script,) = [block for block in blocks if "complete" in block]
    program = tmp_path / "twostream"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m twostream "$@"\n')
    program.chmod(0o755)
    asked = [
        ("expo", ["export"]),
        ("bench cod", ["codecs"]),
        ("extract videos --short", ["--short-side"]),
        ("train temporal --labels L --tra", ["--track"]),
    ]
    for line, _ in asked:
        words = line.split()
        script += f"COMP_WORDS=(twostream {line}); COMP_CWORD={len(words)}; _twostream\n"
        script += 'echo "${COMPREPLY[@]}"\n'
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    found = [sorted(set(line.split())) for line in done.stdout.splitlines()]
    assert found == [words for _, words in asked], done.stderr
