"""The measurement of codings clip by clip: what it counts, on flow whose loss is known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import video_files

from scripts.bench.codecs import own
from scripts.bench.command import main
from scripts.bench.moving import ClipRow, Loss, loss_of, table
from storage.codecs import Quantizer


def test_losses_are_those_of_quantising_where_coding_loses_nothing() -> None:
    """Rounded codes of 0.157 px steps: a motion in the midst of two codes is half a step off."""
    quantizer = Quantizer("round", 20.0)
    flow = np.zeros((2, 2, 16, 16), np.float32)
    flow[...] = quantizer.table[128]
    flow[:, :, :4] = quantizer.table[140] + 20 / 255
    moves = np.hypot(flow[:, 0], flow[:, 1]) > 0.5
    loss = loss_of(flow, moves, quantizer, own("lossless", quantizer))
    assert loss.moving == pytest.approx(np.sqrt(2) * 20 / 255, rel=1e-4)
    assert loss.all == pytest.approx(loss.moving / 4, rel=1e-3)


def test_the_table_counts_the_clips_that_break_a_bound() -> None:
    jpegs = Loss(900.0, 0.09, 0.1)

    def row(clip: str, moving: float, size: float, pixels: int = 500) -> ClipRow:
        return ClipRow(clip, pixels, 0.2, 1.5, Loss(size, 0.03, moving), jpegs)

    rows = [row("fine", 0.09, 500), row("lossy", 0.11, 500), row("large", 0.09, 700)]
    text = table([*rows, row("still", 0.9, 2000, pixels=3)])
    assert "mean of 3 clips" in text
    assert "moving pixels lose more than in the JPEGs: 1 of 3 clips" in text
    assert "more than two thirds of their bytes: 1 of 3 clips" in text
    assert "neither: 1 of 3 clips" in text
    assert text.index("large") < text.index("lossy") < text.index("fine")
    assert "still" not in text


def test_clips_are_measured_and_their_flow_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clips").mkdir()
    video_files.write(tmp_path / "clips" / "a.avi", video_files.moving(8))
    argv = ["codecs", "--clips", str(tmp_path / "clips"), "--short-side", "48", "--pairs", "2"]
    argv += ["--cache", str(tmp_path / "kept"), "--quiet"]
    assert main([*argv, "--json"]) == 0
    (clip,) = json.loads(capsys.readouterr().out)["48"]
    assert (clip["clip"], clip["ours"]["bytes"] > 0) == ("a", True)
    assert len(list((tmp_path / "kept").iterdir())) == 1
    assert main(argv) == 0
    assert "short side 48" in capsys.readouterr().out
