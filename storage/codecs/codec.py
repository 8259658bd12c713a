"""One flow pair, or one frame, as bytes and back.

A codec is named by a short text that goes into the manifest:

    within:PIXELS   a grey JPEG a pair, x above y, with tables made for flow, that moves vectors by
                    no more than PIXELS on average over the pair, and twice that over what moves
    jpeg:QUALITY    one grey JPEG a pair with the usual tables
    half:QUALITY    the same of every second row and column, doubled again on reading
    lossless        zstd of the difference to the pixel above
    raw             the bytes as they are
    files           picture files as another tool wrote them (storage/codecs/files.py)
    none            frames only: none are stored

Each item of a pair says which of these it is, so one decoder reads all but `raw` and `files`.
docs/store.md has the measurements behind these choices. OpenCV is imported when the first item is
coded, so that opening a store stays cheap.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from storage.codecs.files import FlowFiles, FrameFiles
from storage.codecs.items import (
    Codes,
    Half,
    Jpeg,
    JpegFrame,
    Lossless,
    LosslessPair,
    RawBytes,
)
from storage.codecs.pictures import quality_of
from storage.codecs.quantize import Quantizer
from storage.codecs.within import Within
from storage.errors import UserError


class Codec(Protocol):
    """Codes one item. What it decodes to has the item's shape."""

    def encode(self, item: Codes) -> bytes: ...

    def decode(self, data: bytes, out: Codes) -> None:
        """Fill `out`, C-contiguous and of the item's shape."""


Maker = Callable[[str, Quantizer], Codec]
"""(what stands behind the colon, the flow's quantiser) -> a codec. ValueError for another text."""


def plain(codec: Codec) -> Maker:
    """Of a codec without a setting."""

    def maker(setting: str, quantizer: Quantizer) -> Codec:
        if setting:
            raise ValueError(f"{setting!r} is one too many")
        return codec

    return maker


FLOW_CODECS: dict[str, Maker] = {
    "within": lambda setting, quantizer: Within(float(setting), quantizer),
    "jpeg": lambda setting, quantizer: Jpeg(quality_of(setting)),
    "half": lambda setting, quantizer: Half(quality_of(setting)),
    "lossless": plain(LosslessPair()),
    "raw": plain(RawBytes()),
    "files": plain(FlowFiles()),
}
FRAME_CODECS: dict[str, Maker] = {
    "jpeg": lambda setting, quantizer: JpegFrame(quality_of(setting)),
    "lossless": plain(Lossless()),
    "raw": plain(RawBytes()),
    "files": plain(FrameFiles()),
}


def flow_codec(name: str, quantizer: Quantizer | None = None) -> Codec:
    """The codec of a flow pair, uint8 (2, H, W). `within` measures in the quantiser's pixels."""
    choices = "within:PIXELS such as within:0.08, jpeg:1 to jpeg:100, half:1 to half:100, "
    return _codec(FLOW_CODECS, "codec", name, quantizer, choices + "lossless, raw or files")


def frame_codec(name: str) -> Codec | None:
    """The codec of a frame, uint8 (H, W, 3) RGB. None where no frames are stored."""
    if name == "none":
        return None
    choices = "jpeg:1 to jpeg:100, lossless, raw, files or none"
    return _codec(FRAME_CODECS, "frame codec", name, None, choices)


def _codec(
    makers: dict[str, Maker], what: str, name: str, quantizer: Quantizer | None, choices: str
) -> Codec:
    kind, colon, setting = name.partition(":")
    try:
        return makers[kind](setting or colon, quantizer or Quantizer())
    except (KeyError, ValueError):
        raise UserError(f"{what} {name!r} is not known; choose {choices}") from None
