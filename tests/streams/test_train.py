"""The loop: what a step does, what survives a stop, and what it refuses to go on with."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from streams_tiny import Tiny
from torch import nn

from storage.errors import UserError
from streams.inputs.flow import FlowStack
from streams.inputs.frames import RGB
from streams.networks.options import NetworkOptions
from streams.samples.crops import Crop
from streams.samples.options import DataOptions
from streams.samples.sampling import Sampling
from streams.samples.source import open_source
from streams.training import checkpoint, interrupt
from streams.training.distributed import Ranks
from streams.training.optimisation import Optimisation
from streams.training.options import LoopOptions
from streams.training.recipes import Recipe
from streams.training.run_folder import RunFolder
from streams.training.stream_task import StreamTask
from streams.training.trainer import State, train
from streams.training.weights_file import load_weights

ALONE = Ranks(0, 1, torch.device("cpu"))
RECIPE = Recipe(
    FlowStack(2),
    Sampling(2, balanced=True),
    Crop(size=24),
    NetworkOptions(depth=18, weights="none", dropout=0.3),
    Optimisation(epochs=3, batch=4, lr=0.01, ema=0.9),
)


def run(tiny: Tiny, folder: Path, recipe: Recipe = RECIPE, seed: int = 3, **options: Any) -> State:
    kind = "temporal" if isinstance(recipe.input, FlowStack) else "spatial"
    source = open_source(DataOptions(tiny.store, tiny.labels), {kind: recipe.input})
    task = StreamTask(kind, recipe, source, seed)
    loop = LoopOptions(workers=0, **options)
    left_out = source.left_out()
    return train(task, RunFolder(folder), ALONE, loop, left_out=left_out, quiet=True)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    model: dict[str, torch.Tensor] = checkpoint.load(folder / "checkpoints" / "last.pt")["model"]
    return model


def same(one: Any, two: Any) -> bool:
    """Equal bit for bit, through dicts and lists."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same, one, two))
    return bool(one == two)


def state_of(folder: Path) -> dict[str, Any]:
    """All of a checkpoint but the time it took."""
    saved = checkpoint.load(folder / "checkpoints" / "last.pt")
    saved["state"].pop("seconds")
    return saved


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    monkeypatch.setattr(interrupt.Stop, "asked", lambda self, now: now == step)


