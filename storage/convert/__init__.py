"""Other tools' layouts, in and out."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from storage.convert.export_flow import Arrays, RawFrames
    from storage.convert.export_i3d import FLOW_FOLDER, I3DPictures
    from storage.convert.export_lists import labels_of, write_lists
    from storage.convert.export_pictures import Pictures, other_tools_quantizer
    from storage.convert.export_shards import Shards
    from storage.convert.flow_files import UNKNOWN
    from storage.convert.frame_rates import write_rates
    from storage.convert.import_options import ImportOptions
    from storage.convert.import_plan import plan_import
    from storage.convert.importer import FAILURES, import_flow

__getattr__, __all__ = exports(__name__, __file__)
