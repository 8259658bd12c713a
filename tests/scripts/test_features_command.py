"""`twostream features`: trajectories of a store, features of other tools, and mistakes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from streams_tiny import APPEARANCES, MOTIONS, write_tiny_lists

from scripts import cli
from storage.codecs import Quantizer
from storage.features import open_features
from storage.store import StoreConfig, open_store
from streams.aggregators import FisherEncoder

FRAMES, HEIGHT, WIDTH = 18, 64, 80
SHORT = "BlueRight/v_BlueRight_g06_c01"


def write_moving(folder: Path) -> None:
    """A textured patch that moves over a textured ground, right or down; one video of one frame."""
    rng = np.random.default_rng(0)
    config = StoreConfig(quantizer=Quantizer("round"), codec="raw", frame_codec="raw")
    with open_store(folder, "w", config) as store:
        for name in (a + m for a in APPEARANCES for m in MOTIONS):
            for group in range(1, 7):
                video = f"{name}/v_{name}_g{group:02d}_c01"
                step = (0, 2) if "Right" in name else (2, 0)
                ground = rng.integers(0, 255, (HEIGHT, WIDTH))
                patch = rng.integers(0, 255, (24, 24))
                with store.write(video) as writer:
                    for t in range(1 if video == SHORT else FRAMES):
                        top, left = 4 + t * step[0] // 2 * 2 // 2, 4 + t * step[1]
                        frame = ground.copy()
                        frame[top : top + 24, left : left + 24] = patch
                        writer.frame(np.repeat(frame[..., None], 3, 2).astype(np.uint8))
                        if t and video != SHORT:
                            flow = np.zeros((1, 2, HEIGHT, WIDTH))
                            place = slice(top - step[0], top + 24), slice(left - step[1], left + 24)
                            flow[0, 0][place] = step[1]
                            flow[0, 1][place] = step[0]
                            writer.flow(config.quantizer.quantize(flow))
                    writer.finish(fps=25)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moving")
    write_moving(folder / "store")
    write_tiny_lists(folder / "lists")
    return folder


@pytest.fixture
def call(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        code = cli.main(["features", *map(str, words), "--quiet"])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_trajectories_become_fisher_vectors_that_go_on_the_same(
    home: Path, tmp_path: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    words = ["idt", "--store", home / "store", "--labels", home / "lists", "--gaussians", 2]
    words += ["--workers", 0, "--fit-videos", 4, "--json"]
    with open_store(home / "store") as store:
        some = [SHORT, *store.videos()[:4]]
    code, out, err = call(*words, "--out", tmp_path / "whole", "--videos", *some)
    assert code == 0, err
    said = json.loads(out)
    assert (said["videos"], said["shape"], said["at"]) == (5, [426 * 2], "fisher")
    whole = open_features(tmp_path / "whole")
    encoder = FisherEncoder.load(whole.encoder)
    assert encoder.width == 852
    rows = {video: whole.read(video) for video in whole.videos()}
    assert not rows[SHORT].any()
    for video, row in rows.items():
        assert row.shape == (1, 852)
        if video != SHORT:  # a length of 1 for each of five types
            assert np.linalg.norm(row.astype(float)) == pytest.approx(5**0.5, rel=0.01)
    for part in (some[:2], some):
        assert call(*words, "--out", tmp_path / "cut", "--videos", *part)[0] == 0
    cut = open_features(tmp_path / "cut")
    for video, row in rows.items():
        np.testing.assert_array_equal(cut.read(video), row)


def test_what_trajectories_need_is_said(
    home: Path, tmp_path: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    words = ["idt", "--store", home / "store", "--workers", 0, "--out", tmp_path / "f"]
    code, _, err = call(*words)
    assert code == 2
    assert "--labels" in err
    code, _, err = call(*words, "--labels", home / "lists", "--gaussians", 5000, "--fit-videos", 1)
    assert code == 2
    assert "5000" in err  # too few descriptors for so many Gaussians
    assert call("idt", "--out", tmp_path / "g")[0] == 2


def test_features_of_another_tool_are_taken_over(
    tmp_path: Path, call: Callable[..., tuple[int, str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "npy").mkdir()
    rows = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    np.save(tmp_path / "npy" / "a.npy", rows)
    code, _, err = call(tmp_path / "npy", "--out", tmp_path / "f")
    assert (code, "--name" in err) == (2, True)
    words = [tmp_path / "npy", "--out", tmp_path / "f", "--name", "I3D", "--dtype", "float32"]
    assert call(*words)[0] == 0
    np.testing.assert_array_equal(open_features(tmp_path / "f").read("a"), rows)
    assert cli.main(["inspect", str(tmp_path / "f")]) == 0
    assert "I3D" in capsys.readouterr().out
    assert cli.main(["inspect", str(tmp_path / "f"), "--video", "a"]) == 0
    assert cli.main(["verify", str(tmp_path / "f"), "--quiet"]) == 0
    assert "1 videos whole, 4 steps" in capsys.readouterr().out
    for to in ("npy", "hdf5"):
        out = tmp_path / f"out-{to}"
        assert (
            cli.main(["export", str(tmp_path / "f"), "--to", to, "--out", str(out), "--quiet"]) == 0
        )
    np.testing.assert_array_equal(np.load(tmp_path / "out-npy" / "a.npy"), rows)


def test_a_place_that_is_no_run_is_named(
    home: Path, tmp_path: Path, call: Callable[..., tuple[int, str, str]]
) -> None:
    code, _, err = call(home / "lists", "--store", home / "store", "--out", tmp_path / "f")
    assert code == 2
    assert "not a run folder" in err
