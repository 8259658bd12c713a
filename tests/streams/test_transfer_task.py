"""`train transfer`: it learns the question, leaves the 2-D network alone, and starts a stream."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from streams_tiny import Tiny, start

from scripts.cli import main
from storage.errors import UserError
from streams.samples import DataOptions, open_source
from streams.samples.batch import collate
from streams.scoring import Run
from streams.training import TransferTask, checkpoint, recipe
from streams.training.run_folder import RunFolder

QUICK = "--recipe small --batch 4 --ema 0 --workers 0 --device cpu --quiet"
NETWORK, SETTINGS = "karpathy-late", ("norm=batch", "grid=1", "width=0.1")
CLIPS = f"--network {NETWORK} --size 24 --length 4 --extra {' '.join(SETTINGS)}"


@pytest.fixture(scope="module")
def pictures(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A spatial run, ResNet-18 at 24 px."""
    out = tmp_path_factory.mktemp("pictures") / "run"
    words = f"train spatial --store {tiny.store} --labels {tiny.labels} --out {out} --size 24"
    assert main([*words.split(), *QUICK.split(), "--steps", "2"]) == 0
    return out


def call(tiny: Tiny, pictures: Path, out: Path, steps: int) -> list[str]:
    words = f"train transfer --pictures {pictures} --store {tiny.store} --labels {tiny.labels}"
    return [*f"{words} --out {out} --steps {steps} {CLIPS} {QUICK}".split()]


def task_of(tiny: Tiny, pictures: Path) -> TransferTask:
    chosen = recipe("small", "transfer", NETWORK)
    chosen = replace(
        chosen,
        crop=replace(chosen.crop, size=24),
        input=replace(chosen.input, length=4),
        network=replace(chosen.network, dropout=0.0, extra=SETTINGS),
    )
    source = open_source(DataOptions(tiny.store, tiny.labels), {"transfer": chosen.input})
    return TransferTask("transfer", chosen, source, 3, str(pictures))


@pytest.mark.slow
def test_it_learns_which_clip_a_frame_belongs_to_and_the_2d_network_stays(
    tiny: Tiny, pictures: Path
) -> None:
    task = task_of(tiny, pictures)
    model = task.build_model(initial=True).train()
    before = {n: v.clone() for n, v in model.frame_network.state_dict().items()}
    head = model.clip_network.head.weight.clone()
    data = task.data("train")
    batch = collate([data[i] for i in (0, 3, 6, 9)])
    groups = task.parameter_groups(model)
    adam = torch.optim.Adam([p for group in groups for p in group["params"]], 1e-3)
    losses = []
    for step in range(16):
        torch.manual_seed(step)
        loss = task.step(model, batch).loss
        losses.append(float(loss.detach()))
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert abs(losses[0] - 0.69) < 0.1, "log 2 is chance"
    assert sum(losses[-4:]) / 4 < 0.8 * losses[0]
    after = model.frame_network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(model.clip_network.head.weight, head)


def test_a_validation_is_the_same_each_time(tiny: Tiny, pictures: Path) -> None:
    task = task_of(tiny, pictures)
    model = task.build_model(initial=True).eval()
    data = task.data("validation")
    batch = collate([data[i] for i in range(len(data))])
    with torch.no_grad():
        first, second = (task.step(model, batch) for _ in range(2))
    assert torch.equal(first.loss, second.loss)
    assert 0 <= first.measures["right"] <= 1
    assert first.logits is None


def test_its_run_starts_a_spatial_stream_and_is_not_scored(
    tiny: Tiny, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "transfer"
    assert main(call(tiny, pictures, out, 2)) == 0
    capsys.readouterr()
    assert f"{NETWORK}: from scratch" in (out / "log.txt").read_text()
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert {"loss", "right"} <= set(rows[-1])
    run = Run.open(out)
    weights = run.best().tensors
    assert run.settings["pictures"]["network"] == "resnet18"
    words = f"train spatial --store {tiny.store} --labels {tiny.labels} --weights {out}"
    more = f"--network {NETWORK} --steps 1 --lr 1e-9 --out {tmp_path / 'stream'} {QUICK}"
    assert main([*words.split(), *more.split()]) == 0
    assert "new classifier" in (tmp_path / "stream/log.txt").read_text()
    stream = Run.open(tmp_path / "stream")
    assert (stream.recipe.crop.size, stream.recipe.input.steps) == (24, 4)
    name = "backbone.conv2.weight"
    torch.testing.assert_close(
        stream.best().tensors[f"network.{name}"], weights[f"clip_network.{name}"]
    )
    words = f"score {out} --store {tiny.store} --labels {tiny.labels} --out {tmp_path}/s.npz"
    assert main([*words.split(), "--quiet"]) == 2
    assert "is a transfer run, which knows no classes" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_transfer_goes_on_bit_for_bit(tiny: Tiny, pictures: Path, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main(call(tiny, pictures, whole, 8)) == 0
    words = [*call(tiny, pictures, cut, 8), "--save-every", "2"]
    process = start(words)
    last = cut / "checkpoints/last.pt"
    end = time.monotonic() + 300
    while not last.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert main(words) == 0
    one, two = (checkpoint.load(run / "checkpoints/last.pt")["model"] for run in (whole, cut))
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_what_cannot_teach_is_refused(tiny: Tiny, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="resnet18 is for pictures; transfer teaches one for clips"):
        recipe("small", "transfer", "resnet18")
    with pytest.raises(UserError, match="--recipe tsn trains streams; transfer: modern, small"):
        recipe("tsn", "transfer")
    task = task_of(tiny, pictures)
    folder = RunFolder(tmp_path / "run")
    folder.begin(task.settings() | {"kind": "temporal"}, {})
    with pytest.raises(UserError, match="is a temporal run; give a spatial one"):
        task_of(tiny, tmp_path / "run")
