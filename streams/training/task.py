"""What the training loop asks of whatever it trains: the streams here, their fusion elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from torch import Tensor, nn

from streams.samples import TrainingData
from streams.training.optimisation import Optimisation


@dataclass(frozen=True)
class Step:
    """What a model says of a batch, or of a piece of one."""

    loss: Tensor
    """Scalar: what is to be made small; the mean over the videos. Of a batch in pieces, the loss
    is the sum of theirs."""
    logits: Tensor | None
    """float (B, classes), for the metrics; None where the task has no labels."""
    state: Any = None
    """What the next piece of the same batch goes on from; None after the last one. So a long
    sequence is trained on piece by piece (truncated back-propagation)."""
    measures: dict[str, float] = field(default_factory=dict)
    """What else the validation is to say, by name: means over the batch."""


B = TypeVar("B", contravariant=True)


class Task(Protocol[B]):
    """One thing to be trained, from batches B. The loop knows a task, an `Optimisation` and a run
    folder."""

    kind: str
    """spatial, temporal, difference, fusion ...: which code can use the run."""
    classes: tuple[str, ...]
    optim: Optimisation
    seed: int
    answers: bool
    """Whether steps have logits, to be compared with labels."""
    measures: tuple[str, ...]
    """The names in `Step.measures` of a validation batch."""

    def settings(self) -> dict[str, Any]:
        """JSON values that decide the result: kept in the run folder, compared when resuming."""

    def build_model(self, initial: bool) -> nn.Module:
        """The network; its starting weights matter only where `initial` is true."""

    def parameter_groups(self, model: nn.Module) -> list[dict[str, Any]]:
        """For the optimiser; a group's `scale` multiplies the recipe's learning rate (default 1),
        and its `weight_decay` replaces the recipe's."""

    def data(self, part: str) -> TrainingData:
        """Samples of the part `train` or `validation`."""

    def step(self, model: Callable[..., Any], batch: B, state: Any = None) -> Step:
        """Run the model on a batch that is on its device. Of a batch in pieces, `state` is what
        the step before gave."""


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
