"""Fusion of the streams' scores and features, and the report that judges it."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from fusion.judge import Evaluation, evaluate
    from fusion.network import ConvFusionNet
    from fusion.report import ReportInputs, write_report
    from fusion.scores import LinearSVMFusion, average, weighted

__getattr__, __all__ = exports(__name__, __file__)
