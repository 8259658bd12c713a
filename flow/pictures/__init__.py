"""Flow to look at: previews, overlays, a camera's picture."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from flow.pictures.live import Block, Pictures, frames_of, passages, recipe_of
    from flow.pictures.overlay import Overlay
    from flow.pictures.preview import (
        DecodedVideo,
        Shown,
        StoredVideo,
        full_speed,
        wanted_frames,
        write_film,
        write_strip,
    )
    from flow.pictures.webcam import Webcam

__getattr__, __all__ = exports(__name__, __file__)
