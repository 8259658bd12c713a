"""The plain dataset gives what the store holds, to any loop."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from storage import Quantizer, StoreConfig, UserError, open_store
from storage.catalog.catalog import Clip
from streams import FlowClips

H, W, PAIRS = 24, 32, 12
QUANTIZER = Quantizer("companded", 20)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two videos; in each, pair i moves i / 2 px in x and -1 px in y, everywhere."""
    path = tmp_path_factory.mktemp("clips") / "store"
    config = StoreConfig(QUANTIZER, codec="raw", frame_codec="raw")
    flow = np.empty((PAIRS, 2, H, W), np.float32)
    flow[:, 0] = np.arange(PAIRS).reshape(-1, 1, 1) / 2
    flow[:, 1] = -1
    with open_store(path, "w", config) as made:
        for video in ("a", "b"):
            with made.write(video) as writer:
                writer.flow(QUANTIZER.quantize(flow))
                for number in range(PAIRS + 1):
                    writer.frame(np.full((H, W, 3), number * 10, np.uint8))
                writer.finish(fps=25)
    return path


def meant(value: float) -> float:
    return float(QUANTIZER.dequantize(QUANTIZER.quantize(np.array([value], np.float32)))[0])


def test_a_testing_item_is_the_middle_of_the_video(store: Path) -> None:
    item = FlowClips(store, length=3, size=16, train=False, rgb=True)[1]
    assert (item["video"], item["label"]) == ("b", -1)
    assert item["flow"].shape == (6, 16, 16)
    first = (PAIRS - 3 + 1) // 2
    for k in range(3):
        assert item["flow"][2 * k].numpy() == pytest.approx(meant((first + k) / 2))
        assert item["flow"][2 * k + 1].numpy() == pytest.approx(meant(-1))
    red = (first * 10 / 255 - 0.485) / 0.229
    assert item["rgb"].shape == (3, 16, 16)
    assert torch.allclose(item["rgb"][0], torch.tensor(red), atol=1e-5)


def test_layout_segments_and_unit(store: Path) -> None:
    stack = FlowClips(store, length=4, size=8, segments=3, train=False)[0]["flow"]
    video = FlowClips(store, length=4, size=8, segments=3, train=False, layout="video", unit=20)
    assert stack.shape == (3, 8, 8, 8)
    assert video[0]["flow"].shape == (3, 2, 4, 8, 8)
    assert torch.allclose(video[0]["flow"][:, 0] * 20, stack[:, 0::2])
    assert torch.allclose(video[0]["flow"][:, 1] * 20, stack[:, 1::2])


def test_training_items_are_random_and_repeatable(store: Path) -> None:
    clips = FlowClips(store, length=2, size=8)
    torch.manual_seed(1)
    first = [clips[0]["flow"] for _ in range(12)]
    torch.manual_seed(1)
    again = [clips[0]["flow"] for _ in range(12)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert len({flow[0].abs().max().item() for flow in first}) > 3  # other moments
    assert {flow[2].min().item() < 0 for flow in first} == {True, False}  # mirrored or not
    assert all((flow[1] < 0).all() for flow in first)  # y never changes its sign
    still = FlowClips(store, length=2, size=8, flip=False)
    assert all((still[0]["flow"][2] > 0).all() for _ in range(12))


@pytest.mark.parametrize("workers", [0, 2])
def test_any_loader_takes_it(store: Path, workers: int) -> None:
    clips = [Clip("a", 0, ""), Clip("b", 1, ""), Clip("a", 0, "")]
    data = FlowClips(store, clips, length=5, size=16, rgb=True)
    batches = list(DataLoader(data, batch_size=3, num_workers=workers))
    assert len(batches) == 1
    assert batches[0]["flow"].shape == (3, 10, 16, 16)
    assert batches[0]["label"].tolist() == [0, 1, 0]
    assert batches[0]["video"] == ["a", "b", "a"]
    assert len(pickle.loads(pickle.dumps(data))) == 3


def test_a_transform_sees_the_item(store: Path) -> None:
    data = FlowClips(store, ["b"], length=2, size=8, transform=lambda item: item["video"])
    assert list(data) == ["b"]


def test_mistakes(store: Path) -> None:
    with pytest.raises(UserError, match="warped"):
        FlowClips(store, field="warped")
    with pytest.raises(UserError, match="no video"):
        FlowClips(store, [])
    with pytest.raises(UserError, match="'c' is not in"):
        FlowClips(store, ["c"])
    with pytest.raises(UserError, match="layout"):
        FlowClips(store, layout="3d")  # type: ignore[arg-type]


def test_clips_that_are_not_stored_are_skipped_and_counted_on_request(store: Path) -> None:
    listed = [Clip("c", 2, ""), Clip("b", 1, ""), "d"]
    with pytest.raises(UserError, match="'c' is not in"):
        FlowClips(store, listed)
    clips = FlowClips(store, listed, length=2, size=8, missing="skip")
    assert [clip.video for clip in clips.clips] == ["b"]
    assert clips.missing == ("c", "d")
    assert "1 videos" in repr(clips)
    assert "2 missing" in repr(clips)
    assert clips[0]["label"] == 1
    with pytest.raises(UserError, match="none of the 1 clips is in"):
        FlowClips(store, ["c"], missing="skip")
    with pytest.raises(UserError, match="missing 'drop' is neither"):
        FlowClips(store, missing="drop")  # type: ignore[arg-type]
