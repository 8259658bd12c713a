"""Raw frames as other tools open them: their index rules, said again here from their sources.

A rule is wrong for us where it asks for a file that is not there, or never asks for the last one.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from foreign_tools import H, W, codes, frames
from hypothesis import given, settings
from hypothesis import strategies as st

from storage import Quantizer, Store, StoreConfig, load_catalog, open_store
from storage.convert.export_flow import RawFrames
from storage.convert.export_i3d import I3DPictures
from storage.convert.export_lists import write_lists
from storage.convert.export_pictures import Pictures
from storage.convert.frame_rates import write_rates
from storage.convert.import_options import ImportOptions
from storage.convert.import_plan import plan_import
from storage.convert.importer import import_flow

LENGTHS = {"c/long": 40, "c/mid": 12, "c/short": 3}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    config = StoreConfig(Quantizer("round", 20), codec="lossless", frame_codec="lossless")
    with open_store(tmp_path_factory.mktemp("raw") / "store", "w", config) as store:
        for seed, (video, pairs) in enumerate(LENGTHS.items()):
            with store.write(video) as writer:
                writer.flow(codes(pairs, seed))
                for picture in frames(pairs + 1, seed):
                    writer.frame(picture)
                writer.finish(fps=25)
    return store


@pytest.fixture(scope="module")
def exported(store: Store) -> Path:
    """`--to mmaction2 --pictures png`, and its lists."""
    out = store.folder.parent / "mmaction2"
    RawFrames(1).export(store, store.videos(), out, Pictures(store.meta.quantizer, "png"))
    lists = store.folder.parent / "lists"
    lists.mkdir()
    for part, videos in (("train", store.videos()), ("test", ["c/other"])):
        lines = [f"{video} {LENGTHS.get(video, 1) + 1} 0\n" for video in videos]
        (lists / f"{part}.txt").write_text("".join(lines))
    catalog = load_catalog(lists / "train.txt", validation=0)
    write_lists(catalog, store, store.videos(), out)
    return out


def rows(path: Path) -> list[tuple[str, int]]:
    lines = (line.split() for line in path.read_text().splitlines())
    return [(video, int(count)) for video, count, _ in lines]


def picture(path: Path) -> np.ndarray:
    assert path.is_file(), f"the rule asks for {path.name}"
    return cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


def tsn_moments(frames: int, segments: int, length: int, rng: np.random.Generator | None) -> list:
    """tsn-pytorch's TSNDataSet: `_sample_indices` where there is a generator, else
    `_get_val_indices`. Numbers of the first pictures, from 1."""
    room = frames - length + 1
    if rng is None:
        if frames > segments + length - 1:
            tick = room / segments
            return [int(tick / 2 + tick * k) + 1 for k in range(segments)]
        return [1] * segments
    average = room // segments
    if average > 0:
        return [k * average + int(rng.integers(average)) + 1 for k in range(segments)]
    if frames > segments:
        return sorted(int(n) + 1 for n in rng.integers(room, size=segments))
    return [1] * segments


def tsn_pictures(frames: int, first: int, length: int) -> list[int]:
    """Its `get`: the last picture of a list repeats."""
    wanted, number = [], first
    for _ in range(length):
        wanted.append(number)
        if number < frames:
            number += 1
    return wanted


@settings(max_examples=12)
@given(
    seed=st.integers(0, 2**32 - 1), segments=st.integers(1, 7), length=st.sampled_from([1, 5, 10])
)
def test_tsn_pytorch_opens_the_flow_that_the_store_holds(
    seed: int, segments: int, length: int, store: Store, exported: Path
) -> None:
    rng = np.random.default_rng(seed)
    for video, count in rows(exported / "train_split_1_flow.txt"):
        if count < length and count > segments:
            continue  # its randint raises here, on anybody's files
        for draws in (rng, None):
            for first in tsn_moments(count, segments, length, draws):
                for number in tsn_pictures(count, first, length)[:: max(1, length - 1)]:
                    flow = store.read_flow(video, number - 1, 1)[0]
                    for side, axis in enumerate("xy"):
                        file = exported / video / f"flow_{axis}_{number:05d}.png"
                        assert np.array_equal(picture(file), flow[side])


def test_tsn_pytorch_can_reach_the_last_pair_and_frame(store: Store, exported: Path) -> None:
    for kind, length in (("flow", 5), ("rgb", 1)):
        reached = dict.fromkeys(store.videos(), 0)
        for video, count in rows(exported / f"train_split_1_{kind}.txt"):
            for seed in range(80):
                rng = np.random.default_rng(seed)
                for first in tsn_moments(count, 1, min(length, count), rng):
                    last = tsn_pictures(count, first, min(length, count))[-1]
                    reached[video] = max(reached[video], last)
        extra = 1 if kind == "rgb" else 0
        assert reached == {video: pairs + extra for video, pairs in LENGTHS.items()}
        for video, number in reached.items():
            name = "img" if kind == "rgb" else "flow_x"
            assert (exported / video / f"{name}_{number:05d}.png").is_file()
            assert not (exported / video / f"{name}_{number + 1:05d}.png").exists()


def mmaction_frames(total: int, length: int, interval: int, clips: int) -> np.ndarray:
    """mmaction2's SampleFrames in its testing mode, `out_of_bound_opt="loop"`, and the
    RawframeDataset's start_index of 1."""
    span = (length - 1) * interval + 1
    average = (total - span + 1) / clips
    starts = np.zeros(clips, int)
    if total > span - 1:
        starts = (np.arange(clips) * average + average / 2).astype(int)
    wanted = starts[:, None] + np.arange(length) * interval
    return np.mod(wanted, total).ravel() + 1


