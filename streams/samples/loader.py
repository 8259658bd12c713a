"""Batches read ahead by worker processes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader

from storage.errors import UserError, WorkFailed
from streams.samples.dataset import ClipDataset
from streams.samples.loader_end import WorkerStart
from streams.samples.sampling import Draw, SampleStream, Sampling, StepBatches


class TrainingData(Protocol):
    """What the training loop asks of samples, whatever they are made of."""

    @property
    def labels(self) -> list[int]:
        """Of each clip."""

    @property
    def seed(self) -> int:
        """Of the order and of all other choices."""

    @property
    def sampling(self) -> Sampling:
        """Whether classes are drawn equally often."""

    def __len__(self) -> int:
        """Clips."""

    def __getitem__(self, which: Draw) -> Any:
        """A training sample; of an integer, the testing sample of that clip."""

    def collate(self, samples: Sequence[Any]) -> Any:
        """Samples to a batch: with `labels`, `videos` and `to(device)`."""


def make_loader(
    data: TrainingData, batches: Any, workers: int, pin: bool, keep: bool = False
) -> DataLoader[Any]:
    """A loader whose content depends on `data` and `batches` alone."""
    if workers and isinstance(data, ClipDataset):
        data.prepare()
    return DataLoader(
        data,  # type: ignore[arg-type]
        batch_sampler=batches,
        collate_fn=data.collate,
        num_workers=workers,
        pin_memory=pin,
        worker_init_fn=WorkerStart(),
        persistent_workers=keep and workers > 0,
        prefetch_factor=3 if workers else None,
        # Drawing the workers' seed from a generator of its own leaves torch's untouched.
        generator=torch.Generator().manual_seed(0),
    )


def training_batches(
    data: TrainingData,
    *,
    batch: int,
    accumulate: int,
    steps: range,
    rank: int,
    world: int,
    workers: int,
    pin: bool,
) -> Iterator[Any]:
    """Micro-batches from the first of `steps` on, `accumulate` a step."""
    if not len(data):
        raise UserError("there is no training video")
    stream = SampleStream(data.labels, data.seed, data.sampling.balanced)
    batches = StepBatches(stream, batch, steps, accumulate=accumulate, rank=rank, world=world)
    return plainly(make_loader(data, batches, workers, pin))


def plainly(loader: DataLoader[Any]) -> Iterator[Any]:
    """The loader's batches; a user's mistake that a worker met is said as it was there, without
    the worker's traceback, and a worker that was killed is the end of the work."""
    try:
        yield from unsignalled(loader)
    except UserError as error:
        text = str(error)
        if not text.startswith("Caught "):
            raise
        name, _, said = text.strip().splitlines()[-1].partition(": ")
        raise UserError(said or name) from None
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise WorkFailed(
            f"a reading process ended: {str(error).splitlines()[0]}; was it killed for want of "
            "memory? --workers 0 reads without such processes"
        ) from None


def unsignalled(loader: DataLoader[Any]) -> Iterator[Any]:
    """The loader's iterator, without torch's SIGCHLD handler.

    That one raises wherever the main thread is, in the middle of a step or of a file. Without it
    the end of a worker is noticed by who waits for its batch, within five seconds.
    """
    if threading.current_thread() is not threading.main_thread():
        return iter(loader)
    before = signal.getsignal(signal.SIGCHLD)
    batches = iter(loader)
    if before is not None:
        signal.signal(signal.SIGCHLD, before)
    return batches


class Slices:
    """The clips 0 .. n-1 that fall to this process, in batches."""

    def __init__(self, count: int, batch: int, rank: int = 0, world: int = 1) -> None:
        mine = range(rank, count, world)
        self.batches: Sequence[list[int]] = [
            list(mine[i : i + batch]) for i in range(0, len(mine), batch)
        ]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.batches)
