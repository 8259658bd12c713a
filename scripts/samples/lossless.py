"""Videos that give back the very pixels they were made of.

The exam rests on pictures that are equal to the byte: colours of one brightness, frames that come
again. So its videos are FFV1 in RGB, every frame by itself: what `flow.video` decodes is what was
written, and nothing remains of the codec. (Motion JPEG at quality 3 moves one grey level in one
pixel of nine.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FPS = 25


def write_lossless(path: Path, frames: NDArray[np.uint8]) -> None:
    """Write RGB frames, uint8 (T, H, W, 3), as FFV1 in AVI."""
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    with av.open(
        str(temporary), "w", format="avi", container_options={"fflags": "+bitexact"}
    ) as container:
        stream = container.add_stream("ffv1", rate=FPS)
        stream.width, stream.height = frames.shape[2], frames.shape[1]
        stream.pix_fmt = "bgr0"
        context = stream.codec_context
        context.thread_count = 1
        context.flags |= av.codec.context.Flags.bitexact
        context.gop_size = 1
        context.options = {"level": "3", "slices": "4", "slicecrc": "1"}
        for pixels in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="bgr0")))  # the same numbers
        container.mux(stream.encode())
    temporary.replace(path)
