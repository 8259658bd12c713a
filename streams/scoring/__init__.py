"""From a trained run to a score table."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from streams.scoring.costs import Costs, device_name
    from streams.scoring.runs import Run, facts_of, load_stream
    from streams.scoring.scoring import Scorer, Views, score_table
    from streams.scoring.tap import Tap
    from streams.scoring.taps import NetworkTap, usable
    from streams.scoring.window_scores import (
        WindowScores,
        fields_needed,
        moments_within,
        reach,
        score_window,
    )

__getattr__, __all__ = exports(__name__, __file__)
