"""The training loop: one for the streams and for their fusion.

What a step does is a function of the settings and the step's number: the samples, their crops and
the dropout are drawn from (seed, step), the learning rate is computed from the step. So a
checkpoint needs the weights, the optimiser, the scaler and the step, and a run that was stopped
anywhere goes on as if nothing had happened, bit for bit.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from storage import atomic
from storage.errors import UserError, WorkFailed
from streams.networks import current_names
from streams.samples import Slices, make_loader, plainly, random_numbers, training_batches
from streams.training import checkpoint
from streams.training.average import Average
from streams.training.distributed import Ranks
from streams.training.interrupt import Stop
from streams.training.log_file import logged
from streams.training.metrics import Tally, better
from streams.training.optimiser import optimiser
from streams.training.options import LoopOptions
from streams.training.precision import Precision
from streams.training.progress import Progress
from streams.training.run_folder import RunFolder, write_json
from streams.training.schedule import learning_rate, steps_per_epoch, total_steps
from streams.training.task import Step, Task
from streams.training.trackers import check_trackers
from streams.training.weights_file import save_weights

log = logging.getLogger(__name__)

ROW_EVERY = 10
"""Steps between two lines of metrics.jsonl; the loss is looked at as often."""


@dataclass
class State:
    """Where a run is; everything else follows from the settings."""

    step: int = 0
    """Steps done."""
    best: dict[str, float] | None = None
    worse: int = 0
    """Validations since the best one."""
    finished: bool = False
    seconds: float = 0.0
    """Time trained, over all sittings."""


class Trainer:
    """One sitting of a run."""

    def __init__(
        self,
        task: Task[Any],
        folder: RunFolder,
        where: Ranks,
        options: LoopOptions,
        *,
        quiet: bool,
        track: Sequence[str] = (),
    ) -> None:
        self.task, self.folder, self.where, self.options = task, folder, where, options
        self.optim = task.optim
        self.seed = task.seed
        self.data = task.data("train")
        self.total = total_steps(self.optim, len(self.data))
        self.epoch = steps_per_epoch(len(self.data), self.optim.batch)
        self.workers = options.loading_processes(where.world)
        self.precision = Precision.choose(self.optim.amp, where.device)
        self.state = State()
        self.tally = Tally(answers=task.answers)
        """Of the steps since the last line of metrics.jsonl."""
        self.progress = Progress(folder, self.total, where.first, quiet, track)
        if options.deterministic:
            os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS asks for
            torch.use_deterministic_algorithms(True)
        elif where.device.type == "cuda":
            torch.backends.cudnn.benchmark = True

    def prepare(self, resume: bool) -> None:
        """Build the model and its optimiser, and load where the last sitting stopped."""
        saved = checkpoint.load(self.folder.last) if resume else None
        model = self.task.build_model(initial=saved is None)
        if saved is not None:
            load_model(model, saved["model"], self.folder)
        self.model = model.to(self.where.device)
        if self.optim.channels_last:
            make_channels_last(self.model)
        if self.where.world > 1 and self.where.device.type == "cuda":
            self.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model)
        self.average = Average(self.model, self.optim.ema) if self.optim.ema else None
        self.optimizer = optimiser(self.optim, self.task.parameter_groups(self.model))
        self.scaler = torch.amp.GradScaler(
            self.where.device.type, enabled=self.precision.scaled, init_scale=2.0**13
        )
        if saved is not None:
            self.optimizer.load_state_dict(saved["optimizer"])
            self.scaler.load_state_dict(saved["scaler"])
            if self.average is not None:
                self.average.model.load_state_dict(current_names(saved["average"]))
            self.state = State(**saved["state"])
            if self.state.finished and self.state.step == self.folder.lengthened_at():
                self.state.finished, self.state.worse = False, 0
            if self.where.first:
                self.tally = replace(Tally(*saved["tally"]), answers=self.task.answers)
        self.forward: Any = self.model
        if self.where.world > 1:
            on_gpu = self.where.device.type == "cuda"
            self.forward = DistributedDataParallel(
                self.model, device_ids=[self.where.device.index] if on_gpu else None
            )
        if self.optim.compile:
            self.forward = torch.compile(self.forward)
        if self.where.first:
            self.folder.forget_after(self.state.step)
            self.progress.begin(self.state.step, self.task.settings())

    def run(self, stop: Stop) -> State:
        """Train to the end, or until Ctrl-C; either way the folder is left complete."""
        state = self.state
        batches = training_batches(
            self.data,
            batch=self.optim.batch,
            accumulate=self.optim.accumulate,
            steps=range(state.step, self.total),
            rank=self.where.rank,
            world=self.where.world,
            workers=self.workers,
            pin=self.where.device.type == "cuda",
        )
        self.checking = self.validation_loader()
        tally, losses = self.tally, list[Tensor]()
        began = time.monotonic()
        while state.step < self.total and not state.finished:
            losses.append(self.train_step(self.read(batches, tally, losses), tally))
            state.step += 1
            due = self.validation_due()
            if state.step % ROW_EVERY == 0 or due:
                self.check_finite(losses)
                self.progress.trained(state.step, self.row(tally))
                tally, losses = Tally(answers=self.task.answers), []
            self.progress.step(state.step)
            if due:
                self.validate()
            stopping = stop.asked(state.step)
            every = self.options.save_every
            if due or stopping or (every and state.step % every == 0):
                self.check_finite(losses)
                state.seconds += time.monotonic() - began
                began = time.monotonic()
                self.save(tally)
            if stopping:
                self.progress.end()
                raise KeyboardInterrupt
        self.progress.end()
        return state

    def read(self, batches: Iterator[Any], tally: Tally, losses: list[Tensor]) -> list[Any]:
        """The micro-batches of a step, all before it begins: so the end of a reading process comes
        between two steps, and what was learnt until then is kept."""
        try:
            return [next(batches) for _ in range(self.optim.accumulate)]
        except WorkFailed as error:
            if self.where.world > 1 or not self.state.step:  # the others do not know of it
                raise
            self.check_finite(losses)
            self.save(tally)
            raise WorkFailed(
                f"{error}; {self.folder.last} holds the state after step {self.state.step}"
            ) from None

    def train_step(self, batches: list[Any], tally: Tally) -> Tensor:
        """One step of the optimiser over its micro-batches; their mean loss, on the device."""
        torch.manual_seed(hash_of(self.seed, self.state.step, self.where.rank))
        rate = learning_rate(self.optim, self.state.step, self.total)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        self.forward.train()
        parts = self.optim.accumulate
        sum_of_losses = torch.zeros((), device=self.where.device)
        for part in range(parts):
            batch = batches[part].to(self.where.device)
            waits = self.where.world > 1 and part < parts - 1
            loss = torch.zeros((), device=self.where.device)
            with self.forward.no_sync() if waits else nullcontext():
                for step in self.pieces(self.forward, batch):
                    self.scaler.scale(step.loss / parts).backward()
                    loss += step.loss.detach()
            sum_of_losses += loss / parts
            tally.add(replace(step, loss=loss), batch.labels)
        if self.optim.clip:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.optim.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.follow(self.state.step)
        return sum_of_losses

    def pieces(self, model: Any, batch: Any) -> Iterator[Step]:
        """The task's steps over one batch: one, unless it takes the batch in pieces."""
        state: Any = None
        while True:
            with self.precision.context():
                step = self.task.step(model, batch, state)
            yield step
            if step.state is None:
                return
            state = step.state

    def validation_loader(self) -> Any:
        data = self.task.data("validation")
        slices = Slices(len(data), self.optim.batch, self.where.rank, self.where.world)
        pin = self.where.device.type == "cuda"
        return make_loader(data, slices, min(self.workers, len(slices)), pin, keep=True)

    def validation_due(self) -> bool:
        last = self.state.step == self.total
        return last or self.state.step % (self.epoch * self.optim.validate_every) == 0

    @torch.no_grad()
    def validate(self) -> None:
        """Measure on the validation part, and keep the weights if they are the best so far."""
        model = (self.average.model if self.average is not None else self.model).eval()
        tally = Tally.of(self.task)
        for batch in plainly(self.checking):
            batch = batch.to(self.where.device)
            steps = list(self.pieces(model, batch))
            loss = torch.stack([step.loss for step in steps]).sum()
            tally.add(replace(steps[-1], loss=loss), batch.labels)
        result = tally.result(self.where)
        # Without validation videos the last weights are the ones to keep.
        improved = len(self.checking.dataset) == 0 or better(
            result, self.state.best, self.optim.best
        )
        self.state.worse = 0 if improved else self.state.worse + 1
        patience = self.optim.patience
        self.state.finished = self.state.step >= self.total or bool(
            patience and self.state.worse >= patience
        )
        if improved:
            self.state.best = result
            if self.where.first:
                self.save_best(model, result)
        self.progress.validated(self.state.step, result, improved)

    def save_best(self, model: nn.Module, result: dict[str, float]) -> None:
        """The weights that did best on the validation part, describing themselves."""
        about = {
            "kind": self.task.kind,
            "classes": list(self.task.classes),
            "step": self.state.step,
            "validation": result,
            "settings": self.task.settings(),
        }
        save_weights(self.folder.best, model.state_dict(), about)
        self.folder.older_best.unlink(missing_ok=True)

    def row(self, tally: Tally) -> dict[str, float]:
        done = max(self.state.step - 1, 0)
        rate = learning_rate(self.optim, done, self.total)
        epoch = self.state.step * self.optim.batch / len(self.data)
        return tally.result(self.where) | {"lr": rate, "epoch": round(epoch, 3)}

    def check_finite(self, losses: list[Tensor]) -> None:
        """Stop before a broken state is saved."""
        if not losses:
            return
        values = torch.stack(losses).float().cpu()
        bad = (~values.isfinite()).nonzero()
        found = self.where.total([float(len(bad))])[0]
        if found:
            step = self.state.step - len(losses) + (int(bad[0]) if len(bad) else 0)
            value = float(values[bad[0]]) if len(bad) else "not finite"
            raise UserError(
                f"the loss is {value} in step {step}: "
                f"lower --lr {self.optim.lr}, lengthen --warmup, set --clip, or try --amp off; "
                f"{self.folder.last} holds the state before it"
            )

    def save(self, tally: Tally) -> None:
        sums = self.where.total(tally.sums())
        if self.where.first:
            checkpoint.save(
                self.folder.last,
                {
                    "model": self.model.state_dict(),
                    "average": self.average.model.state_dict() if self.average else None,
                    "optimizer": self.optimizer.state_dict(),
                    "scaler": self.scaler.state_dict(),
                    "state": vars(self.state),
                    "tally": sums,
                },
            )
        self.where.wait()


