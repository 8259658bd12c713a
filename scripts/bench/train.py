"""Measure training: the network alone, the loading alone, and both together.

    twostream bench train
    twostream bench train --stream temporal --depth 50 --size 224 --picture 340x256 --batch 64
    twostream bench train --store ucf.store --labels ucfTrainTestlist --workers 8

First the batches that worker processes make are compared, byte by byte, with those of this
process. Then network, loading and both take turns, and the median of the rounds counts. Images a
second count network inputs: frames, or whole stacks of flow.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from storage.codecs import compile_reader
from storage.errors import UserError, WorkFailed
from streams.samples import DataOptions
from streams.training import LoopOptions, wait_asleep

if TYPE_CHECKING:
    from torch import Tensor

    from streams.samples import Batch
    from streams.training import Recipe


@dataclass
class TrainBench:
    """What is measured, and on what."""

    stream: Literal["both", "spatial", "temporal"] = "both"
    """Which stream."""
    depth: int = 18
    """Of the ResNet."""
    size: int = 112
    """Side of the network's input, pixels."""
    picture: str = "170x128"
    """WIDTHxHEIGHT of the stored pictures, where no --store is given."""
    codec: str = "jpeg:95"
    """Of the flow in that store."""
    length: int = 10
    """Pairs in a stack."""
    batch: int = 32
    """Images a step."""
    steps: int = 20
    """Steps a round."""
    rounds: int = 3
    """Of which the median counts."""
    workers: int = 2
    """Processes that read."""
    device: str = "auto"
    """auto, cpu, cuda."""
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """Mixed precision; auto: bf16 on a GPU that has it."""
    compile: bool = False
    """With torch.compile."""
    store: Path | None = None
    """Measure on this store instead of a drawn one."""
    labels: Path | None = None
    """Its lists."""
    json: bool = False
    """Print the results as JSON."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\d+x\d+", self.picture):
            raise UserError(f"--picture {self.picture!r} is not WIDTHxHEIGHT")
        if min(self.batch, self.steps, self.rounds) < 1:
            raise UserError("--batch, --steps and --rounds must be at least 1")
        if (self.store is None) != (self.labels is None):
            raise UserError("--store and --labels go together")


@dataclass
class StreamSpeeds:
    """Images a second of one stream."""

    stream: str
    network: list[float] = field(default_factory=list)
    loading: list[float] = field(default_factory=list)
    both: list[float] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    """both / network, round by round."""
    cpu_network: list[float] = field(default_factory=list)
    """Milliseconds of processor time an image, whatever else the machine did."""
    cpu_both: list[float] = field(default_factory=list)
    """The same, with the reading processes'."""

    def medians(self) -> dict[str, float]:
        return {
            name: statistics.median(getattr(self, name))
            for name in ("network", "loading", "both", "shares", "cpu_network", "cpu_both")
        }

    def verdict(self) -> str:
        medians = self.medians()
        if medians["shares"] >= 0.9:
            return "the network limits"
        if medians["loading"] < 1.2 * medians["both"]:
            return "loading limits: more --workers, or a store of smaller pictures"
        return "network and loading share the cores"


def run(options: TrainBench) -> int:
    wait_asleep()
    compile_reader()  # as a training of the usual length has it
    kinds = ["spatial", "temporal"] if options.stream == "both" else [options.stream]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        store, labels = options.store, options.labels
        if store is None or labels is None:
            from scripts.bench.train_material import write_bench_data

            width, height = map(int, options.picture.split("x"))
            store, labels = write_bench_data(folder, height, width, options.codec)
        rows = [measure_stream(kind, options, store, labels, folder) for kind in kinds]
    if options.json:
        print(json.dumps({row.stream: row.medians() for row in rows}))
        return 0
    title = f"ResNet-{options.depth} at {options.size} px, batch {options.batch}"
    print(f"{title}, {options.workers} workers; images a second")
    print(
        f"{'stream':<10}{'network':>10}{'loading':>10}{'both':>10}{'share':>8}"
        f"{'CPU ms: network':>18}{'both':>8}"
    )
    for row in rows:
        m = row.medians()
        print(
            f"{row.stream:<10}{m['network']:>10.1f}{m['loading']:>10.1f}{m['both']:>10.1f}"
            f"{m['shares']:>8.0%}{m['cpu_network']:>18.2f}{m['cpu_both']:>8.2f}  {row.verdict()}"
        )
    return 0


