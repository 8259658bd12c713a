"""Measure conv-level fusion beside late fusion: parameters, FLOPs, time and memory.

    twostream bench fusion
    twostream bench fusion --depths 18 --joins sum conv --stages layer3
    twostream bench fusion --depths 50 --size 224 --snapshots 5 --batch 8 --device cuda

First the network that `conv` starts from is held to late fusion: both must say the same of the same
inputs. Then all networks take turns at a training step and a scoring pass, and the median of the
rounds counts. Late fusion is both towers by themselves. Memory is the peak of a whole batch.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import Any, Literal, get_args

from fusion.network import JoinKind, PoolKind
from storage.errors import UserError
from streams.training import wait_asleep

log = logging.getLogger(__name__)


@dataclass
class FusionBench:
    """What is measured, and on what."""

    depths: tuple[int, ...] = (18, 50)
    """Of both ResNets."""
    joins: tuple[JoinKind, ...] = get_args(JoinKind)
    """Which ones."""
    stages: tuple[str, ...] = ("layer4",)
    """After which stages."""
    pool: PoolKind = "3d"
    """How snapshots become one."""
    two_towers: bool = False
    """Keep the temporal tower's head and loss."""
    snapshots: int = 5
    """Moments of a video (T)."""
    size: int = 64
    """Side of the networks' input, pixels."""
    length: int = 10
    """Pairs in a stack (L)."""
    classes: int = 101
    """What the heads tell apart."""
    batch: int = 4
    """Videos a step."""
    rounds: int = 3
    """Of which the median counts."""
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    """Mixed precision; auto: bf16 on a GPU that has it."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:1."""
    json: bool = False
    """Print the results as JSON."""
    quiet: bool = False
    """No progress."""

    def __post_init__(self) -> None:
        for name in ("snapshots", "size", "length", "batch", "rounds"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; it must be at least 1")
        if self.classes < 2:
            raise UserError(f"--classes is {self.classes}; it must be at least 2")


def run(options: FusionBench) -> int:
    wait_asleep()
    from scripts.bench.fusion_measure import (
        LATE,
        Case,
        check_start,
        measure_costs,
        measure_memory,
        measure_time,
    )
    from streams.scoring import device_name
    from streams.training import pick_device

    device = pick_device(options.device, 0)
    shared: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("stages", "pool", "two_towers", "snapshots", "size", "length", "classes")
    }
    shared |= {"batch": options.batch, "amp": options.amp, "device": str(device)}

    def say(text: str) -> None:
        if not options.quiet:
            log.info(text)

    starts, rows = {}, []
    for depth in options.depths:
        cases = [Case(name, depth, **shared) for name in (LATE, *options.joins)]
        starts[depth] = check_start(cases[0])
        say(f"ResNet-{depth}: conv starts as late fusion, to {starts[depth]:.1e} of the range")
        costs = measure_time(cases, options.rounds, say)
        for case, row in zip(cases, costs, strict=True):
            row.parameters, row.flops = measure_costs(case)
            row.memory = measure_memory(case)
        rows += [row.values() for row in costs]
    about = device_name(device)
    if options.json:
        print(json.dumps({"device": about, "start_differs_by": starts, "rows": rows}))
    else:
        print(costs_text(rows, options, about))
    return 0


def costs_text(rows: list[dict[str, Any]], options: FusionBench, device: str) -> str:
    """Figures of a video, and in brackets how many times those of late fusion."""
    cpu = device.startswith("CPU")
    unit = "cpu_seconds" if cpu else "seconds"
    clock = "CPU ms" if cpu else "ms"
    lines = [
        f"{device}; {options.snapshots} snapshots of {options.size} px, L = {options.length}, "
        f"batch {options.batch}, after {' '.join(options.stages)}, pool {options.pool}",
        f"{'network':<20}{'parameters':>12}{'GFLOPs':>9}{f'train {clock}':>18}"
        f"{f'score {clock}':>18}{'train MB':>17}{'score MB':>17}",
    ]
    late: dict[str, Any] = {}
    for row in rows:
        late = row if row["name"] == "late" else late
        cells = [
            f"{row[key] * scale:>10.1f} ({row[key] / late[key]:4.2f})" if late[key] else "-"
            for key, scale in (
                (f"train_{unit}", 1e3),
                (f"score_{unit}", 1e3),
                ("train_bytes", 1e-6),
                ("score_bytes", 1e-6),
            )
        ]
        name = f"ResNet-{row['depth']} {row['name']}"
        lines.append(
            f"{name:<20}{row['parameters'] / 1e6:>10.2f} M{row['flops'] / 1e9:>9.2f}"
            + "".join(f"{cell:>18}" for cell in cells[:2])
            + "".join(f"{cell:>17}" for cell in cells[2:])
        )
    return "\n".join(lines)
