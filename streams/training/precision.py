"""Mixed precision: which number type the network computes in, and whether gradients are scaled."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from storage.errors import UserError


@dataclass(frozen=True)
class Precision:
    """`dtype` None is float32 throughout."""

    device: str
    dtype: torch.dtype | None

    @classmethod
    def choose(cls, name: str, device: torch.device) -> Precision:
        """auto: bf16 where a GPU has it."""
        on_gpu = device.type == "cuda"
        if name == "auto":
            name = "bf16" if on_gpu and torch.cuda.is_bf16_supported() else "off"
        if name == "fp16" and not on_gpu:
            raise UserError("--amp fp16 needs a GPU; --amp bf16 or off work here")
        return cls(device.type, {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}[name])

    @property
    def scaled(self) -> bool:
        """fp16's range is too short for small gradients."""
        return self.dtype is torch.float16

    def context(self) -> AbstractContextManager[Any]:
        if self.dtype is None:
            return nullcontext()
        return torch.autocast(self.device, dtype=self.dtype)
