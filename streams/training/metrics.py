"""Right answers and loss, summed so that any number of processes and batches gives one number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from streams.training.distributed import Ranks
from streams.training.task import Step, Task


@dataclass
class Tally:
    """Sums over videos; on the device until they are asked for."""

    loss: Tensor | float = 0.0
    top1: Tensor | float = 0.0
    top5: Tensor | float = 0.0
    count: float = 0
    measures: dict[str, float] = field(default_factory=dict)
    """Sums of what else a task measures; its names are given at the start."""
    answers: bool = True
    """Whether there are answers to count."""

    @classmethod
    def of(cls, task: Task) -> Tally:
        """Ready for the validation of a task."""
        return cls(measures=dict.fromkeys(task.measures, 0.0), answers=task.answers)

    def add(self, step: Step, labels: Tensor) -> None:
        """A step over this batch; its numbers are means."""
        n = len(labels)
        self.loss = self.loss + step.loss.detach().double() * n
        self.count += n
        for name in self.measures:
            self.measures[name] += step.measures[name] * n
        if step.logits is None:
            return
        logits = step.logits
        best = logits.detach().topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
        self.top1 = self.top1 + best[:, 0].sum()
        self.top5 = self.top5 + best.sum()

    def sums(self) -> list[float]:
        """Of this process: loss, top1, top5, count."""
        return [float(self.loss), float(self.top1), float(self.top5), float(self.count)]

    def result(self, where: Ranks) -> dict[str, float]:
        """loss, top1 and top5 (parts of 1) where there are answers, and what else is measured, over
        all processes."""
        sums = where.total([*self.sums(), *self.measures.values()])
        loss, top1, top5, count, *others = sums
        right = {"top1": top1, "top5": top5} if self.answers else {}
        values = {"loss": loss, **right, **dict(zip(self.measures, others, strict=True))}
        return {name: value / max(count, 1) for name, value in values.items()}


def better(
    new: dict[str, float], old: dict[str, float] | None, by: Literal["top1", "loss"] = "top1"
) -> bool:
    """More right answers, and at equality the lower loss; or the lower loss alone."""
    if old is None:
        return True
    if by == "loss" or "top1" not in new:
        return new["loss"] < old["loss"]
    return (new["top1"], -new["loss"]) > (old["top1"], -old["loss"])


def percent(share: float, of: int) -> str:
    """A share of so many, without more decimals than they allow: one in 60 is 2 %, not 1.67 %."""
    decimals = max(0, len(str(max(of, 1) - 1)) - 2) if of > 1 else 0
    return f"{100 * share:.{decimals}f} %"
