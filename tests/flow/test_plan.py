"""What is left to do: resume, changed sources, shards."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flow.extraction.extract import file_identity
from flow.extraction.failures import Failure, gather_failures, read_failures, record_failures
from flow.extraction.plan import Plan, Share, make_plan
from flow.video.find import find_videos
from storage.errors import UserError


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    for i, size in enumerate((100, 3000, 500, 3000)):
        (folder / f"{i}.avi").write_bytes(bytes([i]) * size)
    return folder


def plan(folder: Path, stored: dict | None = None, **how: object) -> Plan:
    found, _ = find_videos([str(folder)])
    return make_plan(found, stored or {}, **how)


def source(path: Path) -> dict:
    return {**file_identity(path), "name": path.name}


def test_ids_do_not_depend_on_what_else_is_named(tmp_path: Path) -> None:
    """Two folders that hold files of one name, in any order of runs: nothing is done twice."""
    stored: dict[str, dict] = {}
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        (folder / "c").mkdir(parents=True)
        (folder / "c" / "a.avi").write_text(folder.name)

    def extract(*named: Path) -> list[str]:
        found, _ = find_videos([str(folder) for folder in named])
        todo = make_plan(found, stored)
        assert not todo.failed
        for task in todo.tasks:
            stored[task.video] = {**file_identity(task.path), "name": task.name}
        return [task.video for task in todo.tasks]

    assert extract(folders[0]) == ["c/a"]
    assert extract(*folders) == ["c/a.avi"]
    assert extract(*folders) == extract(folders[0]) == extract(folders[1]) == []
    stored.clear()
    assert extract(*folders) == ["one/c/a.avi", "two/c/a.avi"]
    assert extract(*folders) == extract(folders[0]) == extract(folders[1]) == []


def test_the_largest_first(videos: Path) -> None:
    assert [task.video for task in plan(videos).tasks] == ["1", "3", "2", "0"]


def test_stored_is_skipped(videos: Path) -> None:
    got = plan(videos, {"1": source(videos / "1.avi"), "2": source(videos / "2.avi")})
    assert ([t.video for t in got.tasks], got.skipped) == (["3", "0"], ["1", "2"])
    assert got.found == len(got.tasks) + len(got.skipped) + len(got.failed)


def test_a_copy_or_a_touched_file_is_the_same(videos: Path) -> None:
    stored = {"1": source(videos / "1.avi")}
    os.utime(videos / "1.avi", (1, 1))
    assert plan(videos, stored).skipped == ["1"]


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\1" * 2999 + b"!", "the same size, another sha256"), (b"x", "3000 bytes became 1")],
)
def test_a_changed_source_is_named(videos: Path, content: bytes, says: str) -> None:
    stored = {"1": source(videos / "1.avi")}
    (videos / "1.avi").write_bytes(content)
    os.utime(videos / "1.avi", (1, 1))
    got = plan(videos, stored)
    assert [f.reason for f in got.failed] == [
        f"source changed since it was stored: {says} (--redo-changed)"
    ]
    again = plan(videos, stored, redo_changed=True)
    assert [task.video for task in again.tasks if task.redo] == ["1"]


def test_what_was_imported_has_no_source_to_compare(videos: Path) -> None:
    assert plan(videos, {"1": {}}).skipped == ["1"]


def test_what_cannot_be_read_is_counted(videos: Path) -> None:
    (videos / "gone.avi").symlink_to("nowhere")
    (videos / "l.txt").write_text("0.avi\nmissing.avi\n..\n")
    got = plan(videos)
    assert [f.reason for f in got.failed] == ["cannot open: No such file or directory"]
    got = plan(videos / "l.txt")
    assert [f.reason for f in got.failed] == [
        "cannot open: no such file", "cannot open: a folder, in a list of files",
    ]  # fmt: skip
    assert got.found == 3


@given(ids=st.sets(st.text(min_size=1), max_size=60), count=st.integers(1, 9))
def test_shards_are_complete_and_disjoint(ids: set[str], count: int) -> None:
    held = [{v for v in ids if Share(i, count).holds(v)} for i in range(1, count + 1)]
    assert set().union(*held) == ids
    assert sum(map(len, held)) == len(ids)


def test_shards_are_even() -> None:
    ids = [f"class{i % 101}/v_{i}" for i in range(13320)]
    sizes = [sum(map(Share(i, 8).holds, ids)) for i in range(1, 9)]
    assert max(sizes) < 1.1 * min(sizes)


@pytest.mark.parametrize("text", ["0/8", "9/8", "3", "a/b", "3/", "/8", "-1/8", "1/0", "1.5/8"])
def test_a_wrong_shard(text: str) -> None:
    with pytest.raises(UserError, match="--shard"):
        Share.parse(text)


def test_a_shard_counts_its_own(videos: Path) -> None:
    parts = [plan(videos, share=Share.parse(f"{i}/3")) for i in (1, 2, 3)]
    assert sum(part.found for part in parts) == 4
    assert sorted(t.video for part in parts for t in part.tasks) == ["0", "1", "2", "3"]


def failure(video: str, kind: str = "truncated") -> Failure:
    return Failure(video, f"/v/{video}.avi", kind, f"{kind} at frame 3: ü")


def test_failures_are_kept_until_they_are_settled(tmp_path: Path) -> None:
    assert read_failures(tmp_path) == []
    record_failures(tmp_path, [failure("b"), failure("a")])
    record_failures(tmp_path, [failure("c")], ["b"])
    record_failures(tmp_path, [failure("a", "cannot open")])
    assert read_failures(tmp_path) == [failure("a", "cannot open"), failure("c")]
    record_failures(tmp_path, [], ["a", "c"])
    assert read_failures(tmp_path) == []


def test_failures_are_lines_until_they_are_gathered(tmp_path: Path) -> None:
    names = ["a", "b", "line\u2028end\n", "surrogate \udcff"]
    record_failures(tmp_path, [failure(name) for name in names])
    assert not (tmp_path / "failures.json").exists()
    gather_failures(tmp_path)
    assert read_failures(tmp_path) == [failure(name) for name in sorted(names)]
    content = (tmp_path / "failures.json").read_text(encoding="utf-8")
    assert [entry["video"] for entry in json.loads(content)["failures"]] == sorted(names)
    assert not (tmp_path / "failures.jsonl").exists()
    record_failures(tmp_path, [], ["b"])
    with open(tmp_path / "failures.jsonl", "ab") as file:
        file.write(b'\n{"video": "cut sh')  # a process killed as it wrote
    record_failures(tmp_path, [failure("c")])
    assert [entry.video for entry in read_failures(tmp_path)] == sorted({*names, "c"} - {"b"})
    before = read_failures(tmp_path)
    gather_failures(tmp_path)
    assert read_failures(tmp_path) == before


def test_a_failure_costs_the_same_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_failures(tmp_path, [failure(str(number)) for number in range(10_000)])
    gather_failures(tmp_path)
    size = (tmp_path / "failures.json").stat().st_size

    def never(*_: object, **__: object) -> str:
        raise AssertionError("what is on record was read or written again")

    monkeypatch.setattr(Path, "read_text", never)
    monkeypatch.setattr(Path, "write_text", never)
    record_failures(tmp_path, [failure("more")])
    record_failures(tmp_path, [], ["7"])
    monkeypatch.undo()
    assert (tmp_path / "failures.json").stat().st_size == size
    assert (tmp_path / "failures.jsonl").stat().st_size < 300
    assert len(read_failures(tmp_path)) == 10_000


def note_failures(folder: Path, name: str) -> None:
    for number in range(100):
        record_failures(folder, [failure(f"{name}{number}")])
        if number % 10 == 9:
            gather_failures(folder)


def test_runs_that_end_beside_others_lose_no_failure(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=note_failures, args=(tmp_path, name)) for name in "abcd"]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert len(read_failures(tmp_path)) == 400


def test_a_damaged_failures_file_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "failures.json").write_text('{"failures": [{"vi')
    record_failures(tmp_path, [failure("a")])
    assert read_failures(tmp_path) == [failure("a")]


def test_many_files_are_not_resolved_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every job of an array walks through all files: a folder costs something, a file nothing."""
    for folder in "abc":
        (tmp_path / folder).mkdir()
        for number in range(50):
            (tmp_path / folder / f"{number}.avi").touch()
    calls: list[str] = []
    for module, name in ((os.path, "realpath"), (os.path, "relpath"), (os, "stat")):
        real = getattr(module, name)

        def counted(*given: object, real: object = real, name: str = name, **how: object) -> object:
            calls.append(name)
            return real(*given, **how)  # type: ignore[operator]

        monkeypatch.setattr(module, name, counted)
    found, _ = find_videos([str(tmp_path)])
    assert len(found) == 150
    share = Share(1, 10)
    todo = make_plan(found, {}, share)
    assert todo.tasks
    assert len(calls) <= 10 + len(todo.tasks)  # its own files are looked at


def test_of_many_videos_some_are_opened_before_the_first_is_extracted(tmp_path: Path) -> None:
    import video_files

    from flow.extraction import estimate
    from flow.extraction.plan import Task
    from flow.extraction.pool import Event
    from flow.extraction.progress import Stop

    path = video_files.write(tmp_path / "v.avi", video_files.moving(9))
    bytes_of = path.stat().st_size
    tasks = [Task(f"v{n}", str(path), "v.avi", bytes_of + n) for n in range(2000)][::-1]
    probed: list[Task] = []

    class Here:
        """A pool that does its jobs at once."""

        def run(self, next_job, function, arguments=()):  # type: ignore[no-untyped-def]
            while (group := next_job()) is not None:
                probed.extend(group)
                yield Event(group, "done", [9] * len(group))

    counted = estimate.with_frames(Here(), tasks, Stop())  # type: ignore[arg-type]
    assert 400 <= len(probed) <= estimate.MOST_PROBED
    assert len(counted) == len(tasks)
    assert {task.video for task in counted} == {task.video for task in tasks}
    assert all(task.frames >= 8 for task in counted)
