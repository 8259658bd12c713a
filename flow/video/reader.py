"""Frames out of a video file, or a clear reason why not.

PyAV and not OpenCV: both give the same pixels at about the same speed, but OpenCV ends a damaged
video as it ends a whole one, and PyAV says what happened (measured in docs/extract.md).
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.reformatter import VideoReformatter

Log = tuple[int, str, str]
"""Level, component and message, as FFmpeg gave them."""
MAX_PIXELS = 64 * 1024 * 1024
"""A frame larger than this comes from a damaged header; 8K is half of it."""
MAX_FAULTS = 20
"""As many faults of one video are kept in words; the rest is only counted."""
HEADER = 32
"""No container puts more bytes than these before a packet's data."""
STATE_DURATION = ("matroska", "webm", "flv")
"""Containers that count no frames, but state a duration that is no guess."""


class VideoError(UserError):
    """A video that cannot be used, or not to its end.

    `kind` is one of a few fixed phrases (docs/extract.md lists them), for counting.
    """

    def __init__(self, kind: str, detail: str = "", frame: int | None = None) -> None:
        super().__init__(kind, detail, frame)  # these arguments let it cross process borders
        self.kind, self.detail, self.frame = kind, detail, frame

    def __str__(self) -> str:
        where = "" if self.frame is None else f" at frame {self.frame}"
        return f"{self.kind}{where}" + (f": {self.detail}" if self.detail else "")


class Frame(NamedTuple):
    """One decoded frame, turned upright."""

    rgb: NDArray[np.uint8]
    """(H, W, 3)."""
    time: Fraction
    """Seconds since the first frame; never runs backwards."""


