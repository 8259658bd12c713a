"""A batch on the device is what each sample gives by itself, whatever its size."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from storage.catalog.catalog import Clip
from storage.codecs.quantize import Quantizer
from storage.store.config import StoreConfig
from storage.store.store import open_store
from streams.inputs.contract import Input
from streams.inputs.flow import FlowStack
from streams.inputs.frames import IMAGENET_STD, RGB
from streams.inputs.lookup import looked_up
from streams.networks.torchvision_compat import torchvision
from streams.samples.batch import Batch, Sample, collate
from streams.samples.colours import DIRECTIONS, VARIANCES, colour_shift
from streams.samples.crops import Box, Crop
from streams.samples.dataset import ClipDataset, quantiser_table, shared_moments
from streams.samples.sampling import Draw, Sampling
from streams.samples.transforms import decoded, prepare, test_crops

test_crops.__test__ = False  # type: ignore[attr-defined]
v2 = torchvision.transforms.v2.functional
QUANTIZER = Quantizer("round", 20)
CONFIG = StoreConfig(quantizer=QUANTIZER, codec="raw", frame_codec="raw")
SIZES = {"a": (20, 30), "b": (26, 20), "c": (20, 30)}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random content in two sizes, and one video of a single pair."""
    path = tmp_path_factory.mktemp("sizes") / "store"
    rng = np.random.default_rng(3)
    with open_store(path, "w", CONFIG) as made:
        for name, (height, width) in SIZES.items():
            with made.write(name) as writer:
                frames = 2 if name == "c" else 9
                for _ in range(frames):
                    writer.frame(rng.integers(0, 256, (height, width, 3), np.uint8))
                writer.flow(rng.integers(0, 256, (frames - 1, 2, height, width), np.uint8))
                writer.finish(fps=25)
    return path


CLIPS = [Clip("a", 0, "a"), Clip("b", 1, "b"), Clip("c", 2, "c")]


def dataset(store: Path, inputs: dict[str, Input], **changes: object) -> ClipDataset:
    options = {"sampling": Sampling(2), "crop": Crop(size=16), "seed": 7} | changes
    return ClipDataset(store, CLIPS, inputs, **options)  # type: ignore[arg-type]


def alone(data: ClipDataset, name: str, sample: Sample) -> torch.Tensor:
    """The plain way: whole picture, mirrored code by code, cropped, resized, normalised."""
    made = data.inputs[name]
    table = quantiser_table(CONFIG)
    out = []
    for picture in sample.planes[name]:
        values = made.decode(torch.from_numpy(np.ascontiguousarray(picture))[None], table)[0]
        values = v2.crop(values, *sample.boxes[name])
        values = v2.resize(values, [data.crop.size] * 2, antialias=True)
        if sample.flip:
            values = v2.horizontal_flip(values)
            if name == "flow":
                values[0::2] = -values[0::2]
        out.append(made.normalise(values))
    return torch.stack(out)


@pytest.mark.parametrize(
    "flow", [FlowStack(3), FlowStack(3, subtract_mean=True), FlowStack(2, stack="trajectory")]
)
def test_a_batch_is_its_samples(store: Path, flow: FlowStack) -> None:
    data = dataset(store, {"rgb": RGB(), "flow": flow})
    draws = [Draw(position, position % 3) for position in range(12)]
    samples = [data[draw] for draw in draws]
    assert {sample.flip for sample in samples} == {True, False}
    batch = collate(samples)
    assert sorted(batch.videos) == sorted(sample.video for sample in samples)
    table = quantiser_table(CONFIG)
    order = sorted(range(12), key=lambda i: _key(samples[i]))
    for name, made in data.inputs.items():
        together = prepare(batch, name, made, table, 16)
        expected = torch.stack([alone(data, name, samples[i]) for i in order])
        assert together.shape == (12, 2, made.channels, 16, 16)
        torch.testing.assert_close(together, expected)
    assert batch.labels.tolist() == [samples[i].label for i in order]
    assert "12 samples" in repr(batch)


def _key(sample: Sample) -> tuple[int, ...]:
    from streams.samples.batch import kind_of

    return kind_of(sample)


def test_all_inputs_of_a_sample_look_at_one_place_and_moment(store: Path) -> None:
    """A mark that is drawn into frames and flow stays together through every transform."""
    path = store.parent / "marked"
    with open_store(path, "w", CONFIG) as made, made.write("m") as writer:
        for t in range(6):
            frame = np.zeros((24, 32, 3), np.uint8)
            frame[2 * t : 2 * t + 6, 4 * t : 4 * t + 8] = 255
            writer.frame(frame)
            if t < 5:
                flow = np.full((1, 2, 24, 32), 128, np.uint8)
                flow[:, 1, 2 * t : 2 * t + 6, 4 * t : 4 * t + 8] = 255
                writer.flow(flow)
        writer.finish(fps=25)
    data = ClipDataset(
        path,
        [Clip("m", 0, "m")],
        {"rgb": RGB(), "flow": FlowStack(1)},
        sampling=Sampling(3),
        crop=Crop(size=20, crops="area"),
        seed=1,
    )
    batch = collate([data[Draw(position, 0)] for position in range(40)])
    table = quantiser_table(CONFIG)
    frames = prepare(batch, "rgb", data.inputs["rgb"], table, 20)[:, :, 0]
    flow = prepare(batch, "flow", data.inputs["flow"], table, 20)[:, :, 1]
    scaled = [(x - x.amin()) / (x.amax() - x.amin()) for x in (frames, flow)]
    assert {run.flip for run in batch.runs["rgb"]} == {True, False}
    torch.testing.assert_close(scaled[0], scaled[1], atol=0.02, rtol=0)


