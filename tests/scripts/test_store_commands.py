"""inspect, verify and compact as a user calls them."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
from store_material import RAW, codes, filled

from storage import StoreConfig, open_store


def call(command: str, *arguments: object) -> int:
    return int(importlib.import_module(f"scripts.{command}").main([str(a) for a in arguments]))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    filled(tmp_path / "s", {"a/b": 30, "c": 4}).close()
    return tmp_path / "s"


def test_inspect_says_what_is_inside(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("inspect", store) == 0
    page = capsys.readouterr().out
    for words in ("videos        2", "36 as raw", "34 a field (forward)", "companded, bound 20 px",
                  "10x6", "test 1", "0:00:01"):  # fmt: skip
        assert words in page
    assert call("inspect", store, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["content"]["pairs"] == 34
    assert found["made"]["quantizer"] == {"rule": "companded", "bound": 20.0}
    assert call("inspect", store, "--list") == 0
    assert capsys.readouterr().out == "a/b\nc\n"
    assert call("inspect", store, "--video", "a/b") == 0
    assert "flow pairs   30 a field" in capsys.readouterr().out
    assert call("inspect", store, "--video", "a/b", "--json") == 0
    assert json.loads(capsys.readouterr().out)["source"] == {"name": "a/b.avi"}


def test_quality_is_averaged_over_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(tmp_path / "s", "w", StoreConfig(codec="raw", frame_codec="none"))
    for video, pairs, share in (("a", 10, 0.1), ("b", 30, 0.2), ("none", 0, 9.9)):
        with store.write(video) as w:
            w.flow(codes(video, pairs))
            w.finish(fps=0, quality={"zero_share": share})
    assert call("inspect", tmp_path / "s", "--json") == 0
    found = json.loads(capsys.readouterr().out)["content"]
    assert found["quality"] == {"zero_share": pytest.approx(0.175)}
    assert call("inspect", tmp_path / "s") == 0
    assert "exactly at rest  17.5 %" in capsys.readouterr().out


def test_an_empty_store_can_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_store(tmp_path / "s", "w", RAW).close()
    for command in ("inspect", "verify", "compact"):
        assert call(command, tmp_path / "s") == 0
    assert "videos        0" in capsys.readouterr().out


def test_verify_finds_and_repairs(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("verify", store) == 0
    assert "2 videos whole, 36 frames, 34 pairs" in capsys.readouterr().out
    data = store / "shards/000000/data.mdb"
    pair = codes("a/b", 30)[7].tobytes()
    data.write_bytes(data.read_bytes().replace(pair, pair[:-1] + b"?"))
    assert call("verify", store, "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["damaged"] == [
        {"video": "a/b", "shard": "000000", "reason": "a record does not match its checksum"}
    ]
    assert call("verify", store, "--repair") == 1
    page = capsys.readouterr().out
    assert "damaged: a/b (shard 000000)" in page
    assert "the command that made the store redoes it" in page
    assert call("verify", store) == 0
    assert "all is whole" in capsys.readouterr().out


def test_compact_says_what_it_saved(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_store(store, "a").delete("a/b")
    assert call("compact", store) == 0
    assert "shard 000000" in capsys.readouterr().out
    assert call("compact", store, "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "000000"


@pytest.mark.parametrize("command", ["inspect", "verify", "compact"])
def test_mistakes_are_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(command, tmp_path / "nothing") == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith(f"twostream {command}: ")
    assert "not a store" in error
    assert "\n" not in error


def test_a_bench_runs_and_checks(capsys: pytest.CaptureFixture[str]) -> None:
    from scripts.bench.store import StoreBench, run

    options = StoreBench(videos=1, pairs=3, rounds=2, index=50, alternatives=True, quiet=True)
    assert run(options) == 0
    page = capsys.readouterr().out
    assert "within:0.08" in page
    options.json, options.alternatives = True, False
    assert run(options) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["figures"]["opening, ms"] > 0
    lossless = next(row for row in found["codecs"] if row["codec"] == "lossless")
    raw = next(row for row in found["codecs"] if row["codec"] == "raw")
    assert lossless["error"] == raw["error"]
    assert raw["bytes"] == 2 * 256 * 340
