"""The memory of extraction depends neither on the length of a video nor on their number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import video_files

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPT = """
import json, re, sys
from pathlib import Path
from flow.algorithms import algorithm
from flow.extraction import extract_video
from flow.extraction import Recipe
from storage.codecs import compile_reader
from storage.store import open_store
compile_reader()  # it comes by itself after many pixels, and takes its room once
recipe = Recipe(flow=algorithm("dis", preset="ultrafast"))
store = open_store(sys.argv[2], "w", recipe.config())
done = extract_video(sys.argv[1], "v", store, recipe)
# Of this program alone: ru_maxrss also holds what the process was before it became this one.
peak = 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
print(json.dumps({"pairs": done.pairs, "peak": peak}))
"""


def peak(video: Path, out: Path, pairs: int) -> int:
    """Bytes that a process holds at most while it extracts a video."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(video), str(out)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    summary = json.loads(done.stdout)
    assert summary["pairs"] == pairs
    return int(summary["peak"])


def clip(path: Path, count: int) -> Path:
    """340x256, with noise, so that it does not compress to nothing."""
    frames = video_files.moving(50, 256, 340)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 12, frames.shape, dtype=np.uint8)
    frames = np.minimum(frames, 243) + noise
    return video_files.write(path, (frames[i % 50] for i in range(count)), codec="mjpeg",
                             pixels="yuvj420p")  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_ten_minutes_stay_under_600_mb(tmp_path: Path) -> None:
    short = peak(clip(tmp_path / "short.avi", 500), tmp_path / "short", 499)
    long = peak(clip(tmp_path / "long.avi", 15_000), tmp_path / "long", 14_999)
    print(f"peak: {short / 1e6:.0f} MB for 500 frames, {long / 1e6:.0f} MB for 15,000")
    assert long < 600e6
    assert long < short + 100e6
