"""What the training loop asks of whatever it trains: the streams here, their fusion elsewhere."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from streams.samples import Batch, ClipDataset
from streams.training.recipes import Optimisation


class Task(Protocol):
    """One thing to be trained. The loop knows a task, an `Optimisation` and a run folder."""

    kind: str
    """spatial, temporal, difference, fusion ...: the name in the run folder and in score tables."""
    classes: tuple[str, ...]
    optim: Optimisation
    seed: int

    def settings(self) -> dict[str, Any]:
        """JSON values that decide the result: kept in the run folder, compared when resuming."""

    def build_model(self, initial: bool) -> nn.Module:
        """The network; its starting weights matter only where `initial` is true."""

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """For SGD; a group's `scale` multiplies the recipe's learning rate (default 1), and its
        `weight_decay` replaces the recipe's."""

    def data(self, part: str) -> ClipDataset:
        """Samples of the part `train` or `validation`."""

    def inputs(self, batch: Batch) -> Any:
        """A batch on its device -> what the model takes. Runs without gradients."""

    def loss(self, outputs: Any, labels: Tensor) -> Tensor:
        """The model's outputs -> scalar mean loss."""

    def logits(self, outputs: Any) -> Tensor:
        """The model's outputs -> float (B, classes), for the metrics."""


def decay_groups(model: nn.Module, head: str, head_scale: float) -> list[dict[str, Any]]:
    """Trainable parameters in up to four groups: weight decay only on matrices and filters, the
    layers whose names start with `head` at a rate of their own."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            key = (name.startswith(head), parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "scale": head_scale if in_head else 1.0,
            **({} if decays else {"weight_decay": 0.0}),
        }
        for (in_head, decays), parameters in groups.items()
    ]
