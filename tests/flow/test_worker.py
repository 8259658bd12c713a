"""One worker, and others that are quicker."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import video_files

from flow.algorithms.table import algorithm
from flow.extraction.extract import extract_video
from flow.extraction.plan import Task
from flow.extraction.recipe import Recipe
from flow.extraction.worker import Outcome, extract_task
from storage.store.store import open_store

RECIPE = Recipe(flow=algorithm("dis"), codec="raw", frame_codec="raw")


def task_of(path: Path) -> Task:
    return Task("v", str(path), path.name, path.stat().st_size)


Extract = Callable[..., Outcome]


@pytest.fixture
def extract(tmp_path: Path) -> Extract:
    """`extract_task` into a new store."""
    open_store(tmp_path / "s", "w", RECIPE.config())
    return lambda task, progress=None: extract_task(
        task, str(tmp_path / "s"), RECIPE, False, progress
    )


def test_what_another_stored_meanwhile_counts_as_stored_already(
    extract: Extract, tmp_path: Path
) -> None:
    task = task_of(video_files.write(tmp_path / "v.avi", video_files.moving(9)))
    other = open_store(tmp_path / "s", "a")

    def late(pairs: int) -> None:
        if "v" not in other:
            extract_video(task.path, "v", other, RECIPE, name="v.avi")

    outcome = extract(task, late)
    assert (outcome.status, outcome.frames) == ("already", 9)
    assert extract(task).status == "already"


def test_another_file_of_that_name_is_no_success(extract: Extract, tmp_path: Path) -> None:
    first = video_files.write(tmp_path / "v.avi", video_files.moving(9))
    (tmp_path / "other").mkdir()
    second = video_files.write(tmp_path / "other" / "v.avi", video_files.moving(12))
    assert extract(task_of(first)).status == "stored"
    outcome = extract(task_of(second))  # planned before the first was stored
    assert (outcome.status, outcome.kind) == ("failed", "source changed")
    assert "bytes became" in outcome.reason


def test_a_store_that_is_not_there_is_fatal(tmp_path: Path) -> None:
    video = video_files.write(tmp_path / "v.avi", video_files.moving(9))
    outcome = extract_task(task_of(video), str(tmp_path / "nowhere"), RECIPE, False)
    assert outcome.status == "fatal"
    assert "is not visible on" in outcome.reason


def test_the_kind_of_a_fault_is_the_faults_own(tmp_path: Path) -> None:
    open_store(tmp_path / "s", "w", RECIPE.config())
    video = video_files.write(
        tmp_path / "v.avi", video_files.moving(40), codec="mjpeg", pixels="yuvj420p"
    )
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    outcome = extract_task(task_of(video), str(tmp_path / "s"), RECIPE, True)
    assert (outcome.status, outcome.kind) == ("stored", "truncated")
    assert outcome.reason.startswith("truncated at frame ")
