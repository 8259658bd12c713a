"""What the fusion's benchmark measures: networks on made-up inputs, their time and their memory."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from fusion.network import ConvFusionNet, align, fused_logits, set_scales
from storage.errors import WorkFailed
from streams.networks import StreamNet, build_stream
from streams.scoring import Costs
from streams.training import Precision, make_channels_last

LATE = "late"


@dataclass(frozen=True)
class Case:
    """One network, and the batch that it is given."""

    name: str
    """`late`, or a join."""
    depth: int
    stages: tuple[str, ...]
    pool: str
    two_towers: bool
    classes: int
    length: int
    snapshots: int
    size: int
    batch: int
    amp: str
    device: str

    def inputs(self, batch: int | None = None) -> tuple[Tensor, Tensor]:
        shape = (batch or self.batch, self.snapshots, -1, self.size, self.size)
        drawn = torch.Generator().manual_seed(0)
        frames, flow = (
            torch.randn(*shape[:2], channels, *shape[3:], generator=drawn).to(self.device)
            for channels in (3, 2 * self.length)
        )
        return frames, flow

    def towers(self) -> tuple[StreamNet, StreamNet]:
        torch.manual_seed(0)
        return (
            build_stream("spatial", classes=self.classes, depth=self.depth),
            build_stream("temporal", classes=self.classes, depth=self.depth, length=self.length),
        )

    def network(self) -> nn.Module:
        spatial, temporal = self.towers()
        net: nn.Module = LateFusion(spatial, temporal)
        if self.name != LATE:
            net = ConvFusionNet(
                spatial,
                temporal,
                join=self.name,
                stages=self.stages,
                pool=self.pool,
                two_towers=self.two_towers,
            )
        net = net.to(self.device)
        make_channels_last(net)
        return net


class LateFusion(nn.Module):
    """Both towers by themselves, as two trainings and two scorings see them."""

    def __init__(self, spatial: StreamNet, temporal: StreamNet) -> None:
        super().__init__()
        self.spatial, self.temporal = spatial, temporal

    def forward(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor | None]:
        return self.spatial(inputs[0]), self.temporal(inputs[1])


class Contestant:
    """A network that is trained and scored in turns with others."""

    def __init__(self, case: Case) -> None:
        self.case, self.net = case, case.network()
        self.precision = Precision.choose(case.amp, torch.device(case.device))
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=1e-4, momentum=0.9)
        self.inputs = case.inputs()
        self.labels = torch.arange(case.batch, device=case.device) % case.classes

    def train(self) -> None:
        """One step."""
        self.net.train()
        with self.precision.context():
            outputs = self.net(self.inputs)
        losses = [nnf.cross_entropy(out.float(), self.labels) for out in outputs if out is not None]
        torch.stack(losses).sum().backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    @torch.inference_mode()
    def score(self) -> None:
        self.net.eval()
        with self.precision.context():
            self.net(self.inputs)


@dataclass
class NetworkCosts:
    """One network's figures; times and FLOPs are a video of T snapshots, one view."""

    name: str
    depth: int
    parameters: int = 0
    flops: float = 0.0
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"train": [], "score": []})
    cpu: dict[str, list[float]] = field(default_factory=lambda: {"train": [], "score": []})
    """Processor seconds: on a busy machine they say more than the clock's."""
    memory: dict[str, float] = field(default_factory=dict)
    """Peak bytes of a batch, weights and (when training) gradients and momentum included."""

    def values(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "depth": self.depth,
            "parameters": self.parameters,
            "flops": self.flops,
            **{
                f"{what}_{unit}": median(times[what])
                for unit, times in (("seconds", self.seconds), ("cpu_seconds", self.cpu))
                for what in times
            },
            **{f"{what}_bytes": value for what, value in self.memory.items()},
        }


def check_start(case: Case) -> float:
    """The greatest difference between conv's logits at its start and the sum of both towers',
    as a share of their range; more than a rounding error is a failure."""
    spatial, temporal = (tower.eval() for tower in case.towers())
    for tower in (spatial, temporal):  # as different from each other as trained ones
        nn.init.normal_(tower.head.weight, std=0.2)
    inputs = tuple(value.cpu() for value in case.inputs(2))
    net = ConvFusionNet(spatial, temporal, join="conv", hidden=64).eval()
    set_scales(net, [(inputs[0], inputs[1])])
    align(net, spatial.head, temporal.head)
    with torch.no_grad():
        late = spatial(inputs[0]) + temporal(inputs[1])
        started = fused_logits(net((inputs[0], inputs[1])))
    # What all classes share decides nothing, and the start leaves it out.
    late, started = (value - value.mean(1, keepdim=True) for value in (late, started))
    difference = float((late - started).abs().max() / (late.max() - late.min()))
    if difference > 1e-3:
        raise WorkFailed(
            f"ResNet-{case.depth}: conv's start differs from late fusion by {difference:.1%}"
        )
    return difference


def measure_costs(case: Case) -> tuple[int, float]:
    """Parameters, and FLOPs a video."""
    costs, net = Costs(), case.network().eval()
    with torch.inference_mode(), costs.of(1):
        net(case.inputs(1))
    return sum(p.numel() for p in net.parameters()), costs.flops


def measure_memory(case: Case) -> dict[str, float]:
    """Peak bytes of a training step and of a scoring pass, each in a process of its own on a CPU,
    since a process keeps what it once had."""
    if not case.device.startswith("cuda") and not Path("/proc/self/status").exists():
        return {"train": 0.0, "score": 0.0}  # not Linux: not known
    if case.device.startswith("cuda"):
        return {what: gpu_peak(case, what) for what in ("train", "score")}
    fresh = get_context("forkserver")
    fresh.set_forkserver_preload([__name__])  # importing torch takes longer than the measurement
    with ProcessPoolExecutor(1, fresh, max_tasks_per_child=1) as child:
        return {what: child.submit(cpu_peak, case, what).result() for what in ("train", "score")}


def gpu_peak(case: Case, what: str) -> float:
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    contestant = Contestant(case)
    getattr(contestant, what)()
    torch.cuda.reset_peak_memory_stats()
    getattr(contestant, what)()
    return torch.cuda.max_memory_allocated() - before


def cpu_peak(case: Case, what: str) -> float:
    """In a fresh process."""
    before = most_resident()
    contestant = Contestant(case)
    gc.collect()  # building holds the towers twice for a while
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    for _ in range(2):  # the momentum comes with the first step
        getattr(contestant, what)()
    return most_resident() - before


def most_resident() -> float:
    """Bytes: the most that this process has held. (getrusage would count what its parent held.)"""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024.0 * int(status.partition("VmHWM:")[2].split()[0])


def measure_time(cases: list[Case], rounds: int, say: Callable[[str], None]) -> list[NetworkCosts]:
    """All cases in turns, after one round that does not count."""
    rows = [NetworkCosts(case.name, case.depth) for case in cases]
    contestants = [Contestant(case) for case in cases]
    for number in range(rounds + 1):
        say(f"round {number} of {rounds}")
        for row, one in zip(rows, contestants, strict=True):
            for what in ("train", "score"):
                clock, cpu = timed(getattr(one, what), one.case.device)
                if number:
                    row.seconds[what].append(clock / one.case.batch)
                    row.cpu[what].append(cpu / one.case.batch)
    return rows


def timed(work: Callable[[], None], device: str) -> tuple[float, float]:
    """Seconds by the clock and of the processors."""
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - clock, time.process_time() - cpu
