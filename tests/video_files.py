"""Video files made for tests: motion that is known, and every kind of oddity."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

TURNS = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""Degrees clockwise that a player must turn the picture -> the display matrix's a, b, c, d."""


def texture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth random picture, (height, width, 3)."""
    rng = np.random.default_rng(seed)
    small = rng.uniform(20, 235, (height // 6 + 2, width // 6 + 2, 3)).astype(np.float32)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(large, 0, 255).astype(np.uint8)


def moving(
    count: int,
    height: int = 48,
    width: int = 64,
    shifts: Sequence[int] | None = None,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """(count, height, width, 3): frame i + 1 is frame i, `shifts[i]` px further right.

    The picture wraps around, so any number of frames will do.
    """
    steps = shifts if shifts is not None else [1] * (count - 1)
    picture = texture(height, width, seed)
    picture = np.concatenate([picture, picture[:, ::-1]], axis=1)  # no seam where it wraps
    places = np.concatenate([[0], np.cumsum(steps)])
    return np.stack([np.roll(picture, int(p), axis=1)[:, :width] for p in places[:count]])


def write(
    path: Path,
    frames: Iterable[NDArray[np.uint8]],
    *,
    codec: str = "mpeg4",
    pixels: str = "yuv420p",
    rate: int = 25,
    times: Sequence[int] | None = None,
    turn: int = 0,
    options: dict[str, str] | None = None,
) -> Path:
    """Encode frames (H, W, 3). `times`: their places in 1/1000 s. `turn`: see TURNS; mp4 only."""
    stream = None
    with av.open(str(path), "w") as container:
        for i, rgb in enumerate(frames):
            if stream is None:
                stream = container.add_stream(codec, rate=rate, options=options or {})
                stream.height, stream.width = rgb.shape[:2]
                stream.pix_fmt = pixels
                if codec in ("mpeg4", "mjpeg", "mpeg2video", "wmv2"):
                    stream.codec_context.qmin = stream.codec_context.qmax = 2
                if times is not None:
                    stream.codec_context.time_base = Fraction(1, 1000)
                    stream.codec_context.max_b_frames = 0
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
            frame = frame.reformat(format=pixels)
            if times is not None:
                frame.pts, frame.time_base = times[i], Fraction(1, 1000)
            else:
                frame.pts, frame.time_base = i, Fraction(1, rate)
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode())
    if turn:
        set_matrix(path, TURNS[turn])
    return path


def set_matrix(path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Patch the display matrix of an mp4's track, as phones write it."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4
    a, b, c, d = (v * 65536 for v in matrix)
    place = at + (52 if data[at] == 1 else 40)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def write_classes(folder: Path) -> Path:
    """Ten clips of 30 to 48 frames, in the folders `class 0` to `class 2`."""
    for i in range(10):
        path = folder / f"class {i % 3}" / f"v.{i}.avi"
        path.parent.mkdir(exist_ok=True)
        write(path, moving(30 + 2 * i, 48, 64, seed=i))
    return folder


def write_audio(path: Path) -> Path:
    """A wave file's worth of silence: a container without video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def poison(folder: Path, video: str) -> Path:
    """A folder for PYTHONPATH: in every Python started with it, extracting `video` is deadly."""
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import os\n"
        "from flow.extraction.worker import Worker\n"
        "extract = Worker.extract\n"
        "def deadly(worker, task, *rest):\n"
        f"    if task.video == {video!r}:\n"
        "        os.kill(os.getpid(), 9)\n"
        "    return extract(worker, task, *rest)\n"
        "Worker.extract = deadly\n"
    )
    return folder
