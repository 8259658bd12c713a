"""`twostream train` and `score` as processes: killed, stopped, started by torchrun, misused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from streams_tiny import FRAMES, Tiny, start, write_tiny, write_tiny_lists

from scripts.cli import main
from storage.catalog.catalog import load_catalog
from storage.scores.table import ScoreTable
from storage.store.config import StoreConfig
from storage.store.store import open_store
from streams.networks.build import build_network
from streams.training import checkpoint

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--recipe", "small", "--size", "24", "--batch", "4", "--epochs", "3", "--ema", "0.9"]
SMALL += ["--flip"]
SAID = Callable[..., str]


def command(tiny: Tiny, out: Path, *more: str, kind: str = "temporal") -> list[str]:
    return [
        "train",
        kind,
        *("--store", str(tiny.store), "--labels", str(tiny.labels), "--out", str(out)),
        *SMALL,
        *(("--length", "2") if kind == "temporal" else ()),
        *more,
    ]


def wait_for_step(process: subprocess.Popen[str], out: Path, step: int) -> None:
    """Until a checkpoint of that step is there."""
    last = out / "checkpoints" / "last.pt"
    for _ in range(2000):
        if process.poll() is not None:
            pytest.fail(f"ended early: {process.communicate()[0]}")
        if last.exists() and checkpoint.load(last)["state"]["step"] >= step:
            return
        time.sleep(0.05)
    pytest.fail("no checkpoint came")


@pytest.mark.slow
def test_killed_and_stopped_it_goes_on_bit_for_bit(tiny: Tiny, tmp_path: Path) -> None:
    """SIGKILL between two saves, then SIGTERM to all processes as schedulers send it, then to the
    end: the run that was never stopped."""
    out = tmp_path / "cut"
    arguments = command(tiny, out, "--save-every", "2", "--workers", "2", "--quiet")
    killed = start(arguments)
    wait_for_step(killed, out, 2)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    stopped = start(arguments)
    wait_for_step(stopped, out, 4)
    os.killpg(stopped.pid, signal.SIGTERM)
    said = stopped.communicate(timeout=120)[0]
    if stopped.returncode != 0:  # it may have been at its end already
        assert stopped.returncode == 130, said
        assert "the same command goes on from here" in said
        assert "Traceback" not in said
    ended = start([*arguments, "--json"])
    said = ended.communicate(timeout=200)[0]
    assert ended.returncode == 0, said
    assert json.loads(said.splitlines()[-1])["steps"] == 9
    assert main(command(tiny, tmp_path / "whole", "--workers", "0", "--quiet")) == 0
    one, two = (checkpoint.load(tmp_path / r / "checkpoints/last.pt") for r in ("whole", "cut"))
    for part in ("model", "average"):
        for name, value in one[part].items():
            assert torch.equal(value, two[part][name]), name
    for one_state, two_state in zip(
        one["optimizer"]["state"].values(), two["optimizer"]["state"].values(), strict=True
    ):
        assert torch.equal(one_state["momentum_buffer"], two_state["momentum_buffer"])
    assert one["scaler"] == two["scaler"]
    assert one["state"]["best"] == two["state"]["best"]
    lines = [(tmp_path / r / "metrics.jsonl").read_text() for r in ("whole", "cut")]
    assert lines[0] == lines[1]


@pytest.mark.slow
def test_two_processes_train_as_one(tiny: Tiny, tmp_path: Path) -> None:
    """The same global batch, frozen norms, no dropout: the same losses and weights."""
    plain = ("--batch-norm", "frozen", "--dropout", "0", "--workers", "0", "--quiet")
    launcher = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d")
    launcher += ("--rdzv-endpoint", "localhost:0")
    two = start(command(tiny, tmp_path / "two", *plain), launcher)
    said = two.communicate(timeout=200)[0]
    assert two.returncode == 0, said
    assert said.count("temporal stream: 9 steps") == 1
    assert main(command(tiny, tmp_path / "one", *plain)) == 0
    rows = [
        [json.loads(line) for line in (tmp_path / r / "metrics.jsonl").read_text().splitlines()]
        for r in ("one", "two")
    ]
    assert len(rows[0]) == len(rows[1]) == 6
    for mine, theirs in zip(*rows, strict=True):
        assert theirs["loss"] == pytest.approx(mine["loss"], rel=1e-4)
        assert (theirs["step"], theirs["part"]) == (mine["step"], mine["part"])
    one, both = (checkpoint.load(tmp_path / r / "checkpoints/last.pt") for r in ("one", "two"))
    for name, value in one["model"].items():
        torch.testing.assert_close(both["model"][name], value, atol=1e-4, rtol=1e-3)


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> SAID:
    """Run a command that must fail as a user's mistake; gives its one line."""

    def run(*arguments: str, code: int = 2) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == code
        text = capsys.readouterr().err.strip()
        assert "Traceback" not in text
        return text.splitlines()[-1]

    return run


