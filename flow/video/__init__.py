"""Videos in: finding, naming, decoding, resizing."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from flow.video.find import VideoFile, find_videos
    from flow.video.frame_rate import check_rate, resample
    from flow.video.naming import as_text, assign_ids, name_of
    from flow.video.reader import Frame, VideoError, VideoReader, probe
    from flow.video.resize import Resize, to_grey

__getattr__, __all__ = exports(__name__, __file__)
