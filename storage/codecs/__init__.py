"""Flow and frames as bytes: quantisers and codecs."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from storage.codecs.codec import Codec, flow_codec, frame_codec
    from storage.codecs.colorwheel import flow_to_rgb
    from storage.codecs.files import join_files, split_files
    from storage.codecs.grey import compile_reader, expect
    from storage.codecs.pictures import (
        decode_file,
        encode_jpeg,
        encode_png,
        head_length,
        picture_size,
        quality_of,
    )
    from storage.codecs.quantize import RULES, Quantizer
    from storage.codecs.thresholds import code_thresholds
    from storage.codecs.within import MOVING

__getattr__, __all__ = exports(__name__, __file__)
