"""The rehearsal of docs/tutorial.md, command by command as it stands there, on real clips."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from surroundings import ROOT

from storage.scores.table import ScoreTable
from storage.store.store import open_store

MARK = "<!-- a test runs the commands of this block, on real clips -->"


def rehearsal() -> list[list[str]]:
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    block = re.search(re.escape(MARK) + r"\n```sh\n(.*?)```", page, re.DOTALL)
    assert block, "the page has no block to run"
    return [shlex.split(line) for line in block[1].replace("\\\n", " ").splitlines()]


def test_the_rehearsal_shows_every_command_that_the_way_needs() -> None:
    lines = rehearsal()
    assert {line[0] for line in lines} == {"twostream"}
    assert {line[1] for line in lines} == {
        *("extract", "inspect", "verify", "preview", "train", "score", "fuse", "report"),
        *("predict", "export", "import"),
    }


@pytest.mark.slow
def test_the_rehearsal_runs(
    shared_data: Path,
    tmp_path: Path,
    twostream: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    (tmp_path / "few").symlink_to(shared_data / "clips" / "ucf101")
    (tmp_path / "ucfTrainTestlist").symlink_to(shared_data / "lists" / "ucf101_mini")
    env = {"OMP_NUM_THREADS": "1"}
    for _, *words in rehearsal():
        done = twostream(*words, cwd=tmp_path, timeout=1200, env=env)
        assert done.returncode == 0, (words, done.stderr[-2000:])
        assert "Traceback" not in done.stderr
        assert done.stdout.strip(), words
    made = tmp_path / "small"
    with open_store(made / "store") as store, open_store(made / "again") as again:
        assert len(store) == 63
        assert again.videos() == store.videos()
        for video in store.videos():
            assert again.video(video).pairs == store.video(video).pairs
            assert again.video(video).frames == store.video(video).frames
    report = json.loads((made / "report.json").read_text(encoding="utf-8"))
    figures = {row["name"]: row["top1"]["value"] for row in report["splits"][0]["tables"]}
    assert len(figures) == 6
    for name in ("spatial", "temporal"):
        table = ScoreTable.load(made / f"{name}.npz")
        assert len(table.videos) == 26
        assert figures[name] == pytest.approx((table.scores.argmax(1) == table.labels).mean())
    for picture in ("report.html", "seen.mp4", "biking.png"):
        assert (made / picture).stat().st_size > 5000


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert {page for page in pages if f"]({page})" not in index} == set()