def load_model(model: nn.Module, state: dict[str, Tensor], folder: RunFolder) -> None:
    try:
        model.load_state_dict(current_names(state))
    except RuntimeError as error:
        raise UserError(
            f"{folder.last} holds the weights of another network: {str(error).splitlines()[-1]}; "
            "give another --out, or --restart"
        ) from None


def make_channels_last(model: nn.Module) -> None:
    """As `model.to(memory_format=...)`, which refuses networks with 3-D convolutions."""
    for parameter in model.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def hash_of(*numbers: int) -> int:
    """A seed that belongs to these integers."""
    return int(random_numbers(*numbers[:1], 99, *numbers[1:]).integers(2**62))


def train(
    task: Task[Any],
    folder: RunFolder,
    where: Ranks,
    options: LoopOptions,
    *,
    origin: dict[str, Any] | None = None,
    left_out: dict[str, Any] | None = None,
    quiet: bool = False,
    options_text: str = "",
    longer: bool = False,
    track: Sequence[str] = (),
) -> State:
    """Train a task into a run folder, or go on with the run that is in it.

    `options_text` is kept as run.yaml. `track`: trackers beside TensorBoard. `longer`: more epochs
    or steps than the run was begun with are accepted. Then the rate is, from the next step on, what
    the longer schedule has there, as if that had been asked for from the start: after a cosine's
    end it rises again.
    """
    check_trackers(track)
    with ExitStack() as stack:
        stop = stack.enter_context(Stop(where))  # within imports and compilers it could get lost
        resume = False
        if where.first:
            stack.enter_context(folder.alone())
            resume = folder.begin(task.settings(), origin or {}, longer=longer)
            stack.enter_context(logged(folder.log_file))
            if left_out is not None:
                write_json(folder.left_out, left_out)
            if options_text:
                atomic.write_text(folder.options, options_text, alone=True)
        resume = bool(where.total([float(resume)])[0])
        return sitting(task, folder, where, options, stop, resume, quiet, track)


def sitting(
    task: Task,
    folder: RunFolder,
    where: Ranks,
    options: LoopOptions,
    stop: Stop,
    resume: bool,
    quiet: bool,
    track: Sequence[str] = (),
) -> State:
    """Train from where the folder stands."""
    trainer = Trainer(task, folder, where, options, quiet=quiet, track=track)
    try:
        trainer.prepare(resume)
        if trainer.state.finished:
            log.info("%s is finished already (step %d)", folder.path, trainer.state.step)
            return trainer.state
        if stop.asked(0):
            raise KeyboardInterrupt
        return trainer.run(stop)
    except torch.OutOfMemoryError as error:
        size = task.optim.batch // task.optim.accumulate
        raise UserError(
            f"CUDA ran out of memory in step {trainer.state.step} with micro-batches of {size}: "
            f"raise --accumulate (now {task.optim.accumulate}), lower --batch or --size; "
            f"{str(error).splitlines()[0]}"
        ) from None
    finally:
        trainer.progress.close()
