"""`twostream explain` on runs of every kind: what it draws, what it says, what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from explain_material import fusion_run, sequence_run, stream_run
from PIL import Image
from streams_tiny import Tiny, write_tiny

from fusion.explanation.fused import FusedNetwork, looks_of
from fusion.network import FusionScorer
from scripts.explain import main, spread
from storage import atomic
from streams.explanation import class_map
from streams.samples import DataOptions, open_source
from streams.scoring import Run
from streams.sequences import (
    FeatureData,
    SequenceScorer,
    open_feature_source,
    video_weights,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    return write_tiny(tmp_path_factory.mktemp("explain"))


@pytest.fixture(scope="module")
def clip_run(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "clip"
    small = ("grid=2", "width=0.1")
    return stream_run(folder, tiny, "spatial", "karpathy-early", 4, *small)


def words(run: Path, tiny: Tiny, out: Path, *more: str) -> list[str]:
    few = ["--count", "2", "--search", "3", "--filters", "2", "--best", "2", "--quiet"]
    return [str(run), "--store", str(tiny.store), "--out", str(out), *few, *more]


def test_flow_is_explained_with_frames_beside_it_and_the_same_twice(
    tiny: Tiny, tmp_path: Path
) -> None:
    run = stream_run(tmp_path / "run", tiny, "temporal", "resnet18", 3)
    more = ("--labels", str(tiny.labels), "--parts", "relu")
    for name in ("one", "two"):
        assert main(words(run, tiny, tmp_path / name, *more)) == 0
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    for kind in ("frame", "input", "gradcam", "guided"):
        assert sum(name.endswith(f"-{kind}.png") for name in files) == 2
    assert {"first-layer.png", "first-layer-moving.png", "strongest-relu.png"} <= set(files)
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    said = json.loads((tmp_path / "one" / "explain.json").read_text())
    assert {video["true"] for video in said["videos"]} <= {"RedLeft", "RedRight", "BlueLeft",
                                                           "BlueRight"}  # fmt: skip
    assert said["videos"][0]["class"] == said["videos"][0]["predicted"]
    with Image.open(tmp_path / "one" / "first-layer-moving.png") as moving:
        assert moving.n_frames == 3  # type: ignore[attr-defined]


def test_a_network_for_clips_is_explained_step_by_step(
    clip_run: Path, tiny: Tiny, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(words(clip_run, tiny, out, "--json")) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["videos"] == 2
    assert said["pictures"] == len(list(out.glob("*.png")))
    for kind in ("input", "gradcam", "guided"):
        (first, _) = sorted(out.glob(f"*-{kind}.png"))
        with Image.open(first) as picture:
            assert picture.size == (4 * 168 + 3 * 4, 168)  # four steps beside each other
    assert "true" not in json.loads((out / "explain.json").read_text())["videos"][0]


def test_another_class_can_be_asked_for(clip_run: Path, tiny: Tiny, tmp_path: Path) -> None:
    video = "BlueLeft/v_BlueLeft_g01_c01"
    more = ("--of", "RedRight", "--videos", video)
    assert main(words(clip_run, tiny, tmp_path / "out", *more)) == 0
    (said,) = json.loads((tmp_path / "out" / "explain.json").read_text())["videos"]
    assert (said["video"], said["class"]) == (video, "RedRight")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--of", "true"), "--of true needs --labels"),
        (("--of", "Swimming"), "--of 'Swimming' is neither predicted, true nor one of the classes"),
        (("--at", "conv9"), "no part 'conv9' here; there are"),
        (("--parts", "conv9"), "no part 'conv9' here; there are"),
        (("--videos", "nobody"), "--videos nobody is not in"),
        (("--features", "F"), "it is explained with --store"),
        (("--count", "0"), "--count 0 must be at least 1"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    clip_run: Path, tiny: Tiny, tmp_path: Path, more: tuple[str, ...], message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(words(clip_run, tiny, tmp_path / "out", *more)) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_without_captum_one_line_says_what_to_install(
    clip_run: Path, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(sys.modules, "captum", None)
    assert main(words(clip_run, tiny, tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert "pip install 'twostream[explain]'" in said
    assert said.count("\n") == 1


@pytest.fixture(scope="module")
def fused_run(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fusion_run(tmp_path_factory.mktemp("fused"), tiny)


def test_a_fusion_is_explained_behind_its_join_and_tower_by_tower(
    fused_run: Path, tiny: Tiny, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert main(words(fused_run, tiny, out, "--labels", str(tiny.labels))) == 0
    for what in ("input-spatial", "input-temporal", "gradcam-joined", "gradcam-spatial",
                 "gradcam-temporal", "guided-spatial", "guided-temporal"):  # fmt: skip
        (first, _) = sorted(out.glob(f"*-{what}.png"))
        with Image.open(first) as picture:
            assert picture.size == (3 * 168 + 2 * 4, 168)  # three moments beside each other
    assert {"first-layer-spatial.png", "first-layer-temporal.png"} <= {
        p.name for p in out.iterdir()
    }
    said = json.loads((out / "explain.json").read_text())
    assert said["at"] == "layer2"
    assert set(said["videos"][0]["Grad-CAM"]) == {"joined", "spatial", "temporal"}
    assert "no single piece of either made its answer" in (out / "explain.html").read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--at", "layer4"), "--at layer4 is not where the towers are joined: layer1, layer2"),
        (("--parts", "layer2"), "--parts layer2 has no meaning for a fusion"),
        (("--of", "Swimming"), "neither predicted, true nor one of the classes"),
    ],
)
def test_what_a_fusion_has_not_is_one_line(
    fused_run: Path, tiny: Tiny, tmp_path: Path, more: tuple[str, ...], message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert main(words(fused_run, tiny, tmp_path / "out", *more)) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_grad_cam_of_a_fusion_is_the_gradient_of_the_fused_answer(
    fused_run: Path, tiny: Tiny
) -> None:
    """Against the definition, with the join's own output and gradient."""
    run = Run.open(fused_run)
    scorer = FusionScorer(run, torch.device("cpu"))
    clips = open_source(DataOptions(tiny.store, tiny.labels), scorer.inputs).parts["train"][:1]
    (look,) = looks_of(scorer, tiny.store, clips)
    fused = FusedNetwork.open(run, scorer, "layer2", look)
    both = look.x["spatial"], look.x["temporal"]
    kept: list[torch.Tensor] = []
    hook = fused.layers["joined"].register_forward_hook(lambda *seen: kept.append(seen[2]))
    answer = fused.answer(both[0].clone().requires_grad_(), both[1])[0, 2]
    hook.remove()
    (gradient,) = torch.autograd.grad(answer, kept[0])
    wanted = (gradient.mean((2, 3), keepdim=True) * kept[0]).sum(1, keepdim=True).relu()
    found = class_map(fused.answer, both, 2, fused.layers["joined"])
    torch.testing.assert_close(found, wanted.detach())
    assert len(found) == 3  # a map a moment
    assert float(found.max()) > 0


