"""How the weights move; the loop needs nothing else of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from storage.errors import UserError
from streams.settings import NEWER


@dataclass(frozen=True)
class Optimisation:
    """How the weights move; the loop needs nothing else of a recipe."""

    epochs: int = 50
    """Passes over the training videos."""
    steps: int = 0
    """Steps of the optimiser instead of --epochs (0: by epochs)."""
    batch: int = 64
    """Videos a step, over all processes and micro-batches."""
    accumulate: int = 1
    """Micro-batches that a step is split into, to save memory."""
    lr: float = 0.01
    """Highest learning rate, for the batch as given (it is not scaled)."""
    optimiser: Literal["sgd", "adamw"] = field(default="sgd", metadata=NEWER)
    """sgd with momentum, or adamw."""
    momentum: float = 0.9
    """Of SGD; of AdamW the first of its two decays, the second is 0.999."""
    nesterov: bool = True
    """Nesterov's momentum."""
    weight_decay: float = 5e-4
    """On weights; not on biases and batch norms."""
    schedule: Literal["cosine", "steps", "constant"] = "cosine"
    """cosine: down to 0. steps: times --factor at each of --milestones."""
    milestones: tuple[float, ...] = ()
    """Parts of the whole training at which `steps` lowers the rate."""
    factor: float = field(default=0.1, metadata=NEWER)
    """What `steps` multiplies the rate by."""
    warmup: float = 0.05
    """Part of the whole training in which the rate rises from 0."""
    head_lr: float = 1.0
    """The classifier's rate as a multiple of the network's."""
    clip: float = 20.0
    """Greatest norm of the gradient (0: not clipped)."""
    smoothing: float = 0.1
    """Label smoothing."""
    own_loss: float = field(default=0.0, metadata=NEWER)
    """Weight of the network's own loss, which needs no labels, beside that of the classes:
    hidden-two-stream has one, that of its motion (0: none)."""
    ema: float = 0.0
    """Decay a step of the averaged weights that are validated and kept (0: none)."""
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """Mixed precision; auto: bf16 on a GPU that has it, off elsewhere."""
    channels_last: bool = True
    """Memory order that tensor cores like."""
    compile: bool = False
    """torch.compile: faster after some minutes of compiling."""
    patience: int = 0
    """Stop after so many validations without a better one (0: never)."""
    best: Literal["top1", "loss"] = "top1"
    """Which validation is the best one: that of the highest top-1 (then the lowest loss), or that
    of the lowest loss, which suits few videos and scores that are to be averaged."""
    validate_every: int = 1
    """Epochs between validations."""

    def __post_init__(self) -> None:
        if self.epochs < 1 and self.steps < 1:
            raise UserError(f"--epochs {self.epochs} must be at least 1")
        if self.batch < 1 or self.accumulate < 1 or self.validate_every < 1:
            raise UserError("--batch, --accumulate and --validate-every must be at least 1")
        if self.batch % self.accumulate:
            raise UserError(
                f"--batch {self.batch} does not divide by --accumulate {self.accumulate}"
            )
        if not self.lr > 0:
            raise UserError(f"--lr {self.lr} must be positive")
        if not 0 <= self.ema < 1 or not 0 <= self.smoothing < 1 or not 0 <= self.warmup < 1:
            raise UserError("--ema, --smoothing and --warmup must lie in [0, 1)")
        if not 0 < self.factor < 1 or self.own_loss < 0:
            raise UserError("--factor must lie in (0, 1), --own-loss must not be negative")
        if self.nesterov and self.momentum == 0:
            raise UserError("--nesterov needs --momentum above 0")