def test_a_sample_depends_on_its_position_alone(store: Path) -> None:
    data = dataset(store, {"flow": FlowStack(2)})
    draws = [Draw(11, 0), Draw(12, 1), Draw(11, 0)]
    first, _, again = (data[draw] for draw in draws)
    assert (first.view, first.flip) == (again.view, again.flip)
    copy = pickle.loads(pickle.dumps(data))
    for mine, theirs in zip(first.planes["flow"], copy[Draw(11, 0)].planes["flow"], strict=True):
        assert np.array_equal(mine, theirs)
    other = dataset(store, {"flow": FlowStack(2)}, seed=8)
    views = [data[Draw(p, 0)].view for p in range(20)]
    assert views != [other[Draw(p, 0)].view for p in range(20)]


@pytest.mark.slow
def test_workers_give_the_same_batches(store: Path) -> None:
    data = dataset(store, {"flow": FlowStack(2)})
    batches = [[Draw(4 * i + k, k % 3) for k in range(4)] for i in range(3)]
    options = {"batch_sampler": batches, "collate_fn": collate}
    plain = list(DataLoader(data, **options))  # type: ignore[arg-type]
    context = {"num_workers": 2, "multiprocessing_context": "spawn"}
    for one, two in zip(plain, DataLoader(data, **options, **context), strict=True):  # type: ignore[arg-type]
        assert one.runs == two.runs
        table = quantiser_table(CONFIG)
        made = data.inputs["flow"]
        torch.testing.assert_close(
            prepare(one, "flow", made, table, 16), prepare(two, "flow", made, table, 16)
        )


def test_a_short_video_repeats_its_last_pair(store: Path) -> None:
    data = dataset(store, {"flow": FlowStack(5)}, sampling=Sampling(3))
    video = data.store.video("c")
    assert shared_moments(data.inputs, video, data.store.meta) == range(1)
    planes = data[Draw(0, 2)].planes["flow"]
    assert len(planes) == 3
    for picture in planes:
        pairs = picture.reshape(5, 2, *picture.shape[1:])
        assert all(np.array_equal(pairs[0], pair) for pair in pairs)


@pytest.mark.parametrize("crops", [1, 2, 5, 10])
def test_test_crops_are_torchvisions(store: Path, crops: int) -> None:
    data = dataset(store, {"flow": FlowStack(3)}, snapshots=4, whole=True)
    sample = data[0]
    assert sample.view == Box(0, 0, 20, 30)
    batch = collate([sample])
    made = data.inputs["flow"]
    pictures = decoded(batch.planes["flow"], batch.runs["flow"][0], made, quantiser_table(CONFIG))
    views = test_crops(pictures[0], made, 0.8, 16, crops)
    assert views.shape == (4, crops, 6, 16, 16)
    ten = list(v2.ten_crop(pictures[0], [16, 16]))  # ul, ur, ll, lr, centre, then mirrored
    five = ten[:5] if crops in (5, 10) else ten[4:5]
    # torchvision mirrors the picture and then crops, so left and right change places
    mirrored = [ten[i].clone() for i in (6, 5, 8, 7, 9)]
    for view in mirrored:
        view[:, 0::2] *= -1
    if crops in (2, 10):
        five += mirrored if crops == 10 else mirrored[4:]
    torch.testing.assert_close(views, made.normalise(torch.stack(five, 1)))


@pytest.mark.parametrize("size", [(16, 16), (10, 12), (16, 9)])
def test_enlarging_needs_no_antialiasing(size: tuple[int, int]) -> None:
    picture = torch.rand(2, 3, *size)
    plain, smooth = (v2.resize(picture, [16, 16], antialias=a) for a in (False, True))
    torch.testing.assert_close(plain, smooth)


def test_codes_are_looked_up_alike_everywhere() -> None:
    codes = torch.arange(256, dtype=torch.uint8).view(2, 128)[:, ::2]
    table = torch.rand(256)
    assert torch.equal(looked_up(codes, table), table[codes.long()])


def test_colour_jitter_shifts_all_frames_of_a_sample_alike_and_flow_not_at_all(store: Path) -> None:
    inputs: dict[str, Input] = {"rgb": RGB(length=2), "flow": FlowStack(length=2)}

    def batch_of(jitter: float) -> Batch:
        crop = Crop(size=16, crops="random", jitter=jitter)
        sampling = Sampling(segments=2)
        data = ClipDataset(store, CLIPS[:2], inputs, sampling=sampling, crop=crop, seed=4)
        return collate([data[Draw(3, 0)], data[Draw(8, 1)]])

    plain, jittered = batch_of(0.0), batch_of(0.1)
    table = quantiser_table(CONFIG)
    assert plain.colours is None
    assert jittered.colours is not None
    for name, input_ in inputs.items():
        one, other = (prepare(b, name, input_, table, 16) for b in (plain, jittered))
        if name == "flow":
            assert torch.equal(one, other)
            continue
        shift = (other - one).unflatten(2, (2, 3)) * torch.tensor(IMAGENET_STD).view(3, 1, 1)
        wanted = jittered.colours[:, None, None, :, None, None].expand_as(shift)
        torch.testing.assert_close(shift, wanted, atol=1e-5, rtol=1e-4)


def test_colour_jitter_has_the_deviations_that_were_published() -> None:
    """Along the first principal colour 0.1 x 0.2175, which is nearly grey."""
    rng = np.random.default_rng(0)
    drawn = np.array([colour_shift(0.1, rng) for _ in range(4000)]) @ DIRECTIONS
    np.testing.assert_allclose(drawn.std(0), 0.1 * VARIANCES, rtol=0.05)
    np.testing.assert_allclose(DIRECTIONS.T @ DIRECTIONS, np.eye(3), atol=1e-3)
