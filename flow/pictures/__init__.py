"""Flow to look at: previews, overlays, a camera's picture."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from flow.pictures.live import Block, PictureSource, frames_of, recipe_of, windows
    from flow.pictures.overlay import Overlay
    from flow.pictures.preview import (
        DecodedVideo,
        Preview,
        StoredVideo,
        full_speed,
        similar_ids,
        write_film,
        write_strip,
    )
    from flow.pictures.webcam import Webcam

__getattr__, __all__ = exports(__name__, __file__)
