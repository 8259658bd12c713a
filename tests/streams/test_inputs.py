"""What each input reads, by exact frame and pair numbers, and how it is decoded and mirrored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from storage.codecs.quantize import RULES, Quantizer
from storage.errors import UserError
from storage.store.config import StoreConfig, VideoMeta
from storage.store.store import Store, open_store
from streams.inputs.contract import Input
from streams.inputs.differences import RGBDifference
from streams.inputs.flow import FlowStack
from streams.inputs.frames import RGB
from streams.inputs.stacks import backward_pairs, forward_pairs
from streams.inputs.table import input_from, settings_of
from streams.inputs.trajectory import along_trajectories

FRAMES, HEIGHT, WIDTH = 12, 6, 8


def numbered_store(folder: Path, step: int = 1) -> Store:
    """Frame i is filled with i; pair i is filled with i, plus 50 a field and 100 for y."""
    config = StoreConfig(
        codec="raw", frame_codec="raw", step=step, fields=("forward", "backward", "warped")
    )
    store = open_store(folder, "w", config)
    with store.write("v") as writer:
        for i in range(FRAMES):
            writer.frame(np.full((HEIGHT, WIDTH, 3), i, np.uint8))
        for number, field in enumerate(config.fields):
            flow = np.empty((FRAMES - step, 2, HEIGHT, WIDTH), np.uint8)
            flow[:, 0] = np.arange(FRAMES - step).reshape(-1, 1, 1) + 50 * number
            flow[:, 1] = flow[:, 0] + 100
            writer.flow(flow, field)
        writer.finish(fps=25)
    return store


def read(store: Store, made: Input, moment: int) -> list[int]:
    """The constant of each plane."""
    planes = made.read(store, store.video("v"), moment, store.meta)
    assert planes.dtype == np.uint8
    assert planes.shape[1:] == (HEIGHT, WIDTH)
    assert (planes == planes[:, :1, :1]).all()
    return [int(plane[0, 0]) for plane in planes]


def xy(pairs: list[int], plus: int = 0) -> list[int]:
    return [value + plus + more for value in pairs for more in (0, 100)]


@pytest.mark.parametrize(
    ("made", "step", "moments", "moment", "planes"),
    [
        (RGB(), 1, range(12), 5, [5, 5, 5]),
        (RGB(offset=2), 1, range(10), 5, [7, 7, 7]),
        (RGBDifference(2), 1, range(10), 3, [3, 3, 3, 4, 4, 4, 5, 5, 5]),
        (FlowStack(1), 1, range(11), 4, xy([4])),
        (FlowStack(3), 1, range(9), 4, xy([4, 5, 6])),
        (FlowStack(3), 2, range(8), 4, xy([4, 5, 6])),
        (FlowStack(3, stride=2), 1, range(7), 4, xy([4, 6, 8])),
        (FlowStack(10), 1, range(2), 1, xy(list(range(1, 11)))),
        (FlowStack(2, field="warped"), 1, range(10), 0, xy([0, 1], 100)),
        # frame 4: forward pairs 4 and 5; backward pair 3 leads from frame 4 to frame 3, then 2
        (FlowStack(4, stack="bidirectional"), 1, range(2, 10), 4, xy([4, 5]) + xy([3, 2], 50)),
        # step 2: pair 2's backward flow leads from frame 4 to frame 2
        (FlowStack(2, stack="bidirectional"), 2, range(2, 10), 4, xy([4]) + xy([2], 50)),
        (FlowStack(3, stack="trajectory"), 1, range(9), 4, xy([4, 5, 6])),
        # beyond the end the last one repeats
        (FlowStack(3), 1, range(9), 9, xy([9, 10, 10])),
        (RGBDifference(2), 1, range(10), 10, [10, 10, 10, 11, 11, 11, 11, 11, 11]),
    ],
)
def test_what_is_read(
    tmp_path: Path, made: Input, step: int, moments: range, moment: int, planes: list[int]
) -> None:
    with numbered_store(tmp_path / "s", step) as store:
        made.check(store.meta)
        assert made.moments(store.video("v"), store.meta) == moments
        assert read(store, made, moment) == planes


def test_pairs_of_a_stack() -> None:
    assert forward_pairs(7, 3, 2) == [7, 9, 11]
    assert backward_pairs(7, 3, 1, step=1) == [6, 5, 4]
    assert backward_pairs(7, 3, 2, step=1) == [6, 4, 2]


@pytest.mark.parametrize("rule", RULES)
def test_a_mirrored_stack_is_the_stack_of_the_mirrored_video(rule: str) -> None:
    """Mirroring a video reverses the columns of its flow and the sign of x, exactly."""
    quantizer = Quantizer(rule, 8)
    table = torch.from_numpy(quantizer.table.copy())
    codes = torch.arange(256, dtype=torch.uint8).repeat(4).view(1, 4, 16, 16)
    made = FlowStack(2)
    flow = made.decode(codes, table)
    mirrored = made.mirror(flow.clone())
    assert torch.equal(mirrored[:, 0::2], -flow[:, 0::2].flip(-1))
    assert torch.equal(mirrored[:, 1::2], flow[:, 1::2].flip(-1))
    assert torch.equal(made.mirror(mirrored.clone()), flow)


@pytest.mark.parametrize(
    ("rule", "differ"), [("round", 0), ("companded", 0), ("centred", 1), ("truncate", 1)]
)
def test_why_decoded_numbers_are_negated_and_not_codes(rule: str, differ: int) -> None:
    """Two rules have one code without an opposite; negating codes would move it by a bin."""
    quantizer = Quantizer(rule, 20)
    codes = np.arange(1 if rule == "companded" else 0, 256, dtype=np.uint8)
    by_code = quantizer.dequantize(quantizer.negate(codes))
    error = np.abs(by_code + quantizer.dequantize(codes))
    assert (error > 1e-5).sum() == differ
    assert error.max() < 40 / 255 + 1e-4


def test_mirrored_frames_keep_their_colours() -> None:
    picture = torch.rand(1, 3, 4, 5)
    assert torch.equal(RGB().mirror(picture), picture.flip(-1))
    differences = torch.rand(1, 6, 4, 5)
    assert torch.equal(RGBDifference(2).mirror(differences), differences.flip(-1))


def test_mean_subtraction_takes_each_field_and_component_for_itself() -> None:
    quantizer = Quantizer("companded", 20)
    codes = torch.randint(0, 256, (2, 6, 5, 7), dtype=torch.uint8)
    table = torch.from_numpy(quantizer.table.copy())
    flow = FlowStack(3).decode(codes, table)
    less = FlowStack(3, subtract_mean=True).decode(codes, table)
    torch.testing.assert_close(less, flow - flow.mean((2, 3), keepdim=True))
    assert FlowStack(3, subtract_mean=True).whole
    assert not FlowStack(3).whole


def test_differences_of_frames() -> None:
    planes = torch.tensor([10, 20, 30, 15, 15, 15, 0, 0, 255], dtype=torch.uint8)
    made = RGBDifference(2).decode(planes.view(1, 9, 1, 1), torch.zeros(256))
    expected = torch.tensor([5, -5, -15, -15, -15, 240]) / 255
    torch.testing.assert_close(made.flatten(), expected)


def test_a_trajectory_follows_a_moving_object() -> None:
    """A square that moves 2 px right a frame: pixels of it stay with it along the trajectory."""
    flow = torch.zeros(1, 6, 12, 20)
    for k in range(3):
        flow[0, 2 * k, 4:8, 3 + 2 * k : 7 + 2 * k] = 2
    followed = along_trajectories(flow)
    assert (followed[0, 0::2, 4:8, 3:7] == 2).all()
    plain = flow[0, 0::2, 4:8, 3:7]
    assert not (plain == 2).all()
    assert (followed[0, 0::2, :3] == 0).all()


def test_a_trajectory_of_constant_flow_is_that_flow() -> None:
    flow = torch.tensor([1.5, -0.5]).view(1, 2, 1, 1).expand(1, 2, 9, 9).repeat(1, 4, 1, 1)
    torch.testing.assert_close(along_trajectories(flow), flow)


def test_settings_come_back() -> None:
    for made in (RGB(2), RGBDifference(3), FlowStack(4, 2, "bidirectional", True)):
        assert input_from(settings_of(made)) == made


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"length": 0}, "--length 0"),
        ({"stride": 0}, "--stride 0"),
        ({"length": 5, "stack": "bidirectional"}, "must be even"),
        ({"stack": "sideways"}, "--stack 'sideways' is not one of forward"),
        ({"unit": 0.0}, "--unit 0.0"),
        ({"stack": "bidirectional", "field": "warped"}, "forward only"),
    ],
)
def test_a_stack_that_makes_no_sense(arguments: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        FlowStack(**arguments)  # type: ignore[arg-type]


def test_a_store_that_cannot_serve() -> None:
    bare = StoreConfig(fields=("forward",), frame_codec="none")
    with pytest.raises(UserError, match="holds no frames"):
        RGB().check(bare)
    with pytest.raises(UserError, match="also needs backward"):
        FlowStack(stack="bidirectional").check(bare)
    with pytest.raises(UserError, match="also needs warped"):
        FlowStack(field="warped").check(bare)
    with pytest.raises(UserError, match="frames only"):
        FlowStack().check(StoreConfig(fields=()))


def test_a_trajectory_goes_on_where_its_last_field_ended() -> None:
    """Flow over s frames leads into frame t + s: a field of any other frame would be misread."""
    for step in (1, 3):
        config = StoreConfig(step=step)
        FlowStack(3, step, stack="trajectory").check(config)
        FlowStack(1, 2, stack="trajectory").check(config)  # alone, it leads nowhere
        FlowStack(3, 2).check(config)
        with pytest.raises(UserError, match=rf"spans {step} frames, give --stride {step}"):
            FlowStack(3, 2, stack="trajectory").check(config)


def test_short_videos_have_no_moments() -> None:
    video = VideoMeta("v", frames=4, pairs=3, height=6, width=8, fps=25)
    config = StoreConfig()
    assert len(FlowStack(3).moments(video, config)) == 1
    assert len(FlowStack(4).moments(video, config)) == 0
    assert len(FlowStack(4, stack="bidirectional").moments(video, config)) == 0
    assert FlowStack(4).repeatable(video)
    assert not FlowStack(4).repeatable(VideoMeta("v", 1, 0, 6, 8, 25))


@pytest.mark.parametrize(
    ("span", "black", "white"),
    [
        ("imagenet", [-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225], None),
        ("kinetics", [-0.43216 / 0.22803, -0.394666 / 0.22145, -0.37645 / 0.216989], None),
        ("symmetric", [-1, -1, -1], [1, 1, 1]),
        ("caffe", [-104, -117, -128], [151, 138, 127]),
    ],
)
def test_frames_become_the_numbers_that_published_weights_expect(
    span: str, black: list[float], white: list[float] | None
) -> None:
    made = RGB(length=2, span=span)  # type: ignore[arg-type]
    for level, wanted in ((0.0, black), (1.0, white)):
        if wanted is not None:
            seen = made.normalise(torch.full((1, 6, 2, 2), level))
            assert seen[0, :, 0, 0].tolist() == pytest.approx(wanted * 2, abs=1e-3)


def test_caffes_channels_are_blue_green_red_in_every_frame() -> None:
    colour = torch.tensor([1.0, 0.0, 0.0, 0.0, 1.0, 0.0]).view(1, 6, 1, 1)  # red, then green
    seen = RGB(length=2, span="caffe").normalise(colour).flatten()
    assert seen.tolist() == pytest.approx([-104, -117, 127, -104, 138, -128], abs=1e-3)


def test_a_span_that_is_none_is_refused() -> None:
    with pytest.raises(UserError, match="--span 'wide' is not one of imagenet, kinetics"):
        RGB(span="wide")  # type: ignore[arg-type]
