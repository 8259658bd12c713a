"""Fusion of the streams' scores and features, and the report that judges it."""

from typing import TYPE_CHECKING

from storage.lazy import exports

if TYPE_CHECKING:
    from fusion.averaging import average
    from fusion.conv_net import ConvFusionNet
    from fusion.evaluation import Evaluation, evaluate
    from fusion.report import ReportInputs, write_report
    from fusion.svm import LinearSVMFusion
    from fusion.weighting import weighted

__getattr__, __all__ = exports(
    __name__,
    {
        "ConvFusionNet": "conv_net",
        "Evaluation": "evaluation",
        "LinearSVMFusion": "svm",
        "ReportInputs": "report",
        "average": "averaging",
        "evaluate": "evaluation",
        "weighted": "weighting",
        "write_report": "report",
    },
)
