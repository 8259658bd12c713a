"""The one door to torchvision.

The torchvision wheel for CUDA beside a CPU build of torch cannot load its compiled part, and then
its import stops with "operator torchvision::nms does not exist", although nothing here needs that
operator. When (and only when) the import stops so, the two missing operators are declared, with
no code behind them, and the import is tried again. `WORKAROUND` says what was done: None on a
healthy installation.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

import torch

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
OPERATORS = ("nms", "qnms")
_declared: list[torch.library.Library] = []
"""Declarations live as long as the object that made them."""


def is_declared(operator: str) -> bool:
    """Whether torch knows `torchvision::<operator>`, with code behind it or not."""
    try:
        getattr(torch.ops.torchvision, operator)
    except (AttributeError, RuntimeError):
        return False
    return True


def import_torchvision() -> tuple[ModuleType, str | None]:
    """torchvision, and what had to be done to import it (None: nothing)."""
    try:
        return import_module("torchvision"), None
    except RuntimeError as error:
        if "does not exist" not in str(error):
            raise
        reason = str(error)
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]  # the half of it that was imported before it stopped
    missing = [operator for operator in OPERATORS if not is_declared(operator)]
    library = torch.library.Library("torchvision", "DEF")
    for operator in missing:
        library.define(operator + SCHEMA)
    _declared.append(library)
    done = f"{reason}: declared {', '.join(missing)} and imported again"
    return import_module("torchvision"), done


torchvision: Any
torchvision, WORKAROUND = import_torchvision()
models: Any = import_module("torchvision.models")
v2: Any = import_module("torchvision.transforms.v2.functional")
