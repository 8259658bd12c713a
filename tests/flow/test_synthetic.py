"""The sample data is listed as UCF-101 is, repeats to the byte, and splits into its two factors."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from flow.algorithms.table import algorithm
from scripts.samples.sample_classes import APPEARANCES, MOTIONS, class_name
from scripts.samples.sample_videos import SampleData, make_sample_data, sample_clips
from storage.errors import UserError

SMALL = SampleData(groups=3, clips=2, appearances=4, motions=8)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sample")
    make_sample_data(out, SMALL)
    return out


def decoded(path: Path, pixels: str = "rgb24") -> NDArray[np.uint8]:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format=pixels) for frame in container.decode(video=0)])


def clip(out: Path, look: int, move: int, group: int = 1, pixels: str = "rgb24") -> NDArray:
    name = class_name(APPEARANCES[look], MOTIONS[move])
    return decoded(out / "videos" / name / f"v_{name}_g{group:02}_c01.avi", pixels)


def test_it_is_laid_out_as_ucf101_is(sample: Path) -> None:
    lists = sample / "lists"
    index = (lists / "classInd.txt").read_text().splitlines()
    names = [line.split(" ")[1] for line in index]
    assert [line.split(" ")[0] for line in index] == [str(i) for i in range(1, 33)]
    assert names == sorted(names)
    train = [line.split(" ") for line in (lists / "trainlist01.txt").read_text().splitlines()]
    test = (lists / "testlist01.txt").read_text().splitlines()
    for video, label in train:
        folder, _, file = video.partition("/")
        assert names[int(label) - 1] == folder
        assert file.startswith(f"v_{folder}_g")
    listed = sorted([*test, *(video for video, _ in train)])
    there = sorted(p.relative_to(sample / "videos").as_posix() for p in sample.rglob("*.avi"))
    assert listed == there
    assert len(there) == 32 * 3 * 2
    groups = [{v.split("_g")[1][:2] for v in part} for part in (test, [v for v, _ in train])]
    assert groups == [{"01"}, {"02", "03"}]


def test_the_ceilings_are_written_beside_the_lists(sample: Path) -> None:
    ceilings = json.loads((sample / "lists" / "ceilings.json").read_text())
    assert (ceilings["spatial"], ceilings["temporal"], ceilings["fused"]) == (1 / 8, 1 / 4, 1)
    assert not ceilings["mirror_safe"]
    assert SampleData().ceilings()["mirror_safe"]
    assert len(ceilings["motions"]) == 8


def test_every_video_is_whole_and_compressed(sample: Path) -> None:
    for path in list(sample.rglob("*.avi"))[::16]:
        frames = decoded(path)
        assert frames.shape == (SMALL.frames, SMALL.height, SMALL.width, 3)
        assert path.stat().st_size < frames.size / 3


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    tiny = SampleData(groups=2, clips=1, appearances=2, motions=2, frames=4, seed=3)
    for folder, data in (("a", tiny), ("b", tiny), ("c", replace(tiny, seed=4))):
        make_sample_data(tmp_path / folder, data)
    files = sorted(p.relative_to(tmp_path / "a") for p in (tmp_path / "a").rglob("*.*"))
    assert len(files) == 8 + 4
    for file in files:
        bytes_of = [(tmp_path / folder / file).read_bytes() for folder in "abc"]
        assert bytes_of[0] == bytes_of[1]
        if file.suffix == ".avi":
            assert bytes_of[0] != bytes_of[2]


def test_a_motion_is_its_partner_played_backwards(sample: Path) -> None:
    for first in range(0, 8, 2):
        forward, backward = clip(sample, 0, first), clip(sample, 0, first + 1)
        assert np.array_equal(forward, backward[::-1])
        assert not np.array_equal(forward, backward)


def test_the_middle_picture_is_the_same_in_every_motion(sample: Path) -> None:
    middle = SMALL.frames // 2
    pictures = [clip(sample, 1, move)[middle] for move in range(8)]
    assert all(np.array_equal(pictures[0], picture) for picture in pictures)


def test_brightness_is_the_same_in_every_appearance(sample: Path) -> None:
    for move in (0, 2, 6):
        brightness = [clip(sample, look, move, pixels="gray") for look in range(4)]
        assert all(np.array_equal(brightness[0], grey) for grey in brightness)


def test_no_colour_is_clipped_into_brightness(sample: Path) -> None:
    for path in list(sample.rglob("*.avi"))[::8]:
        frames = decoded(path)
        assert frames.min() > 0
        assert frames.max() < 255


def test_motions_go_the_way_that_their_names_say(sample: Path) -> None:
    """Inside the window, mean over its clips: flow, its divergence and its turn (y points down)."""
    seen: dict[str, NDArray] = {}
    for move, motion in enumerate(MOTIONS):
        measured = []
        for group in (1, 2, 3):
            grey = clip(sample, 0, move, group, "gray")
            flow = algorithm("dis").compute(grey).mean(0)
            window = np.hypot(*flow)  # the background stands still
            along_y, along_x = np.gradient(flow, axis=(1, 2))
            inside = window > window.max() / 3
            spread = (along_x[0] + along_y[1])[inside].mean()
            turn = (along_x[1] - along_y[0])[inside].mean()
            measured.append([*flow[:, inside].mean(1), spread, turn])
        seen[motion.name] = np.mean(measured, 0)
    assert seen["Left"][0] < -0.5 < 0.5 < seen["Right"][0]
    assert seen["Up"][1] < -0.5 < 0.5 < seen["Down"][1]
    assert seen["ZoomOut"][2] < -0.01 < 0.01 < seen["ZoomIn"][2]
    assert seen["Counterclockwise"][3] < -0.01 < 0.01 < seen["Clockwise"][3]
    for name in ("ZoomIn", "ZoomOut", "Clockwise", "Counterclockwise"):
        assert np.abs(seen[name][:2]).max() < 0.5, name


def test_scenes_are_shared_within_a_group_and_differ_between_groups(sample: Path) -> None:
    name = class_name(APPEARANCES[0], MOTIONS[0])
    folder = sample / "videos" / name
    corner = {
        (group, number): decoded(folder / f"v_{name}_g{group:02}_c{number:02}.avi", "gray")[0]
        for group in (1, 2)
        for number in (1, 2)
    }

    def difference(a: tuple[int, int], b: tuple[int, int]) -> float:
        apart = np.abs(corner[a].astype(int) - corner[b])
        return float(np.quantile(apart, 0.25))

    assert difference((1, 1), (1, 2)) < 2
    assert difference((1, 1), (2, 1)) > 4


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("motions", 3),
        ("appearances", 9),
        ("width", 97),
        ("frames", 1),
        ("groups", 1),
        ("clips", 0),
        ("height", 2000),
        ("seed", -1),
    ],
)
def test_what_cannot_be_made_is_named(option: str, value: int) -> None:
    with pytest.raises(UserError, match=rf"--{option} is {value}; it must be"):
        replace(SMALL, **{option: value})


def test_odd_frame_sizes_of_the_scene_are_allowed() -> None:
    data = SampleData(groups=2, clips=1, appearances=2, motions=2, frames=3, width=322, height=34)
    made = next(sample_clips(data))
    assert made.luma.shape == (3, 34, 322)
    assert made.chroma.shape == (3, 2, 17, 161)