@dataclass(frozen=True)
class VideoInfo:
    """What a file's headers say; only decoding shows whether it is true."""

    width: int
    """Of a decoded frame, before it is turned upright."""
    height: int
    fps: float
    frames: int
    """Counted by the container, or guessed from the duration; 0 when nothing is said."""
    codec: str
    container: str


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Read the headers of a video (half a millisecond). Raises VideoError."""
    with VideoReader(path) as reader:
        return reader.info


class VideoReader:
    """Reads one video from its beginning to its end, once.

    Iterating gives `Frame`s. Any fault (damaged data, frames missing at the end, a changed size)
    raises `VideoError`; a `tolerant` reader goes on as far as the decoder does, and keeps the
    faults in `faults`. Not to be shared between threads.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, tolerant: bool = False, threads: int = 1
    ) -> None:
        """`threads`: decoder threads; 1 is right where every core has a video of its own."""
        import av

        self.path = Path(path)
        self.tolerant, self.threads = tolerant, threads
        self.decoded = 0
        self.faults: list[VideoError] = []
        self.fault_count = 0
        self._bytes = check_file(self.path)
        # Only what is captured below is of interest; nothing may reach a user's terminal.
        av.logging.set_level(av.logging.ERROR)
        av.logging.set_skip_repeated(False)
        self._packets = 0
        with av.logging.Capture(local=False) as logs:
            try:
                # "file:" keeps a name with a colon from being taken for an address, and the
                # whitelist keeps a playlist that calls itself a video from opening anything else.
                self._container = av.open(
                    "file:" + os.path.abspath(self.path),
                    metadata_errors="replace",
                    options={"protocol_whitelist": "file", "err_detect": "crccheck"},
                )
            except (av.error.FFmpegError, ValueError, UnicodeError) as error:
                unknown = isinstance(error, av.error.InvalidDataError)
                why = "no video in any format that FFmpeg knows" if unknown else reason(error)
                raise VideoError("cannot open", first_message(logs) or why) from None
        try:
            self._open_stream()
        except BaseException:
            self.close()
            raise

    def _open_stream(self) -> None:
        import av

        container = self._container
        # The cover picture of a music file is a stream of one still.
        cover = av.stream.Disposition.attached_pic
        streams = [s for s in container.streams.video if not s.disposition & cover]
        if not streams:
            held = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
            raise VideoError("no video stream", f"the file holds {held}")
        stream = self._stream = streams[0]
        context = stream.codec_context
        if context is None or not stream.width or not stream.height:
            raise VideoError("cannot open", "its headers give no codec or no picture size")
        if stream.width * stream.height > MAX_PIXELS:
            raise VideoError(
                "cannot open", f"its headers claim frames of {stream.width}x{stream.height}"
            )
        stream.thread_type = "NONE" if self.threads == 1 else "AUTO"
        context.thread_count = self.threads
        context.options = {
            "err_detect": "crccheck+bitstream+buffer",
            "max_pixels": str(MAX_PIXELS),
        }
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        self._rate = Fraction(rate) if 0 < rate <= 1000 else Fraction(25)
        self._expected = stream.frames
        if "mov" in container.format.name:  # an edit list may leave samples out on purpose
            self._expected = len(stream.index_entries) or stream.frames
        self._promised = stated_duration(container, stream)
        seconds = self._promised or (stream.duration or 0) * Fraction(stream.time_base or 0)
        self.info = VideoInfo(
            width=stream.width,
            height=stream.height,
            fps=float(self._rate),
            frames=self._expected or max(0, round(seconds * self._rate)),
            codec=context.name,
            container=container.format.name,
        )

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        from av.video.reformatter import VideoReformatter

        to_rgb = VideoReformatter()  # one for all frames: it holds the conversion tables
        packets = self._container.demux(self._stream)
        size: tuple[int, int] | None = None
        first: Fraction | None = None
        time = Fraction(0)
        while True:
            frames, ended = self._step(packets)
            for frame in frames:
                if size is None:
                    size = (frame.width, frame.height)
                elif size != (frame.width, frame.height):
                    was = f"{size[0]}x{size[1]} became {frame.width}x{frame.height}"
                    self._fault("size changed", was)
                    return  # what follows cannot share a stack with what came before
                if frame.pts is not None and frame.time_base:
                    stamp = frame.pts * Fraction(frame.time_base)
                    first = stamp if first is None else first
                    time = max(time, stamp - first)
                elif self.decoded:
                    time += 1 / self._rate
                rgb = self._rgb_of(frame, to_rgb)
                if rgb is None:
                    continue
                self.decoded += 1
                yield Frame(upright(rgb, orientation(frame)), time)
            if ended:
                break
        self._check_end(time)

    def _step(self, packets: Iterator[av.Packet]) -> tuple[list[av.VideoFrame], bool]:
        """Read and decode one packet -> the frames that came of it, and whether it was the last."""
        import av

        frames: list[av.VideoFrame] = []
        # Messages come from this thread, unless the decoder has threads of its own.
        with av.logging.Capture(local=self.threads == 1) as logs:
            try:
                packet = next(packets)
            except (StopIteration, EOFError):
                complaint = self._complaint(logs)
                if complaint:
                    self._fault("truncated", complaint)
                return [], True
            except av.error.FFmpegError as error:
                kind = "truncated" if self._packets < self._expected else "decode error"
                self._fault(kind, self._complaint(logs) or reason(error))
                return [], True
            real = packet.size > 0 or packet.dts is not None  # not the one that flushes
            self._packets += real
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError, MemoryError) as error:
                if not isinstance(error, EOFError):
                    self._fault(self._kind("decode error", packet), reason(error))
        complaint = self._complaint(logs)
        if real and packet.is_corrupt:
            complaint = complaint or "the container marks its data as corrupt"
        if any(frame.is_corrupt for frame in frames):
            complaint = complaint or "the decoder had to make up for missing data"
        if complaint:
            kind = "truncated" if "prematurely" in complaint else self._kind("damaged", packet)
            self._fault(kind, complaint)
        return frames, False

    def _rgb_of(self, frame: av.VideoFrame, to_rgb: VideoReformatter) -> NDArray[np.uint8] | None:
        """(H, W, 3); None, and a fault, where FFmpeg cannot convert the frame's pixel format."""
        import av

        with av.logging.Capture(local=self.threads == 1):
            try:
                return np.asarray(to_rgb.reformat(frame, format="rgb24").to_ndarray(), np.uint8)
            except (av.error.FFmpegError, ValueError) as error:
                why = f"{frame.format.name} pixels do not become RGB: {reason(error)}"
        self._fault("decode error", why)
        return None

    def _complaint(self, logs: list[Log]) -> str:
        """The first message of this video's own decoder or container, or nothing."""
        names = {self.info.codec, self.info.container, *self.info.container.split(",")}
        return first_message([log for log in logs if log[1] in names])

    def _kind(self, kind: str, packet: av.Packet) -> str:
        """A packet that is damaged because the file ends within it is called by its cause."""
        # A packet's place is that of its header, in some containers.
        last = (packet.pos or 0) > 0 and packet.pos + packet.size + HEADER >= self._bytes
        return "truncated" if last and self._packets < (self._expected or math.inf) else kind

    def _check_end(self, time: Fraction) -> None:
        if self.fault_count and not self.tolerant:
            return
        if self.decoded == 0:
            raise VideoError("no frames", "the headers are there, the pictures are not")
        if self._packets < self._expected:
            self._fault("truncated", f"its headers promise {self._expected} frames")
        elif not self._expected and self._promised:
            lost = self._promised - time
            # The last frame's own length is in the duration; half a second more is no rounding.
            if lost > Fraction(1, 2) + 2 / self._rate:
                self._fault("truncated", f"its headers promise {float(lost):.1f} s more")

    def _fault(self, kind: str, detail: str) -> None:
        error = VideoError(kind, detail, self.decoded)
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(error)
        if not self.tolerant:
            raise error