@settings(max_examples=15)
@given(length=st.integers(1, 16), interval=st.integers(1, 4), clips=st.integers(1, 8))
def test_mmaction2_opens_the_flow_and_frames_that_the_store_holds(
    length: int, interval: int, clips: int, store: Store, exported: Path
) -> None:
    for video, count in rows(exported / "train_split_1_flow.txt"):
        for number in mmaction_frames(count, length, interval, clips)[[0, -1]]:
            flow = store.read_flow(video, int(number) - 1, 1)[0]
            for side, axis in enumerate("xy"):
                file = exported / video / "flow_{}_{:05d}.png".format(axis, number)  # noqa: UP032
                assert np.array_equal(picture(file), flow[side])
    for video, count in rows(exported / "train_split_1_rgb.txt"):
        numbers = mmaction_frames(count, length, interval, clips)
        assert all((exported / video / f"img_{number:05}.png").is_file() for number in numbers)


def test_pytorch_i3d_opens_the_flow_and_frames_that_the_store_holds(
    store: Store, tmp_path: Path
) -> None:
    """Its charades_dataset.py: `load_flow_frames`, `load_rgb_frames` and how it counts frames.

    Its names end in .jpg; PNG is written here so that pixels can be compared.
    """
    I3DPictures().export(store, store.videos(), tmp_path, Pictures(store.meta.quantizer, "png"))
    for video, pairs in LENGTHS.items():
        root, vid = tmp_path / "flow" / "c", video.removeprefix("c/")
        counted = len(list((root / vid).iterdir())) // 2
        assert counted == pairs
        for start in range(counted):
            number = start + 1
            imgx = picture(root / vid / (vid + "-" + str(number).zfill(6) + "x.png"))
            imgy = picture(root / vid / (vid + "-" + str(number).zfill(6) + "y.png"))
            assert np.array_equal(np.stack([imgx, imgy]), store.read_flow(video, start, 1)[0])
        root = tmp_path / "rgb" / "c"
        assert len(list((root / vid).iterdir())) == pairs + 1
        for start in range(pairs + 1):
            file = root / vid / (vid + "-" + str(start + 1).zfill(6) + ".png")
            bgr = cv2.imread(str(file))
            assert np.array_equal(bgr[..., ::-1], store.read_frames(video, [start])[0])
    jpeg = I3DPictures().export(store, ["c/mid"], tmp_path / "j", Pictures(store.meta.quantizer))
    assert jpeg.done == ["c/mid"]
    assert (tmp_path / "j" / "flow" / "c" / "mid" / "mid-000012y.jpg").is_file()
    assert (tmp_path / "j" / "rgb" / "c" / "mid" / "mid-000013.jpg").is_file()


def test_pytorch_i3d_names_come_back_through_an_import(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    pictures = Pictures(store.meta.quantizer, "png")
    done = I3DPictures().export(store, store.videos(), out, pictures)
    again = I3DPictures().export(store, store.videos(), out, pictures)
    assert done.done == again.there == store.videos()
    write_rates(store, done.done, out / "flow")
    options = ImportOptions(bound=20, rule="round", codec="lossless", frame_codec="lossless")
    plan = plan_import([out / "flow", out / "rgb"], options)
    assert not import_flow(plan, tmp_path / "back").failed
    back = open_store(tmp_path / "back")
    assert back.videos() == store.videos()
    for video, pairs in LENGTHS.items():
        flow = store.read_flow(video, 0, pairs)
        assert np.array_equal(back.read_flow(video, 0, pairs), flow)
        wanted = range(pairs + 1)
        assert np.array_equal(back.read_frames(video, wanted), store.read_frames(video, wanted))
        assert back.video(video).fps == 25
        assert (back.video(video).height, back.video(video).width) == (H, W)
