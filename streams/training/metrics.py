"""Right answers and loss, summed so that any number of processes and batches gives one number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from streams.training.distributed import Ranks


@dataclass
class Tally:
    """Sums over videos; on the device until they are asked for."""

    loss: Tensor | float = 0.0
    top1: Tensor | float = 0.0
    top5: Tensor | float = 0.0
    count: float = 0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """`loss` is the mean of this batch; logits (B, classes)."""
        n = len(labels)
        best = logits.detach().topk(min(5, logits.shape[1]), dim=1).indices == labels[:, None]
        self.loss = self.loss + loss.detach().double() * n
        self.top1 = self.top1 + best[:, 0].sum()
        self.top5 = self.top5 + best.sum()
        self.count += n

    def sums(self) -> list[float]:
        """Of this process, in the order of the fields."""
        return [float(self.loss), float(self.top1), float(self.top5), float(self.count)]

    def result(self, where: Ranks) -> dict[str, float]:
        """loss, top1 and top5 (parts of 1) over all processes."""
        loss, top1, top5, count = where.total(self.sums())
        count = max(count, 1)
        return {"loss": loss / count, "top1": top1 / count, "top5": top5 / count}


def better(
    new: dict[str, float], old: dict[str, float] | None, by: Literal["top1", "loss"] = "top1"
) -> bool:
    """More right answers, and at equality the lower loss; or the lower loss alone."""
    if old is None:
        return True
    if by == "loss":
        return new["loss"] < old["loss"]
    return (new["top1"], -new["loss"]) > (old["top1"], -old["loss"])


def percent(share: float, of: int) -> str:
    """A share of so many, without more decimals than they allow: one in 60 is 2 %, not 1.67 %."""
    decimals = max(0, len(str(max(of, 1) - 1)) - 2) if of > 1 else 0
    return f"{100 * share:.{decimals}f} %"