@pytest.fixture(scope="module")
def whole(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 9 steps that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    state = run(tiny, folder)
    assert (state.step, state.finished) == (9, True)
    return folder


def test_an_interrupt_while_the_model_is_built_is_kept_until_after(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compilers and imports call back into Python, where an exception can get lost."""
    build, before = StreamTask.build_model, signal.getsignal(signal.SIGINT)

    def interrupted(self: StreamTask, initial: bool) -> nn.Module:
        with suppress(BaseException):  # as such code does
            os.kill(os.getpid(), signal.SIGINT)
        return build(self, initial)

    with monkeypatch.context() as patch:
        patch.setattr(StreamTask, "build_model", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tiny, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before
    assert run(tiny, tmp_path / "run").finished


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_a_resumed_run_is_the_run_that_was_never_stopped(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path, step: int
) -> None:
    """Weights, optimiser, scaler, average, state and the lines of metrics.jsonl."""
    with monkeypatch.context() as patch:
        stop_at(patch, step)
        with pytest.raises(KeyboardInterrupt):
            run(tiny, tmp_path / "cut")
    assert state_of(tmp_path / "cut")["state"]["step"] == step
    assert (tmp_path / "cut/left_out.json").exists()
    run(tiny, tmp_path / "cut")
    assert same(state_of(whole), state_of(tmp_path / "cut"))
    assert (tmp_path / "cut/metrics.jsonl").read_text() == (whole / "metrics.jsonl").read_text()
    best = [load_weights(r / "checkpoints/best.safetensors") for r in (whole, tmp_path / "cut")]
    assert same(best[0].tensors, best[1].tensors)
    assert best[0].about == best[1].about
    assert (tmp_path / "cut/curve.png").exists()


def test_a_finished_run_is_left_as_it_is(tiny: Tiny, tmp_path: Path) -> None:
    recipe = replace(RECIPE, optim=replace(RECIPE.optim, steps=2))
    run(tiny, tmp_path / "run", recipe)
    before = (tmp_path / "run/checkpoints/last.pt").read_bytes()
    assert run(tiny, tmp_path / "run", recipe).finished
    assert (tmp_path / "run/checkpoints/last.pt").read_bytes() == before
    with pytest.raises(UserError, match=r"recipe.optim.lr was 0.01, now 0.5"):
        run(tiny, tmp_path / "run", replace(RECIPE, optim=replace(recipe.optim, lr=0.5)))
    with pytest.raises(UserError, match="seed was 3, now 4"):
        run(tiny, tmp_path / "run", recipe, seed=4)


@pytest.mark.slow
def test_micro_batches_add_up(tiny: Tiny, tmp_path: Path) -> None:
    """With frozen norms and without dropout, 2 x 4 videos are 8 videos."""
    network = replace(RECIPE.network, dropout=0.0, batch_norm="frozen")
    optim = replace(RECIPE.optim, steps=3, batch=8, ema=0.0)
    for accumulate in (1, 2):
        recipe = replace(RECIPE, network=network, optim=replace(optim, accumulate=accumulate))
        run(tiny, tmp_path / str(accumulate), recipe)
    one, two = weights(tmp_path / "1"), weights(tmp_path / "2")
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, atol=1e-5, rtol=1e-4)


def test_the_rate_the_clip_and_the_decay_are_those_of_sgd(tiny: Tiny, tmp_path: Path) -> None:
    """One step by hand."""
    network = replace(RECIPE.network, dropout=0.0, batch_norm="frozen")
    optim = Optimisation(
        steps=1, batch=4, lr=0.1, weight_decay=0.01, clip=0.5, warmup=0, head_lr=2, smoothing=0.1
    )
    recipe = replace(RECIPE, network=network, optim=optim)
    source = open_source(DataOptions(tiny.store, tiny.labels), {"temporal": recipe.input})
    task = StreamTask("temporal", recipe, source, 3)
    from streams.samples.batch import collate
    from streams.samples.sampling import SampleStream

    net = task.build_model(initial=True).train()
    data = task.data("train")
    stream = SampleStream(data.labels, 3, True)
    batch = collate([data[stream[i]] for i in range(4)])
    loss = nn.functional.cross_entropy(net(task.inputs(batch)), batch.labels, label_smoothing=0.1)
    loss.backward()
    total = torch.sqrt(sum((p.grad**2).sum() for p in net.parameters() if p.grad is not None))
    scale = min(1.0, 0.5 / float(total))
    run(tiny, tmp_path / "run", recipe)
    after = weights(tmp_path / "run")
    for name, parameter in net.named_parameters():
        if parameter.grad is None:
            assert torch.equal(after[name], parameter)
            continue
        gradient = parameter.grad * scale + (0.01 * parameter if parameter.ndim > 1 else 0)
        rate = 0.2 if name.startswith("network.head.") else 0.1
        expected = parameter - rate * 1.9 * gradient  # Nesterov's first step: g + 0.9 g
        torch.testing.assert_close(after[name], expected, atol=1e-6, rtol=1e-4)


def test_a_loss_that_is_no_number_stops_the_run(tiny: Tiny, tmp_path: Path) -> None:
    optim = Optimisation(epochs=20, batch=4, lr=1e30, clip=0, warmup=0, momentum=0, nesterov=False)
    recipe = replace(RECIPE, optim=optim)
    with pytest.raises(UserError, match=r"the loss is (nan|inf) in step \d+: lower --lr 1e\+30"):
        run(tiny, tmp_path / "run", recipe, save_every=1)
    last = tmp_path / "run/checkpoints/last.pt"
    assert not last.exists() or checkpoint.load(last)["state"]["step"] < 3


def test_the_averaged_weights_are_validated_and_kept(tiny: Tiny, tmp_path: Path) -> None:
    run(tiny, tmp_path / "run", replace(RECIPE, optim=replace(RECIPE.optim, steps=1)))
    last = state_of(tmp_path / "run")
    best = load_weights(tmp_path / "run/checkpoints/best.safetensors").tensors
    assert same(best, last["average"])
    assert not same(best, last["model"])


@pytest.mark.slow
def test_patience_ends_a_run_early(tiny: Tiny, tmp_path: Path) -> None:
    optim = replace(RECIPE.optim, epochs=30, lr=1e-12, patience=2, ema=0.0)
    state = run(tiny, tmp_path / "run", replace(RECIPE, optim=optim))
    assert state.finished
    assert state.worse == 2
    assert state.step < 90
    rows = RunFolder(tmp_path / "run").rows()
    assert len([row for row in rows if row["part"] == "validation"]) == state.step // 3


def test_a_run_folder_says_how_to_repeat_it(tiny: Tiny, tmp_path: Path) -> None:
    recipe = replace(RECIPE, optim=replace(RECIPE.optim, steps=1))
    run(tiny, tmp_path / "run", recipe)
    config = json.loads((tmp_path / "run/config.json").read_text())
    settings = config["settings"]
    assert settings["seed"] == 3
    assert settings["recipe"]["input"]["length"] == 2
    assert settings["data"]["store"]["fingerprint"] == "made up"
    assert settings["data"]["count"] == {"train": 12, "validation": 4}
    assert list((tmp_path / "run/tensorboard").glob("events*"))


def plain(made: Any, amp: str, flip: bool) -> Recipe:
    return Recipe(
        made,
        Sampling(1),
        Crop(size=24, flip=flip),
        NetworkOptions(depth=18, weights="none", dropout=0.0),
        Optimisation(epochs=20, batch=12, lr=0.02, amp=amp, smoothing=0.0),  # type: ignore[arg-type]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("made", "amp"), [(RGB(), "bf16"), (FlowStack(2), "off")])
def test_a_stream_learns_its_half_of_the_answer(
    tiny: Tiny, tmp_path: Path, made: Any, amp: str
) -> None:
    """A class is a colour and a motion. Sure of one half, the loss is ln 2 = 0.69; of none, 1.39;
    and below 0.69 it cannot honestly be."""
    run(tiny, tmp_path / "run", plain(made, amp, flip=False))
    rows = [row for row in RunFolder(tmp_path / "run").rows() if row["part"] == "train"]
    assert 0.55 < rows[-1]["loss"] < 1.0


@pytest.mark.slow
def test_a_mirror_image_moves_the_other_way(tiny: Tiny, tmp_path: Path) -> None:
    """With --flip, left cannot be told from right, and the temporal stream learns nothing here."""
    run(tiny, tmp_path / "run", plain(FlowStack(2), "off", flip=True))
    rows = [row for row in RunFolder(tmp_path / "run").rows() if row["part"] == "train"]
    assert rows[-1]["loss"] > 1.1


def test_out_of_memory_says_what_to_lower(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(StreamTask, "inputs", full)
    said = r"micro-batches of 4: raise --accumulate \(now 1\), lower --batch or --size; .* 2.00 GiB"
    with pytest.raises(UserError, match=said):
        run(tiny, tmp_path / "run")


@pytest.mark.slow
def test_without_a_validation_part_the_last_weights_are_kept(tiny: Tiny, tmp_path: Path) -> None:
    options = DataOptions(tiny.store, tiny.labels, validation=0)
    source = open_source(options, {"temporal": RECIPE.input})
    recipe = replace(RECIPE, optim=replace(RECIPE.optim, epochs=2, ema=0.0))
    task = StreamTask("temporal", recipe, source, 3)
    folder = RunFolder(tmp_path / "run")
    state = train(task, folder, ALONE, LoopOptions(workers=0), quiet=True)
    assert load_weights(folder.best).about["step"] == state.step == 8
    assert same(load_weights(folder.best).tensors, weights(folder.path))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.gpu
def test_a_gpu_gives_what_the_cpu_gives(tiny: Tiny, tmp_path: Path) -> None:
    """One step in float32; and the run is the same again with --deterministic."""
    recipe = replace(RECIPE, network=replace(RECIPE.network, dropout=0.0))
    recipe = replace(recipe, optim=replace(recipe.optim, steps=1, amp="off"))
    run(tiny, tmp_path / "cpu", recipe)
    source = open_source(DataOptions(tiny.store, tiny.labels), {"temporal": recipe.input})
    task = StreamTask("temporal", recipe, source, 3)
    gpu = Ranks(0, 1, torch.device("cuda", 0))
    loop = LoopOptions(workers=2, deterministic=True)
    for name in ("one", "two"):
        train(task, RunFolder(tmp_path / name), gpu, loop, quiet=True)
    one, two, cpu = (weights(tmp_path / name) for name in ("one", "two", "cpu"))
    assert same(one, two)
    for key, value in cpu.items():
        torch.testing.assert_close(one[key], value, atol=1e-3, rtol=1e-2)
