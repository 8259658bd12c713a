"""A file has its final name when it is whole and on the disk, and never before."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from surroundings import ROOT

from storage import UserError, atomic


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_text_is_written_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for text in ("first\n", "zweitens: ä\n"):
        atomic.write_text(path, text)
        assert path.read_bytes() == text.encode()
    assert names(tmp_path) == ["a.json"]


def write_half(path: Path, folder: bool = False) -> None:
    with atomic.replacing(path) as fresh:
        if folder:
            fresh.mkdir()
        (fresh / "1.jpg" if folder else fresh).write_bytes(b"half")
        raise ZeroDivisionError


def test_what_fails_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError):
        write_half(path)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_folder_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        write_half(tmp_path / "video", folder=True)
    assert names(tmp_path) == []
    with atomic.replacing(tmp_path / "video") as fresh:
        (fresh / "deep").mkdir(parents=True)
        (fresh / "deep" / "1.jpg").write_bytes(b"1")
        assert not (tmp_path / "video").exists()
    assert (tmp_path / "video" / "deep" / "1.jpg").read_bytes() == b"1"


def test_content_is_pushed_to_the_disk_before_the_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        target = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        events.append("folder" if target.is_dir() else "file")
        fsync(descriptor)

    def watched_replace(before: Path, after: Path) -> None:
        events.append("name")
        replace(before, after)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    atomic.write_text(tmp_path / "a", "text")
    assert events == ["file", "name", "folder"]


def test_a_file_that_cannot_be_pushed_keeps_its_old_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=str(path)) as caught:
        atomic.write_text(path, "new")
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_an_error_names_the_file_and_not_its_draft(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with pytest.raises(FileNotFoundError) as caught, atomic.replacing(path):
        pass  # nothing was written
    assert caught.value.filename == str(path)
    with pytest.raises(FileNotFoundError) as caught, atomic.replacing(path):
        (tmp_path / "other").read_text()
    assert caught.value.filename == str(tmp_path / "other")
    with pytest.raises(UserError, match="not a folder"):
        atomic.write_text(tmp_path / "no" / "a", "text")


def test_a_killed_lone_writer_leaves_at_most_one_draft(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_text("old")
    code = (
        "import os, signal, sys; from pathlib import Path; from storage import atomic\n"
        "with atomic.replacing(Path(sys.argv[1]), alone=True) as fresh:\n"
        "    fresh.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, str(path)], cwd=ROOT)
        assert names(tmp_path) == [atomic.draft_of(path).name, "last.pt"]
        assert path.read_text() == "old"
    atomic.write_text(path, "new", alone=True)
    assert names(tmp_path) == ["last.pt"]
