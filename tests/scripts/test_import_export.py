"""`twostream import` and `twostream export` as a user calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
from foreign_tools import codes, files_of, frames, put

from storage import StoreError, open_store
from storage.catalog.catalog import load_catalog
from storage.store.writer import VideoWriter

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """denseflow's output for four videos of two classes, with UCF-101 names and lists."""
    folder = tmp_path_factory.mktemp("denseflow")
    for number in range(1, 5):
        name = ["Archery", "Biking"][number % 2]
        video = f"{name}/v_{name}_g{number:02d}_c01"
        put(folder / "flows" / video, files_of(codes(5, number), frames(6, number), base=0))
        part = "train" if number < 3 else "test"
        with open(folder / f"{part}.txt", "a", encoding="utf-8") as file:
            file.write(f"{video} 6 {number % 2}\n")
    return folder


def test_a_disk_that_fills_up_ends_the_import_with_its_summary(
    flows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    publish = VideoWriter.publish

    def until_full(writer: VideoWriter) -> None:
        if "g03" in writer.video:
            raise StoreError("the disk is full; what was stored is safe")
        publish(writer)

    monkeypatch.setattr(VideoWriter, "publish", until_full)
    main = import_module("scripts.import").main
    arguments = [str(flows / "flows"), "--out", str(tmp_path / "s"), "--bound", "20", "--json"]
    assert main(arguments) == 1
    told, errors = capsys.readouterr()
    summary = json.loads(told)
    stored = open_store(tmp_path / "s").videos()
    assert (summary["imported"], summary["failed"]) == (len(stored), 0)
    assert 0 < len(stored) < 4
    assert "stopped: the disk is full" in errors
    monkeypatch.setattr(VideoWriter, "publish", publish)
    assert main(arguments) == 0
    assert json.loads(capsys.readouterr().out)["there before"] == len(stored)


def test_there_and_back(flows: Path, twostream: Run, tmp_path: Path) -> None:
    store = tmp_path / "new.store"
    done = twostream("import", flows / "flows", "--out", store, "--bound", 20)
    assert done.returncode == 0, done.stderr
    assert "4 videos imported (20 pairs, 24 frames)" in done.stdout
    assert "flow: counted from 0 (4 of 4 videos)" in done.stderr
    again = twostream("import", flows / "flows", "--out", store, "--bound", 20, "--json", "--quiet")
    assert json.loads(again.stdout)["there before"] == 4
    assert again.stderr == ""
    out = tmp_path / "out"
    done = twostream("export", store, "--to", "denseflow", "--out", out)
    assert done.returncode == 0, done.stderr
    given = {p.relative_to(flows / "flows"): p.read_bytes() for p in flows.rglob("*.jpg")}
    assert {p.relative_to(out): p.read_bytes() for p in out.rglob("*.jpg")} == given


def test_mmaction2_gets_its_lists(flows: Path, twostream: Run, tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "raw frames"
    twostream("import", flows / "flows", "--out", store, "--bound", 20)
    labels = ("--labels", flows / "train.txt")
    done = twostream("export", store, "--to", "mmaction2", "--out", out, *labels, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["exported"] == 4
    rows = (out / "train_split_1_flow.txt").read_text().splitlines()
    assert rows == ["Biking/v_Biking_g01_c01 5 1", "Archery/v_Archery_g02_c01 5 0"]
    rows = (out / "test_split_1_rgb.txt").read_text().splitlines()
    assert rows == ["Biking/v_Biking_g03_c01 6 1", "Archery/v_Archery_g04_c01 6 0"]
    for row in rows:
        video, count, _ = row.split()
        assert (out / video / f"img_{int(count):05d}.jpg").is_file()
    catalog = load_catalog(out)  # what docs/convert.md promises of --labels
    assert (catalog.name, catalog.classes) == ("tsn", ("Archery", "Biking"))
    assert len(catalog.videos(1)) == 4


def test_a_faulty_video_gives_1_and_is_listed(flows: Path, twostream: Run, tmp_path: Path) -> None:
    files = files_of(codes(5), frames(6), base=0)
    del files["flow_x_00002.jpg"]
    put(tmp_path / "in" / "bad", files)
    put(tmp_path / "in" / "good", files_of(codes(5), frames(6), base=0))
    done = twostream("import", tmp_path / "in", "--out", tmp_path / "s", "--bound", 20, "--quiet")
    assert done.returncode == 1
    assert done.stderr == "bad: flow_y_00002.jpg has no x flow beside it\n"
    assert "import-failures.json" in done.stdout


def test_arrays_and_shards(flows: Path, twostream: Run, tmp_path: Path) -> None:
    store = tmp_path / "store"
    twostream("import", flows / "flows", "--out", store, "--bound", 20, "--images", "none")
    done = twostream("export", store, "--to", "npy", "--out", tmp_path / "npy")
    assert done.returncode == 0, done.stderr
    arrays = [np.load(path) for path in (tmp_path / "npy").rglob("*_flow.npy")]
    assert [array.shape for array in arrays] == [(5, 24, 32, 2)] * 4
    done = twostream(
        *("export", store, "--to", "webdataset-pictures", "--out", tmp_path / "tar"),
        *("--videos-per-shard", 3, "--labels", flows / "train.txt"),
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "tar").glob("shard-*.tar"))) == 2


def test_shards_of_clips_and_the_names_of_pytorch_i3d(
    flows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def command(name: str, *arguments: object) -> tuple[int, str, str]:
        code = import_module(f"scripts.{name}").main([*map(str, arguments), "--json", "--quiet"])
        return (code, *capsys.readouterr())

    store, out = tmp_path / "store", tmp_path / "shards"
    command("import", flows / "flows", "--out", store, "--bound", 20)
    arguments = (store, "--to", "webdataset", "--out", out, "--labels", flows / "train.txt")
    shape = ("--clip-pairs", 2, "--shard-mb", 0.02)
    said = [json.loads(command("export", *arguments, *shape)[1]) for _ in range(2)]
    assert [row["exported"] for row in said] == [8, 0]  # 4 videos of 5 pairs
    assert said[1]["there before"] == said[1]["clips"] == 8
    index = json.loads((out / "shards.json").read_text())
    assert said[0]["shards"] == len(index["shards"]) == len(list(out.glob("*.tar"))) > 1
    assert said[0]["bytes"] == sum(path.stat().st_size for path in out.glob("*.tar"))
    assert index["classes"] == ["Archery", "Biking"]
    code, _, errors = command("export", *arguments, "--clip-pairs", 3)
    assert code == 2
    assert "other videos, labels or options" in errors
    i3d = tmp_path / "i3d"
    code, told, errors = command("export", store, "--to", "pytorch-i3d", "--out", i3d)
    assert (code, json.loads(told)["exported"]) == (0, 4), errors
    back = ("--out", tmp_path / "back", "--bound", 20, "--rule", "round")
    code, _, errors = command("import", i3d / "flow", i3d / "rgb", *back)
    assert code == 0, errors
    first, second = open_store(store), open_store(tmp_path / "back")
    assert first.videos() == second.videos()
    for video in first.videos():
        for kind, count in (("forward", 5), ("frames", 6)):  # the very files, there and back
            assert first.read_encoded(video, kind, 0, count) == second.read_encoded(
                video, kind, 0, count
            )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export", "s", "--to", "webdataset", "--out", "o", "--bound", "9"], "own coding"),
        (["export", "s", "--to", "litdata", "--out", "o", "--shard-mb", "0"], "--shard-mb"),
        (["import", "--out", "s"], "name the folder"),
        (["import", "nowhere", "--out", "s"], "nowhere does not exist"),
        (["import", ".", "--out", "s"], "no flow was recognised"),
        (["import", ".", "--out", "s", "--bound", "-3"], "bound -3"),
        (["import", ".", "--out", "s", "--step", "0"], "--step 0"),
        (["import", ".", "--out", "s", "--codec", "gif"], "codec 'gif' is not known"),
        (["export", "nowhere", "--to", "npy", "--out", "o"], "nowhere is not a store"),
        (["export", "flows", "--to", "npy", "--out", "o"], "is not a store"),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str], said: str, flows: Path, twostream: Run, tmp_path: Path
) -> None:
    if "--bound" in arguments or "--codec" in arguments:
        put(tmp_path / "v", files_of(codes(5), frames(6)))
    done = twostream(*arguments, "--quiet", cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stdout == ""


def test_a_dry_run_stores_nothing(flows: Path, twostream: Run, tmp_path: Path) -> None:
    done = twostream("import", flows / "flows", "--out", tmp_path / "s", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["videos"] == 4
    assert said["config"]["quantizer"] == {"rule": "round", "bound": 20.0}
    assert not (tmp_path / "s").exists()