def check_file(path: Path) -> int:
    """Refuse what would block or mislead the decoder; the file's size in bytes."""
    try:
        status = os.stat(path)
        regular = stat.S_ISREG(status.st_mode)
        if regular:  # opening a pipe would wait for its writer
            open(path, "rb").close()
    except (OSError, ValueError) as error:
        raise VideoError("cannot open", reason(error)) from None
    if not regular:
        raise VideoError("cannot open", "not a regular file")
    if status.st_size == 0:
        raise VideoError("cannot open", "the file is empty (0 bytes)")
    return status.st_size


def stated_duration(container: InputContainer, stream: av.VideoStream) -> Fraction | None:
    """Seconds of video that the headers promise; nothing where FFmpeg would only guess."""
    if not any(name in container.format.name for name in STATE_DURATION):
        return None
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = parts
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    except (ValueError, ZeroDivisionError):  # no such tag; the container's is its longest stream's
        if len(container.streams) > 1 or not container.duration:
            return None
        return Fraction(container.duration, 1_000_000)


def orientation(frame: av.VideoFrame) -> tuple[int, int, int, int]:
    """The display matrix's signs (a, b, c, d): x' = a x + c y, y' = b x + d y, y downwards."""
    for side in frame.side_data:
        if getattr(side.type, "name", "") == "DISPLAYMATRIX":
            m = np.frombuffer(bytes(side), np.int32)[:9]
            a, b, c, d = (int(np.sign(round(m[k] / 65536))) for k in (0, 1, 3, 4))
            if (a == d == 0) != (b == c == 0):  # a quarter turn or a mirror; nothing in between
                return a, b, c, d
    return 1, 0, 0, 1


def upright(
    rgb: NDArray[np.uint8], matrix: tuple[int, int, int, int] = (1, 0, 0, 1)
) -> NDArray[np.uint8]:
    """(H, W, 3) -> the same turned as the container asks (phones film sideways)."""
    a, b, c, d = matrix
    if (a, b, c, d) == (1, 0, 0, 1):
        return rgb
    if a == 0:  # x' depends on y: swap the axes first
        rgb, a, d = rgb.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(rgb[:: d or 1, :: a or 1])


def first_message(logs: list[Log]) -> str:
    return next((" ".join(text.split()) for _, _, text in logs if text.strip()), "")


def reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
