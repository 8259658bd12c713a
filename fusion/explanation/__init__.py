"""Pictures of what trained networks see, and the page that shows them."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from fusion.explanation.asked import Wanted
    from fusion.explanation.drawing import heat
    from fusion.explanation.figures import Explanation, Section
    from fusion.explanation.fused import explain_fusion
    from fusion.explanation.looks import RunLooks, look_at_run
    from fusion.explanation.page import check_folder, write_explanation
    from fusion.explanation.sequences import explain_sequence, place_heat
    from fusion.explanation.streams import explain_stream

__getattr__, __all__ = exports(__name__, __file__)