def test_stopped_while_it_writes_it_leaves_whole_pictures_and_no_page(
    clip_run: Path, tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, written = atomic.move, []

    def move(fresh: Path, path: Path) -> None:
        written.append(path.name)
        if len(written) == 3:
            raise KeyboardInterrupt
        whole(fresh, path)

    monkeypatch.setattr(atomic, "move", move)
    out = tmp_path / "out"
    assert main(words(clip_run, tiny, out)) == 130
    left = sorted(path.name for path in out.iterdir())
    assert left == sorted(written[:2])
    for name in left:
        with Image.open(out / name) as picture:
            picture.verify()


@pytest.mark.parametrize("network", ["temporal-attention", "visual-attention"])
def test_attention_is_drawn_and_kept(network: str, tiny: Tiny, tmp_path: Path) -> None:
    run, store, labels = sequence_run(tmp_path, network)
    given = ["--features", str(store), "--labels", str(labels)]
    out = tmp_path / "out"
    assert main(words(run, tiny, out, *given)) == 0
    said = json.loads((out / "explain.json").read_text())
    scorer = SequenceScorer(Run.open(run), torch.device("cpu"))
    test = open_feature_source(FeatureData((store,), labels), ("test",))
    looks = {look.video: look for look in video_weights(scorer, test, "test")}
    assert len(said["videos"]) == len(list(out.glob("*-attention.png"))) == 2
    for video in said["videos"]:
        look = looks[video["video"]]
        np.testing.assert_allclose(video["weights"], look.weights, atol=1e-5)
        assert video["moments"] == look.moments.tolist()
    if network == "visual-attention":  # heat needs frames to lie on
        bare = [str(tmp_path / "run"), *given, "--out", str(tmp_path / "bare"), "--quiet"]
        assert main(bare) == 2


def test_videos_are_spread_over_the_list() -> None:
    assert spread(range(3), 6) == [0, 1, 2]
    assert spread(range(100), 4) == [12, 37, 62, 87]
