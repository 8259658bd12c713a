"""Fusion of the streams' scores and features, and the report that judges it."""

from typing import TYPE_CHECKING

from storage.lazy import exports

if TYPE_CHECKING:
    from fusion.averaging import average
    from fusion.evaluation import Evaluation, evaluate

__getattr__, __all__ = exports(
    __name__,
    {
        "Evaluation": "evaluation",
        "average": "averaging",
        "evaluate": "evaluation",
    },
)