def test_what_is_checked_before_the_first_step(tiny: Tiny, tmp_path: Path, said: SAID) -> None:
    out = tmp_path / "run"

    def failing(*more: str, kind: str = "temporal") -> str:
        text = said(*command(tiny, out, *more, "--workers", "0", "--quiet", kind=kind))
        assert not (out / "checkpoints/last.pt").exists()
        return text

    assert "also needs backward" in failing("--stack", "bidirectional")
    assert "split 7 is not in" in failing("--split", "7")
    assert "it takes a file, `imagenet` or `none`" in failing("--weights", str(tmp_path / "x.pth"))
    torch.save(build_network("resnet34", classes=4).state_dict(), tmp_path / "r34.pth")
    assert "check --network and --depth" in failing("--weights", str(tmp_path / "r34.pth"))
    assert "--batch 5 does not divide by --accumulate 2" in failing(
        "--batch", "5", "--accumulate", "2"
    )
    assert "--amp fp16 needs a GPU" in failing("--amp", "fp16")
    assert "--store" in said("train", "temporal", "--labels", "x", "--out", str(out))
    assert "nowhere is not a store" in said(
        "train", "spatial", "--store", str(tmp_path / "nowhere"), "--labels", "x", "--out", str(out)
    )


def test_lists_that_do_not_fit_the_store(tiny: Tiny, tmp_path: Path, said: SAID) -> None:
    lists = tmp_path / "lists"
    write_tiny_lists(lists)
    (lists / "classInd.txt").write_text("1 Jump\n2 Run\n")
    (lists / "trainlist01.txt").write_text("Jump/v_Jump_g02_c01.avi 1\nRun/v_Run_g02_c01.avi 2\n")
    (lists / "testlist01.txt").write_text("Jump/v_Jump_g01_c01.avi\n")
    other = replace(tiny, labels=lists)
    text = said(*command(other, tmp_path / "run", "--quiet"))
    assert "none of the 2 videos in the train list" in text
    assert "are they of one data set?" in text
    write_tiny_lists(lists)
    (lists / "classInd.txt").write_text("1 RedLeft\n2 RedRight\n3 BlueLeft\n4 BlueRight\n5 Green\n")
    text = said(*command(other, tmp_path / "run", "--quiet"))
    assert "1 of the 5 classes" in text
    assert "(Green)" in text
    assert "--empty-classes" in text
    with (lists / "trainlist01.txt").open("a") as file:
        file.write("Green/v_Green_g09_c01.avi 5\n")
    text = said(*command(other, tmp_path / "run", "--quiet", "--missing", "stop"))
    assert "1 videos of the train list are not in the store (Green/v_Green_g09_c01)" in text
    text = said(*command(tiny, tmp_path / "run", "--quiet", "--short", "stop", "--length", "9"))
    assert "are too short for the input" in text


