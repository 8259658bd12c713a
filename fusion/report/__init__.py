"""The report: numbers, pictures and one page."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from fusion.report.report import ReportInputs, write_report
    from fusion.report.video_timeline import (
        Fusing,
        Row,
        StreamScores,
        overall,
        running,
        timeline,
        window_starts,
    )

__getattr__, __all__ = exports(__name__, __file__)
