"""A run of somebody else's weights is scored, gone on from and refused as any other."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import torch
from i3d_names import to_pytorch_i3d
from safetensors.torch import save_file
from streams_tiny import Tiny

from scripts import cli
from storage import ScoreTable, UserError, open_store
from storage.store import StoreConfig
from streams.inputs import RGB, FlowStack
from streams.networks.build import build_network
from streams.networks.torchvision_compat import models
from streams.networks.weights import file_state
from streams.scoring import Run
from streams.training import (
    Adoption,
    RunFolder,
    adopt,
    hash_of_tensors,
    load_weights,
    recipe,
)

CLASSES = ["RedLeft", "RedRight", "BlueLeft", "BlueRight"]
STORE = StoreConfig().to_json()


@pytest.fixture
def resnet(tmp_path: Path) -> Path:
    """torchvision's ResNet-18 for the tiny data's classes, in half precision."""
    torch.manual_seed(0)
    net = models.resnet18(weights=None, num_classes=4)
    torch.save({"state_dict": net.half().state_dict(), "epoch": 3}, tmp_path / "resnet.pth.tar")
    return tmp_path / "resnet.pth.tar"


def make(
    file: Path, out: Path, network: str = "resnet18", modality: str = "rgb", **more: Any
) -> Run:
    adopt(
        file,
        out,
        network=network,
        modality=modality,
        classes=more.pop("classes", CLASSES),
        store=lambda chosen: STORE,
        asked=Adoption(**more),
    )
    return Run.open(out)


def test_an_adopted_run_holds_the_weights_and_says_so(resnet: Path, tmp_path: Path) -> None:
    run = make(resnet, tmp_path / "run")
    assert (run.kind, run.name, run.classes, run.adopted) == (
        "spatial",
        "spatial",
        tuple(CLASSES),
        True,
    )
    assert run.settings["data"]["adopted"] == {"file": "resnet.pth.tar", "layout": "torchvision"}
    weights = run.best()
    assert (
        weights.hash
        == hash_of_tensors(weights.tensors)
        == load_weights(tmp_path / "run/checkpoints/best.safetensors").hash
    )
    first = file_state(resnet)["conv1.weight"].float()
    assert torch.equal(weights.tensors["network.backbone.conv1.weight"], first)
    assert weights.about["settings"] == run.settings


def written(folder: Path, name: str, modality: str, **more: Any) -> Path:
    """Random weights of a network, in a file."""
    torch.manual_seed(0)
    net = build_network(name, modality, 4, **more)  # type: ignore[arg-type]
    state = net.state_dict()
    torch.save(to_pytorch_i3d(state) if name == "i3d" else state, folder / "w.pt")
    return folder / "w.pt"


@pytest.mark.parametrize(
    ("network", "modality", "length", "seen", "size"),
    [
        ("resnet18", "flow", 5, FlowStack(5), 224),
        ("inception-v1", "rgb", 1, RGB(span="symmetric"), 224),
        ("i3d", "rgb", None, RGB(length=64, span="symmetric"), 224),
        ("i3d", "flow", None, FlowStack(64, unit=20), 224),
        ("i3d-resnet50", "rgb", None, RGB(length=32, stride=2), 224),
        ("r3d18", "rgb", None, RGB(length=16, span="kinetics"), 112),
    ],
)
def test_a_run_looks_at_videos_as_its_weights_origin(
    network: str, modality: str, length: int | None, seen: object, size: int, tmp_path: Path
) -> None:
    more = {} if length is None else {"length": length}
    run = make(written(tmp_path, network, modality, **more), tmp_path / "run", network, modality)
    assert run.recipe.input == seen
    assert run.recipe.crop.size == size
    assert run.recipe.sampling.segments == 1


@pytest.mark.slow
def test_origins_with_units_of_their_own(tmp_path: Path) -> None:
    net = build_network("bn-inception", "flow", 4, length=5)
    state = {
        ("new_fc." if name.startswith("head.") else "base_model.") + name.split(".", 1)[1]: value
        for name, value in net.state_dict().items()
    }
    torch.save(state, tmp_path / "tsn.pth")
    input_ = make(tmp_path / "tsn.pth", tmp_path / "flow", "bn-inception", "flow").recipe.input
    assert isinstance(input_, FlowStack)
    assert (input_.length, input_.unit) == (5, pytest.approx(20 / 127.5))
    video = models.video.r3d_18(weights=None, num_classes=4)
    torch.save(video.state_dict(), tmp_path / "r3d.pth")
    input_ = make(tmp_path / "r3d.pth", tmp_path / "r3d", "r3d18").recipe.input
    assert input_ == RGB(length=16, stride=2, span="kinetics")


def test_wishes_take_the_place_of_what_the_origin_has(tmp_path: Path) -> None:
    file = written(tmp_path, "i3d", "flow")
    run = make(file, tmp_path / "run", "i3d", "flow", length=16, stride=2, unit=15.0, size=64)
    assert run.recipe.input == FlowStack(16, stride=2, unit=15)
    assert run.recipe.crop.size == 64
    with pytest.raises(UserError, match="--span says nothing of flow"):
        make(file, tmp_path / "other", "i3d", "flow", span="symmetric")


def test_a_run_of_ours_is_adopted_with_what_it_says_of_itself(resnet: Path, tmp_path: Path) -> None:
    first = make(resnet, tmp_path / "run", span="symmetric", size=64, test_share=0.75, dropout=0.25)
    best = tmp_path / "run/checkpoints/best.safetensors"
    again = make(best, tmp_path / "again")
    assert again.recipe == replace(
        first.recipe, network=replace(first.recipe.network, weights=str(best))
    )
    assert (again.recipe.crop.test_share, again.recipe.network.dropout) == (0.75, 0.25)
    assert again.best().hash == load_weights(best).hash
    other = make(best, tmp_path / "other", test_share=0.5, size=32)
    assert (other.recipe.crop.test_share, other.recipe.crop.size) == (0.5, 32)
    assert other.recipe.network.dropout == 0.25
    with pytest.raises(UserError, match="says that it is resnet18 of a spatial run, not resnet34"):
        make(best, tmp_path / "third", "resnet34")


def test_a_run_of_ours_keeps_how_its_store_was_made(
    resnet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its short side too, unless another is asked for; not that of the network's usual size."""
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    words = f"--network resnet18 --input rgb --classes {tmp_path}/classes.txt --json"
    sides = {}
    given = {"first": f"{resnet} --size 32 --short-side 50", "again": "", "wish": "--short-side 70"}
    best = tmp_path / "first/checkpoints/best.safetensors"
    for name, more in given.items():
        file = more if name == "first" else f"{best} {more}"
        call = f"adopt {file} {words} --out {tmp_path / name}"
        assert cli.main(call.split()) == 0
        sides[name] = Run.open(tmp_path / name).settings["data"]["store"]["size"]
        assert json.loads(capsys.readouterr().out)["size"] == 32
    assert sides == {"first": "short-side 50", "again": "short-side 50", "wish": "short-side 70"}


