"""Every network goes through the real training loop, is scored, and is gone on with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from streams_tiny import Tiny

from scripts.cli import main
from storage.errors import UserError
from storage.scores.table import ScoreTable
from streams.networks.table import NETWORKS
from streams.samples.batch import collate
from streams.samples.options import DataOptions
from streams.samples.source import open_source
from streams.training import checkpoint, interrupt, memory
from streams.training.distributed import Ranks
from streams.training.memory import check_memory, step_bytes
from streams.training.motion_task import MotionTask
from streams.training.options import LoopOptions
from streams.training.recipes import Recipe, recipe
from streams.training.run_folder import RunFolder
from streams.training.stream_task import StreamTask
from streams.training.trainer import State, train

ALONE = Ranks(0, 1, torch.device("cpu"))
LARGE = {"resnet101", "resnet152", "vgg16", "vgg16-bn", "attention56", "attention92", "resnet50"}
LARGE |= {"r3d18", "r2plus1d-18", "mc3-18", "i3d", "densenet3d-121", "t3d121", "hidden-two-stream"}
LARGE |= {"lrcn", "convnet-lstm", "resnet34", "s3d", "fstcn", "caffenet", "vgg-m", "bn-inception"}
LARGE |= {"i3d-resnet50", "c3d", "inception-v1", "3d-convnet", "lrcn-caffenet"}
LARGE |= {"karpathy-single", "karpathy-late", "karpathy-early"}
# Only more layers of what another one has:
MORE_OF_ONE = {"resnet34", "resnet50", "resnet101", "resnet152", "vgg16", "attention92", "mc3-18"}


def each_network() -> list[Any]:
    return [
        pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else []) for name in NETWORKS
    ]


def tiny_recipe(network: str, steps: int = 2) -> Recipe:
    """The recipe `small`, for two videos a step; on flow where the network takes it."""
    kind = "temporal" if "temporal" in NETWORKS[network].streams else NETWORKS[network].streams[0]
    small = recipe("small", kind, network)
    optim = replace(small.optim, steps=steps, batch=2, lr=1e-3, warmup=0.0, ema=0.0)
    return replace(small, optim=optim, network=replace(small.network, dropout=0.0))


def task_of(tiny: Tiny, chosen: Recipe) -> StreamTask:
    motion = chosen.network.network == "motionnet"
    kind = "motion" if motion else "temporal" if chosen.input.kind == "flow" else "spatial"
    source = open_source(DataOptions(tiny.store, tiny.labels), {kind: chosen.input})
    return (MotionTask if motion else StreamTask)(kind, chosen, source, 3)


def run(tiny: Tiny, folder: Path, chosen: Recipe, **options: Any) -> State:
    loop = LoopOptions(workers=0, **options)
    return train(task_of(tiny, chosen), RunFolder(folder), ALONE, loop, quiet=True)


@pytest.mark.parametrize("network", each_network())
def test_a_network_trains_and_is_scored(tiny: Tiny, tmp_path: Path, network: str) -> None:
    chosen = tiny_recipe(network)
    state = run(tiny, tmp_path / "run", chosen)
    assert (state.step, state.finished) == (2, True)
    if network == "motionnet":
        assert state.best is not None
        assert {"loss", "epe", "epe_zero"} <= set(state.best)
        return
    words = ["score", str(tmp_path / "run"), "--store", str(tiny.store), "--quiet"]
    words += ["--labels", str(tiny.labels), "--views", "2x1", "--workers", "0"]
    assert main([*words, "--out", str(tmp_path / "scores.npz")]) == 0
    table = ScoreTable.load(tmp_path / "scores.npz")
    assert table.scores.shape == (8, 4)


# By network: the rate, the steps, and the share of the first loss that may be left. Most lose half
# and more. Batch norm behind VGG's wide layers wants small steps; a MotionNet that knows nothing
# yet shows the network behind it next to no motion.
BETTER = {
    "vgg16-bn": (1e-4, 12, 0.8),
    "hidden-two-stream": (3e-3, 30, 0.97),
    "motionnet": (1e-3, 12, 0.95),
}


@pytest.mark.parametrize("network", each_network())
def test_a_network_gets_better_at_what_it_sees(tiny: Tiny, network: str) -> None:
    """A few steps on one batch."""
    rate, steps, left = BETTER.get(network, (1e-3, 12, 0.8))
    task = task_of(tiny, tiny_recipe(network))
    net = task.build_model(initial=True).train()
    data = task.data("train")
    batch = collate([data[i] for i in range(4)])
    adam = torch.optim.Adam(net.parameters(), lr=rate)
    losses = []
    for _ in range(steps):
        loss = task.step(net, batch).loss
        losses.append(float(loss.detach()))
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        adam.step()
    assert sum(losses[-3:]) / 3 < left * losses[0]


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(name, marks=[] if name == "karpathy-slow" else [pytest.mark.slow])
        for name in NETWORKS
        if name not in MORE_OF_ONE
    ],
)
def test_a_stopped_network_goes_on_bit_for_bit(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: str
) -> None:
    chosen = tiny_recipe(network, steps=3)
    run(tiny, tmp_path / "whole", chosen)
    with monkeypatch.context() as patch:
        patch.setattr(interrupt.Stop, "asked", lambda self, now: now == 1)
        with pytest.raises(KeyboardInterrupt):
            run(tiny, tmp_path / "cut", chosen)
    run(tiny, tmp_path / "cut", chosen)
    one, two = (checkpoint.load(tmp_path / r / "checkpoints/last.pt") for r in ("whole", "cut"))
    assert one["model"].keys() == two["model"].keys()
    assert all(torch.equal(value, two["model"][name]) for name, value in one["model"].items())
    rows = [(tmp_path / r / "metrics.jsonl").read_text() for r in ("whole", "cut")]
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_hidden_two_stream_starts_from_a_motion_run(
    tiny: Tiny, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(tiny, tmp_path / "motion", tiny_recipe("motionnet"))
    chosen = tiny_recipe("hidden-two-stream", steps=1)
    source = replace(chosen.network, weights=str(tmp_path / "motion"))
    chosen = replace(chosen, network=source, optim=replace(chosen.optim, own_loss=0.01))
    task = task_of(tiny, chosen)
    with caplog.at_level("INFO"):
        net = task.build_model(initial=True)
    assert "the temporal part starts anew" in caplog.text
    motion = checkpoint.load(tmp_path / "motion/checkpoints/last.pt")["model"]
    mine = net.state_dict()
    for name, value in motion.items():
        assert torch.equal(mine[name.replace("network.", "network.backbone.motion.", 1)], value)
    run(tiny, tmp_path / "joint", chosen)
    narrow = replace(chosen.network, extra=("temporal=resnet18", "width=0.5", "scales=3"))
    with pytest.raises(UserError, match="does not fit this MotionNet"):
        task_of(tiny, replace(chosen, network=narrow)).build_model(initial=True)


def test_a_network_without_a_loss_of_its_own_says_so(tiny: Tiny, tmp_path: Path) -> None:
    chosen = tiny_recipe("karpathy-single")
    chosen = replace(chosen, optim=replace(chosen.optim, own_loss=1.0))
    with pytest.raises(UserError, match="no loss of its own"):
        run(tiny, tmp_path / "run", chosen)


@pytest.mark.parametrize("network", each_network())
def test_what_a_step_needs_grows_with_the_batch(network: str) -> None:
    if network == "motionnet":  # it has no classes, and is not asked
        return
    chosen = tiny_recipe(network)
    double = replace(chosen, optim=replace(chosen.optim, batch=4))
    halves = replace(double, optim=replace(double.optim, accumulate=2))
    assert step_bytes(double, 4) > step_bytes(chosen, 4) == step_bytes(halves, 4)


def test_a_step_that_cannot_fit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = recipe("modern", "spatial", "i3d")
    free: Callable[[torch.device], int] = lambda device: 4 * 2**30  # noqa: E731
    monkeypatch.setattr(memory, "free_bytes", free)
    with pytest.raises(UserError, match=r"a step needs \d+\.\d GiB at least, and 4\.0 GiB are"):
        check_memory(chosen, 400, ALONE.device)
    check_memory(tiny_recipe("karpathy-single"), 4, ALONE.device)


def test_what_is_kept_for_the_gradient_is_counted() -> None:
    """A linear layer keeps its input, a ReLU its output; weights are counted apart."""
    with torch.device("meta"):
        net = torch.nn.Sequential(torch.nn.Linear(10, 20), torch.nn.ReLU(), torch.nn.Linear(20, 5))
    assert memory.kept_bytes(net, (3, 10)) == 4 * (3 * 10 + 3 * 20)
