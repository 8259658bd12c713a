"""What was typed -> files, each once, whatever lists and links say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flow.video.find import find_videos
from flow.video.naming import assign_ids, name_of
from storage.errors import UserError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def ids(*arguments: object, root: Path | None = None) -> list[str]:
    found, _ = find_videos([str(a) for a in arguments], str(root) if root else None)
    return assign_ids(found, {})


def test_folders_are_searched_below_and_in_order(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.avi", "b/1.MP4", "a.mkv", "b/c/d/3.webm", "b/notes.txt", "b/x.jpg")
    touch(tmp_path, ".hidden/4.avi", "b/._1.mp4")
    assert ids(tmp_path) == ["a", "b/1", "b/2", "b/c/d/3"]


def test_ids_keep_dots_spaces_and_every_script(tmp_path: Path) -> None:
    names = ["v1.0.take 2.avi", "视频/ёлка.mp4", "a'b\"c.avi", "-rf.avi", "%s{0}.avi", "é.avi"]
    touch(tmp_path, *names)
    assert sorted(ids(tmp_path)) == sorted(name.rpartition(".")[0] for name in names)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.avi", "a.mp4"], ["a.avi", "a.mp4"]),
        (["a.avi", "a.avi.mp4"], ["a", "a.avi"]),
        (["a.avi", "a.mp4", "a.avi.mp4"], ["a.avi", "a.avi.mp4", "a.mp4"]),
        (["a/b.avi", "a.b.avi", "a b.avi"], ["a b", "a.b", "a/b"]),
        (["a.AVI", "a.avi"], ["a.AVI", "a.avi"]),
        (["x/a.avi", "y/a.avi"], ["x/a", "y/a"]),
    ],
)
def test_same_stems_never_collide(tmp_path: Path, names: list[str], expected: list[str]) -> None:
    touch(tmp_path, *names)
    assert sorted(ids(tmp_path)) == expected


def test_same_paths_under_two_folders(tmp_path: Path) -> None:
    touch(tmp_path, "one/c/a.avi", "two/c/a.avi", "one/b.avi", "far/one/c/a.avi")
    assert ids(tmp_path / "one", tmp_path / "two") == ["b", "one/c/a.avi", "two/c/a.avi"]
    got = ids(tmp_path / "one", tmp_path / "far/one")
    assert len(set(got)) == 3
    assert got[0] == "b"
    assert all(video.startswith("c/a.avi#") for video in got[1:])


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    for name in (b"\xff.avi", b"\xfe.avi", rb"\xff.avi"):
        with open(os.fsencode(tmp_path) + b"/" + name, "wb"):
            pass
    touch(tmp_path, "two\nlines.avi", "\x1b[31m.avi")
    got = ids(tmp_path)
    assert len(set(got)) == 5
    assert all(video.isprintable() and video.encode() for video in got)


def test_links_count_once_and_cycles_end(tmp_path: Path) -> None:
    touch(tmp_path, "real/a.avi", "real/b.avi", "elsewhere/c.avi")
    (tmp_path / "real" / "again.avi").symlink_to("a.avi")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "aaa").symlink_to("real")
    (tmp_path / "linked.avi").symlink_to("elsewhere/c.avi")
    (tmp_path / "broken.avi").symlink_to("nowhere.avi")
    found, again = find_videos([str(tmp_path)])
    assert [name_of(f) for f in found] == [
        "elsewhere/c.avi", "real/a.avi", "real/b.avi", "broken.avi",
    ]  # fmt: skip
    assert again == 2  # again.avi and linked.avi
    outside, _ = find_videos([str(tmp_path / "real")])
    assert {name_of(f) for f in outside} >= {"a.avi", "b.avi", "loop/elsewhere/c.avi"}


def test_links_that_lead_back_end_in_patterns_too(tmp_path: Path) -> None:
    touch(tmp_path, "v/real/a.avi", "v/b.avi", "v/real/c/a.avi")
    for name in ("one", "two"):  # 2 to the 40 paths
        (tmp_path / "v" / name).symlink_to(".")
    (tmp_path / "v" / "itself").symlink_to("itself")
    (tmp_path / "v" / "itself.avi").symlink_to("itself.avi")
    assert ids(tmp_path / "v") == ["b", "real/a", "real/c/a", "itself"]
    assert ids(tmp_path / "v" / "**") == ["b", "real/a", "real/c/a", "itself"]
    assert ids(tmp_path / "v/**/a.*") == ["real/a", "real/c/a"]
    assert ids(tmp_path / "**/c/*") == ["v/real/c/a"]
    assert ids(tmp_path / "**/real/**/?.avi") == ["v/real/a", "v/real/c/a"]


def test_named_twice_is_one(tmp_path: Path) -> None:
    touch(tmp_path, "c/a.avi")
    found, again = find_videos([str(tmp_path), str(tmp_path / "c" / "a.avi"), str(tmp_path / "c")])
    assert ([name_of(f) for f in found], again) == (["c/a.avi"], 2)


def test_patterns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "v/x/1.avi", "v/x/2.mp4", "v/y/3.avi", "v/y/n.txt", "[odd].avi")
    monkeypatch.chdir(tmp_path)
    assert ids("v/*/*.avi") == ["x/1", "y/3"]
    assert ids("v/**") == ["x/1", "x/2", "y/3"]
    assert ids("v/*") == ["x/1", "x/2", "y/3"]
    assert ids("v/?/1.*") == ["x/1"]
    assert ids("[odd].avi") == ["[odd]"]  # a file that is called so


def test_root_decides_what_ids_are_relative_to(tmp_path: Path) -> None:
    touch(tmp_path, "v/x/1.avi", "other/2.avi")
    got = ids(tmp_path / "v/x", tmp_path / "v/x/1.avi", tmp_path / "other", root=tmp_path / "v")
    assert got == ["x/1", "2"]


def test_a_list_as_people_write_them(tmp_path: Path) -> None:
    touch(tmp_path, "v/x/1.avi", "v/x/2.avi", "v/with space 7.avi", "v/ünï.avi")
    lines = "\ufeffx/1.avi 12\r\n\r\nx/2.avi\r\nwith space 7.avi\r\nünï.avi\r\nx/missing.avi 3\r\n"
    (tmp_path / "list.txt").write_bytes(lines.encode())
    found, _ = find_videos([str(tmp_path / "list.txt")], str(tmp_path / "v"))
    assert [(name_of(f), f.trouble) for f in found] == [
        ("x/1.avi", ""),
        ("x/2.avi", ""),
        ("with space 7.avi", ""),
        ("ünï.avi", ""),
        ("x/missing.avi 3", "no such file"),
    ]
    (tmp_path / "v" / "own.lst").write_text("x/1.avi\n")  # relative to itself without --root
    assert ids(tmp_path / "v" / "own.lst") == ["x/1"]


def test_a_hostile_list(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.avi", "secret.avi")
    lines = [
        "../secret.avi", "/etc/passwd", "../../../../../../etc/shadow", "a.avi/../../secret.avi",
        "~/x.avi", "$(reboot).avi", "`id`.avi", "a.avi\x1b[2J", "..", "/", ".", "con:", "a" * 5000,
        "http://example.org/a.avi", "file:/etc/passwd", "../in/a.avi", "\udcff.avi", "*.avi",
    ]  # fmt: skip
    text = "\n".join(lines)
    (tmp_path / "in" / "l.txt").write_bytes(text.encode("utf-8", "surrogateescape"))
    found, _ = find_videos([str(tmp_path / "in" / "l.txt")])
    named = assign_ids(found, {})
    assert len(set(named)) == len(found)
    for video in named:
        assert not video.startswith("/")
        assert ".." not in video.split("/")
        assert video.isprintable()
    readable = {name_of(f) for f in found if not f.trouble}
    assert readable == {"a.avi", "secret.avi", "etc/passwd"} | (
        {"etc/shadow"} if os.path.exists("/etc/shadow") else set()
    )


@pytest.mark.parametrize("content", [b"\0binary", b"x" * 9000])
def test_no_list_at_all(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "l.txt").write_bytes(content)
    with pytest.raises(UserError, match="not a text file"):
        find_videos([str(tmp_path / "l.txt")])


def test_nothing_to_do_is_a_mistake(tmp_path: Path) -> None:
    for arguments, says in [
        ([], "no videos named"),
        ([str(tmp_path)], "no videos in"),
        ([str(tmp_path / "nope")], "is no file, no folder"),
        ([str(tmp_path / "*.avi")], "no videos in"),
    ]:
        with pytest.raises(UserError, match=says):
            find_videos(arguments)
    with pytest.raises(UserError, match="--root"):
        find_videos([str(tmp_path)], str(tmp_path / "nope"))


def test_a_folder_that_cannot_be_read_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "open/a.avi", "shut/b.avi")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("shut"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found, _ = find_videos([str(tmp_path)])
    assert [f.trouble for f in found] == ["", "the folder cannot be read: Permission denied"]


def test_a_stored_video_keeps_its_id(tmp_path: Path) -> None:
    touch(tmp_path, "a.avi", "a.mp4")
    found, _ = find_videos([str(tmp_path)])
    avi, mp4 = (str(tmp_path / name) for name in ("a.avi", "a.mp4"))
    assert assign_ids(found, {avi: "a"}) == ["a", "a.mp4"]
    assert assign_ids(found, {avi: "a", mp4: "a.mp4"}) == ["a", "a.mp4"]


def test_a_second_link_to_a_folder_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "v.avi").touch()
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / name).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with caplog.at_level("INFO"):
        found, _ = find_videos([str(tmp_path / "in")])
    assert [name_of(file) for file in found] == ["a/v.avi"]
    assert f"{tmp_path / 'in' / 'b'} leads to" in caplog.text
