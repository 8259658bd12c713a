"""One worker, and others that are quicker."""

from __future__ import annotations

from pathlib import Path

import pytest
import video_files

from flow.algorithms.table import algorithm
from flow.extraction.extract import extract_video
from flow.extraction.plan import Task
from flow.extraction.recipe import Recipe
from flow.extraction.worker import Workshop
from storage.store.store import open_store

RECIPE = Recipe(flow=algorithm("dis"), codec="raw", frame_codec="raw")


def task_of(path: Path) -> Task:
    return Task("v", str(path), path.name, path.stat().st_size)


@pytest.fixture
def shop(tmp_path: Path) -> Workshop:
    open_store(tmp_path / "s", "w", RECIPE.config())
    return Workshop(str(tmp_path / "s"), RECIPE)


def test_what_another_stored_meanwhile_counts_as_stored_already(
    shop: Workshop, tmp_path: Path
) -> None:
    task = task_of(video_files.write(tmp_path / "v.avi", video_files.moving(9)))
    other = open_store(tmp_path / "s", "a")

    def late(pairs: int) -> None:
        if "v" not in other:
            extract_video(task.path, "v", other, RECIPE, name="v.avi")

    outcome = shop.extract(task, progress=late)
    assert (outcome.status, outcome.frames) == ("already", 9)
    assert shop.extract(task).status == "already"


def test_another_file_of_that_name_is_no_success(shop: Workshop, tmp_path: Path) -> None:
    first = video_files.write(tmp_path / "v.avi", video_files.moving(9))
    (tmp_path / "other").mkdir()
    second = video_files.write(tmp_path / "other" / "v.avi", video_files.moving(12))
    assert shop.extract(task_of(first)).status == "stored"
    outcome = shop.extract(task_of(second))  # planned before the first was stored
    assert (outcome.status, outcome.kind) == ("failed", "source changed")
    assert "bytes became" in outcome.reason