def measure_stream(
    kind: str, options: TrainBench, store: Path, labels: Path, folder: Path
) -> StreamSpeeds:
    """All three speeds of one stream, once reading and training are known to be right."""
    from streams.samples import open_source
    from streams.training import Ranks, RunFolder, Trainer, pick_device

    task_type = fixed_task()
    recipe = bench_recipe(kind, options)
    source = open_source(DataOptions(store, labels), {kind: recipe.input})
    task = task_type(kind, recipe, source, 0)
    where = Ranks(0, 1, pick_device(options.device, 0))
    loop = LoopOptions(device=options.device, workers=options.workers)
    run_folder = RunFolder(folder / kind)
    run_folder.path.mkdir()
    trainer = Trainer(task, run_folder, where, loop, quiet=True)
    with closing(trainer.progress):  # before its folder goes
        trainer.prepare(resume=False)
        check(trainer, options)
        return speeds(trainer, options)


def speeds(trainer: Any, options: TrainBench) -> StreamSpeeds:
    """The network alone, loading alone, and both, in turns."""
    import torch

    from streams.training import Tally

    task, device = trainer.task, trainer.where.device

    def settle() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def speed(work: Callable[[], object], steps: int = options.steps) -> float:
        """Images a second of some calls."""
        began = settle()
        for _ in range(steps):
            work()
        return steps * options.batch / (settle() - began)

    def trained(source: Iterator[Batch]) -> Callable[[], object]:
        return lambda: trainer.train_step([next(source)], Tally())

    row = StreamSpeeds(task.kind)
    sample = next(batches(trainer, options))
    for _ in range(2):
        trainer.train_step([sample], Tally())  # warm up: both paths
    task.fixed = task.inputs(sample.to(device))
    for _ in range(options.rounds):
        task.frozen = True
        before = cpu_seconds()
        row.network.append(speed(trained(repeat(sample))))
        images = options.steps * options.batch
        row.cpu_network.append(1e3 * (cpu_seconds() - before) / images)
        task.frozen = False
        reading = batches(trainer, options)
        next(reading)  # the workers are up
        many = max(options.steps, 20 * max(1, options.workers))  # many times what lies in stock
        row.loading.append(speed(partial(next, reading), many))
        del reading
        before = cpu_seconds()
        feeding = batches(trainer, options, steps=options.steps + 1)
        next(feeding)
        row.both.append(speed(trained(feeding)))
        del feeding  # ends the workers, so that their time is known
        row.cpu_both.append(1e3 * (cpu_seconds() - before) / (images + options.batch))
        row.shares.append(row.both[-1] / row.network[-1])
    return row


def bench_recipe(kind: str, options: TrainBench) -> Recipe:
    from streams.training import recipe

    base = recipe("modern", kind)
    return replace(
        base,
        input=replace(base.input, length=options.length) if kind == "temporal" else base.input,
        sampling=replace(base.sampling, segments=1),
        crop=replace(base.crop, size=options.size),
        network=replace(base.network, depth=options.depth, weights="none"),
        optim=replace(
            base.optim,
            batch=options.batch,
            steps=10**9,
            amp=options.amp,
            compile=options.compile,
            ema=0.0,
        ),
    )


def fixed_task() -> Any:
    """A stream's task whose input can be held fixed, so that the same step runs without data."""
    from streams.training import StreamTask

    class FixedTask(StreamTask):
        fixed: Tensor | None = None
        frozen = False

        def inputs(self, batch: Batch) -> Any:
            return self.fixed if self.frozen else super().inputs(batch)

    return FixedTask


def cpu_seconds() -> float:
    """Processor time of this process and of those that it started and that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def batches(
    trainer: Any, options: TrainBench, workers: int | None = None, steps: int = 10**6
) -> Iterator[Batch]:
    from streams.samples import training_batches

    return training_batches(
        trainer.data,
        batch=options.batch,
        accumulate=1,
        steps=range(steps),
        rank=0,
        world=1,
        workers=options.workers if workers is None else workers,
        pin=trainer.where.device.type == "cuda",
    )


def check(trainer: Any, options: TrainBench) -> None:
    """Workers must give what this process gives."""
    pair = zip(batches(trainer, options), batches(trainer, options, 0), strict=False)
    for ours, theirs in islice(pair, 2):
        same = ours.runs == theirs.runs and ours.videos == theirs.videos
        for name, planes in ours.planes.items():
            for a in ours.runs[name]:
                rows = slice(a.first, a.stop)
                one, two = (
                    p[rows, :, :, : a.height, : a.width] for p in (planes, theirs.planes[name])
                )
                same = same and bool((one == two).all())
        if not same:
            raise WorkFailed("workers and this process read different batches; nothing was timed")