def test_plain_safetensors_are_read(tmp_path: Path) -> None:
    state = models.resnet18(weights=None, num_classes=4).half().state_dict()
    save_file(state, tmp_path / "w.safetensors")
    weights = make(tmp_path / "w.safetensors", tmp_path / "run").best()
    assert torch.equal(weights.tensors["network.head.bias"], state["fc.bias"].float())


def test_what_cannot_be_adopted(resnet: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(UserError, match="knows 4 classes, --classes names 3"):
        make(resnet, out, classes=CLASSES[:3])
    with pytest.raises(UserError, match="names 'RedLeft' twice"):
        make(resnet, out, classes=[*CLASSES[:3], "RedLeft"])
    with pytest.raises(UserError, match=r"takes 3 channels, which are no steps of 2 \(flow\)"):
        make(resnet, out, modality="flow")
    with pytest.raises(UserError, match=r"has no layer1.2.conv1.weight, .* and \d+ more"):
        make(resnet, out, "resnet34")
    state = {name: v for name, v in file_state(resnet).items() if not name.startswith("fc.")}
    torch.save(state, tmp_path / "features.pth")
    with pytest.raises(UserError, match=r"has no classifier: .* --weights"):
        make(tmp_path / "features.pth", out)
    assert not out.exists()
    out.mkdir()
    (out / "notes.txt").touch()
    with pytest.raises(UserError, match="is not empty"):
        make(resnet, out)


class Hostile:
    """What a pickle can do to its reader."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("way", ["pickle", "torch", "torch, old", "beside tensors"])
def test_nothing_in_a_file_is_run(way: str, tmp_path: Path, resnet: Path) -> None:
    trap, file = tmp_path / "trap", tmp_path / "hostile.pt"
    evil: dict[str, Any] = {"conv1.weight": Hostile(trap)}
    if way == "beside tensors":
        evil = {"state_dict": file_state(resnet), "optimizer": Hostile(trap)}
    if way == "pickle":
        file.write_bytes(pickle.dumps(evil))
    else:
        torch.save(evil, file, _use_new_zipfile_serialization="old" not in way)
    with pytest.raises(UserError, match="only files of tensors are read"):
        make(file, tmp_path / "run")
    assert not trap.exists()
    torch.load(file, weights_only=False) if way != "pickle" else pickle.loads(file.read_bytes())
    assert trap.exists(), "the trap works"


def scored(run: Path, tiny: Tiny, out: Path, *more: str) -> ScoreTable:
    words = ["score", run, "--store", tiny.store, "--labels", tiny.labels, "--out", out, *more]
    assert cli.main([*map(str, words), "--views", "1x1", "--workers", "0", "--quiet"]) == 0
    return ScoreTable.load(out)


def test_the_commands_adopt_score_and_go_on(
    resnet: Path, tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "classes.txt").write_text("\n".join(f"{i} {c}" for i, c in enumerate(CLASSES, 1)))
    out = tmp_path / "run"
    words = f"adopt {resnet} --network resnet18 --input rgb --classes {tmp_path}/classes.txt"
    assert cli.main([*words.split(), "--out", str(out), "--size", "32", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["layout"], said["size"], said["parameters"]) == ("torchvision", 32, 11_178_564)
    table = scored(out, tiny, tmp_path / "scores.npz")
    made = table.provenance
    assert (made["weights"], made["step"], made["precision"]) == (said["weights"], 0, "float32")
    assert made["adopted"]["layout"] == "torchvision"
    net = models.resnet18(weights=None, num_classes=4).eval()
    net.load_state_dict(torch.load(resnet, weights_only=True)["state_dict"])
    with open_store(tiny.store) as store, torch.no_grad():
        frames = [store.read_frames(video, [4])[0] for video in table.videos]
        pictures = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255
        cut = pictures[:, :, 2:30, 6:34]  # 7/8 of the short side of 32
        big = torch.nn.functional.interpolate(cut, (32, 32), mode="bilinear")
        wanted = net(RGB().normalise(big)).numpy()
    np.testing.assert_allclose(table.scores, wanted, atol=1e-4)
    words = f"train spatial --store {tiny.store} --labels {tiny.labels} --weights {out}"
    more = "--recipe small --epochs 1 --batch 4 --ema 0 --workers 0 --device cpu --quiet"
    assert cli.main([*words.split(), "--out", str(tmp_path / "tuned"), *more.split()]) == 0
    tuned = Run.open(tmp_path / "tuned")
    assert tuned.recipe.network.name == "resnet18"
    assert tuned.recipe.crop.size == 32
    assert not tuned.adopted
    scored(tmp_path / "tuned", tiny, tmp_path / "tuned.npz")


def fields_of(options_type: type) -> dict[str, Any]:
    return {one.name: one for one in fields(options_type)}


def test_a_training_from_a_run_looks_as_that_run(resnet: Path, tmp_path: Path) -> None:
    from scripts.train_stream import options_for

    make(resnet, tmp_path / "run", span="symmetric", size=48)
    run = str(tmp_path / "run")
    words = ["--recipe", "tsn", "--weights", run]
    defaults = fields_of(options_for("spatial", words))
    assert defaults["input"].default == RGB(span="symmetric")
    assert defaults["crop"].default.size == 48
    assert (defaults["network"].default.name, defaults["network"].default.weights) == (
        "resnet18",
        run,
    )
    flow = fields_of(options_for("temporal", words))
    assert flow["input"].default == FlowStack(5)


@pytest.mark.parametrize(
    ("network", "of", "kind", "extra", "size"),
    [
        ("inception-v1", "i3d", "spatial", ("padding=same",), 64),
        ("karpathy-slow", "karpathy-single", "spatial", ("norm=batch", "grid=2", "width=0.25"), 48),
        ("t3d121", "t3d121", "transfer", (), 48),
    ],
)
def test_a_training_from_a_run_of_its_kin_is_built_as_that_one(
    network: str, of: str, kind: str, extra: tuple[str, ...], size: int, tmp_path: Path
) -> None:
    from scripts.train_stream import options_for

    trained = recipe("small", kind, of)
    trained = replace(trained, crop=replace(trained.crop, size=48))
    settings = {"kind": kind, "seed": 0, "recipe": trained.settings(), "data": {}}
    RunFolder(tmp_path / "run").begin(settings, {})
    words = ["--recipe", "small", "--network", network, "--weights", str(tmp_path / "run")]
    defaults = fields_of(options_for("spatial", words))
    assert defaults["network"].default.name == network
    assert defaults["network"].default.extra == extra
    assert defaults["network"].default.weights == words[-1]
    assert defaults["crop"].default.size == size


REAL = ("HighJump", "PizzaTossing", "Surfing", "WallPushups")


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_published_i3d_scores_real_clips_as_a_direct_pass(
    shared_data: Path, tmp_path: Path, twostream: Callable[..., CompletedProcess[str]]
) -> None:
    """Adopted and scored by the commands; the network by itself on the same frames."""
    weights = shared_data / "weights" / "i3d_rgb_kinetics400_fp16.pt"
    list_ = shared_data / "weights" / "kinetics400_classes.txt"
    names = list_.read_text().splitlines()
    words = ("--network", "i3d", "--input", "rgb", "--classes", list_, "--out", tmp_path / "run")
    done = twostream("adopt", weights, *words)
    assert done.returncode == 0, done.stderr
    files = [sorted((shared_data / "clips" / "ucf101" / name).glob("*.avi"))[0] for name in REAL]
    listed = tmp_path / "videos.txt"
    listed.write_text("\n".join(f"{file.parent.name}/{file.name}" for file in files))
    quick = ("--flow", "dis", "--preset", "ultrafast", "--short-side", "256", "--workers", "1")
    root = shared_data / "clips" / "ucf101"
    done = twostream("extract", listed, "--root", root, "--out", tmp_path / "store", *quick)
    assert done.returncode == 0, done.stderr
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "classes.txt").write_text("\n".join(names))
    rows = "".join(f"{file.parent.name}/{file.stem} 0\n" for file in files)
    (lists / "val.txt").write_text(rows)
    where = ("--store", tmp_path / "store", "--labels", lists, "--out", tmp_path / "scores.npz")
    done = twostream(
        *("score", tmp_path / "run", *where, "--views", "1x1", "--workers", "0"), timeout=3000
    )
    assert done.returncode == 0, done.stderr
    table = ScoreTable.load(tmp_path / "scores.npz")
    run = Run.open(tmp_path / "run")
    net = build_network("i3d")
    net.load_state_dict({n.removeprefix("network."): v for n, v in run.best().tensors.items()})
    net.eval()
    with open_store(tmp_path / "store") as store, torch.no_grad():
        for video, scores in zip(table.videos, table.scores, strict=True):
            start = (store.video(video).frames - 63) // 2
            frames = torch.from_numpy(store.read_frames(video, range(start, start + 64)))
            top, left = ((side - 224) // 2 for side in frames.shape[1:3])
            clip = frames[:, top : top + 224, left : left + 224].permute(3, 0, 1, 2)
            wanted = net(clip[None].float() / 127.5 - 1)[0].numpy()
            assert scores.argmax() == wanted.argmax(), video
            np.testing.assert_allclose(scores, wanted, atol=2e-3)
    found = {
        video.split("/")[0]: names[row.argmax()]
        for video, row in zip(table.videos, table.scores, strict=True)
    }
    assert found["Surfing"] == "surfing water"