def test_missing_and_short_videos_are_named_and_counted(tiny: Tiny, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    write_tiny_lists(lists)
    with (lists / "trainlist01.txt").open("a") as file:
        file.write("RedLeft/v_RedLeft_g09_c01.avi 1\n")
    out = tmp_path / "run"
    arguments = command(
        replace(tiny, labels=lists), out, "--quiet", "--workers", "0", "--steps", "1"
    )
    assert main([*arguments, "--length", str(FRAMES)]) == 0
    left_out = json.loads((out / "left_out.json").read_text())
    assert left_out["missing"] == {"train": ["RedLeft/v_RedLeft_g09_c01"]}
    assert len(left_out["short"]["train"]) + len(left_out["short"]["validation"]) == 16
    text = json.dumps(left_out)
    assert "v_BlueRight_g03_c01" in text


@pytest.fixture(scope="module")
def trained(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "run"
    assert main(command(tiny, out, "--steps", "2", "--quiet", "--workers", "0")) == 0
    return out


def test_scores_of_all_parts(tiny: Tiny, tmp_path: Path, trained: Path) -> None:
    videos: set[str] = set()
    for part, count in (("train", 12), ("validation", 4), ("test", 8)):
        out = tmp_path / f"{part}.npz"
        words = f"--store {tiny.store} --labels {tiny.labels} --part {part} --views 2x2 --out {out}"
        assert main(["score", str(trained), *words.split(), "--quiet", "--workers", "0"]) == 0
        table = ScoreTable.load(out)
        assert (table.part, table.stream, table.kind) == (part, "temporal", "logits")
        assert table.scores.shape == (count, 4)
        assert table.features is not None
        assert table.features.shape == (count, 512)
        assert table.groups[0].startswith("RedLeft_g")
        assert table.provenance["store_fingerprint"] == "made up"
        videos |= set(table.videos)
    assert len(videos) == 24


def test_what_scoring_refuses(tiny: Tiny, tmp_path: Path, trained: Path, said: SAID) -> None:
    def failing(*more: str, run: Path = trained, source: Tiny = tiny) -> str:
        words = ["--store", str(source.store), "--labels", str(source.labels)]
        if "--out" not in more:
            words += ["--out", str(tmp_path / "s.npz")]
        text = said("score", str(run), *words, *more, "--quiet", "--workers", "0")
        assert not (tmp_path / "s.npz").exists()
        return text

    assert "SNAPSHOTSxCROPS" in failing("--views", "many")
    assert "no config.json" in failing(run=tmp_path)
    assert "does not exist" in failing("--out", str(tmp_path / "absent/s.npz"))
    made_otherwise = StoreConfig(codec="raw", frame_codec="raw", fingerprint="another algorithm")
    other = write_tiny(tmp_path / "other", made_otherwise)
    text = failing(source=other)
    assert "with fingerprint 'made up'" in text
    assert "--other-store" in text
    lists = tmp_path / "lists"
    write_tiny_lists(lists)
    fewer = replace(tiny, labels=lists)
    (lists / "classInd.txt").write_text("1 RedLeft\n2 RedRight\n3 BlueRight\n4 BlueLeft\n")
    (lists / "trainlist01.txt").write_text("")
    assert "the same, in another order" in failing(source=fewer)
    write_tiny_lists(lists, test_groups=(3,))
    assert "are not the lists" in failing("--part", "validation", source=fewer)
    assert "was trained on other lists" in (text := failing(source=fewer))
    assert "may test on videos that it has learned from" in text
    for name in ("trainlist", "testlist"):
        (lists / f"{name}02.txt").write_text((tiny.labels / f"{name}01.txt").read_text())
    run = shutil.copytree(trained, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    again = load_catalog(lists, validation=config["settings"]["data"]["validation"])
    config["settings"]["data"]["lists"] = again.fingerprint
    (run / "config.json").write_text(json.dumps(config))
    assert "was trained on split 1: split 2 of" in failing("--split", "2", run=run, source=fewer)
    words = ["--store", str(tiny.store), "--labels", str(lists), "--split", "2", "--other-lists"]
    words += ["--out", str(tmp_path / "o.npz"), "--views", "1x1", "--quiet", "--workers", "0"]
    assert main(["score", str(trained), *words]) == 0
    made = ScoreTable.load(tmp_path / "o.npz").provenance
    assert (made["trained_on_split"], made["other_lists"]) == (1, True)


@pytest.mark.slow
def test_damaged_checkpoints_are_named(tiny: Tiny, tmp_path: Path, said: SAID) -> None:
    out = tmp_path / "run"
    arguments = command(tiny, out, "--quiet", "--workers", "0", "--steps", "1")
    assert main(arguments) == 0
    for name in ("last.pt", "best.safetensors"):
        file = out / "checkpoints" / name
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert "last.pt is damaged" in said(*arguments)
    last = out / "checkpoints" / "last.pt"
    aside = last.rename(tmp_path / "last.pt")  # the message says to delete it
    words = f"--store {tiny.store} --labels {tiny.labels} --out {tmp_path / 's.npz'} --quiet"
    assert "best.safetensors is damaged" in said("score", str(out), *words.split())
    aside.rename(last)
    text = said(*arguments, "--lr", "0.5")
    assert "recipe.optim.lr was 0.02, now 0.5" in text
    assert main([*arguments, "--restart"]) == 0


@pytest.mark.slow
def test_a_damaged_store_is_said_in_one_line(tiny: Tiny, tmp_path: Path, said: SAID) -> None:
    """Also when a worker process meets it."""
    config = StoreConfig(codec="jpeg:90", frame_codec="none", fields=("forward",))
    folder = tmp_path / "store"
    with open_store(folder, "w", config) as store:
        for line in (tiny.labels / "trainlist01.txt").read_text().splitlines():
            with store.write(line.partition(".")[0]) as writer:
                writer.flow(np.full((4, 2, 32, 40), 128, np.uint8))
                writer.finish(fps=25)
    broken = replace(tiny, store=folder)
    assert main(command(broken, tmp_path / "run", "--quiet", "--workers", "1")) == 0
    for file in folder.rglob("data.mdb"):
        file.write_bytes(file.read_bytes().replace(b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xe1"))
    text = said(*command(broken, tmp_path / "again", "--quiet", "--workers", "1"))
    assert text.startswith("twostream train temporal: '")
    assert "is damaged in" in text


def test_kinds_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train"]) == 2
    assert main(["train", "--help"]) == 0
    assert "twostream train spatial --store" in capsys.readouterr().out
    assert main(["train", "sound"]) == 2
    assert "'sound' is not one of spatial" in capsys.readouterr().err
    assert main(["train", "temporal", "--recipe", "tsn", "--help"]) == 0
    text = capsys.readouterr().out
    assert "default: partial" in text
    assert "--subtract-mean" in text
    assert main(["train", "spatial", "--recipe=2014", "--help"]) == 0
    assert "(default: 20000)" in capsys.readouterr().out
