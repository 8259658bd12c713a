"""Published streams of UCF-101 give the known figures on three splits, by the commands alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts.fuse import main as fuse
from scripts.report import main as report

SPLITS = (1, 2, 3)
STREAMS = ("iframe", "flow_tvl1", "mv", "residual", "dmc", "idt")
SINGLE = {
    "iframe": (86.704, 87.172, 87.175, 87.017),
    "flow_tvl1": (82.739, 84.146, 85.904, 84.263),
    "mv": (67.962, 68.773, 70.427, 69.054),
    "residual": (78.721, 78.709, 80.438, 79.289),
    "dmc": (80.016, 79.513, 81.521, 80.350),
    "idt": (83.611, 85.592, 84.280, 84.494),
}
RAW = ("--normalise", "logits")
FUSED: dict[str, tuple[Sequence[str], Sequence[str], Sequence[float]]] = {
    "coviar": (("iframe", "mv", "residual"), (*RAW, "--weights", "2,1,1"),
               (90.695, 90.680, 90.557)),
    "coviar and flow": (("iframe", "mv", "residual", "flow_tvl1"), (*RAW, "--weights", "2,1,1,1"),
                        (91.647, 91.537, 91.531)),
    "raw": (("iframe", "flow_tvl1"), RAW, (92.731, 92.849, 92.100, 92.560)),
    "softmax": (("iframe", "flow_tvl1"), (), (90.775, 92.180, 91.748, 91.567)),
}  # fmt: skip
WITH_IDT = 94.302
"""Mean of L2(iframe + flow_tvl1) + 0.25 L2(idt)."""


@pytest.fixture(scope="module")
def tables(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every stream and every fusion of each split, as `twostream fuse` writes them."""
    out, scores = tmp_path_factory.mktemp("published"), shared_data / "scores"

    def run(name: str, sources: Sequence[object], *how: str) -> None:
        target = str(out / f"{name}-{split}.npz")
        words = ["--name", name, "--out", target, "--json"]
        assert fuse([*map(str, sources), *how, *words]) == 0

    for split in SPLITS:
        for stream in STREAMS:
            file = "idt" if stream == "idt" else "dmcnet"
            kind = ("--kind", "scores") if stream == "idt" else ()
            source = f"{scores / file}_ucf101_split{split}.npz:{stream}"
            run(stream, [source], "--split", str(split), *kind)
        for name, (streams, how, _) in FUSED.items():
            run(name, [out / f"{s}-{split}.npz" for s in streams], *how)
        both = [out / f"{name}-{split}.npz" for name in ("raw", "idt")]
        run("with idt", both, "--normalise", "unit", "--weights", "1,0.25")
    return out


@pytest.fixture(scope="module")
def said(tables: Path) -> dict[str, Any]:
    """What `twostream report` says of all of them."""
    page = tables / "report.html"
    names = (*STREAMS, *FUSED, "with idt")
    files = [str(tables / f"{name}-{split}.npz") for split in SPLITS for name in names]
    assert report([*files, "--out", str(page), "--draws", "200", "--quiet"]) == 0
    numbers: dict[str, Any] = json.loads(page.with_suffix(".json").read_text("utf-8"))
    return numbers


@pytest.mark.parametrize("split", [1, *(pytest.param(k, marks=pytest.mark.slow) for k in (2, 3))])
def test_two_published_streams_are_fused_straight_from_their_files(
    shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: int
) -> None:
    file = shared_data / "scores" / f"dmcnet_ucf101_split{split}.npz"
    both = [f"{file}:{stream}" for stream in ("iframe", "flow_tvl1")]
    out = str(tmp_path / "F.npz")
    assert fuse([*both, *RAW, "--split", str(split), "--name", "raw", "--out", out, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["split"] == split
    top1 = {name: percent(top["value"]) for name, top in said["top1"].items()}
    expected = {stream: SINGLE[stream][split - 1] for stream in ("iframe", "flow_tvl1")}
    assert top1 == expected | {"raw": FUSED["raw"][2][split - 1]}


def percent(value: float) -> float:
    return round(100 * value, 3)


def figures(said: dict[str, Any], name: str) -> list[float]:
    """Top-1 of each split, and their mean."""
    found = [
        percent(next(t for t in split["tables"] if t["name"] == name)["top1"]["value"])
        for split in said["splits"]
    ]
    return [*found, percent(said["mean_over_splits"][name]["value"])]


@pytest.mark.slow
@pytest.mark.parametrize("stream", STREAMS)
def test_every_stream_has_its_published_figure_on_each_split(
    said: dict[str, Any], stream: str
) -> None:
    assert [len(s["classes"]) for s in said["splits"]] == [101, 101, 101]
    assert [s["videos"] for s in said["splits"]] == [3783, 3734, 3696]
    assert figures(said, stream) == list(SINGLE[stream])


@pytest.mark.slow
@pytest.mark.parametrize("name", FUSED)
def test_every_fusion_has_its_known_figure_on_each_split(said: dict[str, Any], name: str) -> None:
    known = FUSED[name][2]
    assert figures(said, name)[: len(known)] == list(known)


@pytest.mark.slow
def test_trajectories_add_to_both_streams_on_the_mean_of_splits(said: dict[str, Any]) -> None:
    assert figures(said, "with idt")[3] == WITH_IDT


@pytest.mark.slow
def test_the_mean_over_splits_is_surer_than_any_split(said: dict[str, Any]) -> None:
    """The test parts of the three splits share no group, so the mean knows more."""
    mean = said["mean_over_splits"]["raw"]
    each = [next(t for t in s["tables"] if t["name"] == "raw")["top1"] for s in said["splits"]]
    assert mean["high"] - mean["low"] < min(top["high"] - top["low"] for top in each)
    assert mean["low"] < 0.92560 < mean["high"]
