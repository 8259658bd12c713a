"""docs/notebook.ipynb runs from top to bottom, in a process of its own, and keeps no outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from surroundings import ROOT

PAGE = ROOT / "docs" / "notebook.ipynb"


def cells() -> list[dict]:
    notebook = json.loads(PAGE.read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    return list(notebook["cells"])


@pytest.mark.slow
def test_the_notebook_runs_and_shows_what_it_says(tmp_path: Path) -> None:
    """Its cells in order, as a kernel would run them; pictures are drawn, not shown."""
    code = "\n\n".join("".join(c["source"]) for c in cells() if c["cell_type"] == "code")
    count = 'print("pictures", len(plt.get_fignums()))'
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code.replace("plt.show()", "") + "\n" + count],
        cwd=tmp_path,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path), "MPLBACKEND": "agg"}
        | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("(7, 2, 96, 128)")
    assert lines[0].endswith("by 1.5 px")
    assert lines[1].startswith("within:0.08 | 7 pairs")
    assert [line.split()[0] for line in lines[2:6]] == ["companded", "round", "centred", "truncate"]
    assert lines[6].startswith("(10, 64, 64) disc/0")
    assert lines[7] == "pictures 4"


def test_no_outputs_are_kept() -> None:
    code = [cell for cell in cells() if cell["cell_type"] == "code"]
    assert code
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)
    assert PAGE.stat().st_size < 20_000
