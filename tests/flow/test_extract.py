"""One video into a store: what is stored belongs to the right frames, whatever the chunks."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import video_files

from flow.algorithms.table import algorithm
from flow.extraction import extract
from flow.extraction.extract import Extraction, Picture, extract_video, pairs_of
from flow.extraction.maker import FlowMaker
from flow.extraction.quality import Quality
from flow.extraction.recipe import Recipe
from flow.tvl1.compute import compute_flow
from flow.video.reader import VideoError, VideoReader
from flow.video.resize import Resize, to_grey
from storage.errors import UserError
from storage.store.store import Store, open_store

DIS = algorithm("dis")
CHEAP = {"flow": DIS, "codec": "raw", "frame_codec": "raw"}


def store_video(
    tmp_path: Path, source: Path, recipe: Recipe, **how: object
) -> tuple[Store, Extraction]:
    store = open_store(tmp_path / "store", "a", recipe.config())
    return store, extract_video(source, "v", store, recipe, **how)


def pixels(store: Store, field: str = "forward") -> np.ndarray:
    pairs = store.video("v").pairs
    return store.meta.quantizer.dequantize(store.read_flow("v", 0, pairs, field))


@pytest.fixture(scope="module")
def shifts() -> list[int]:
    return [int(s) for s in np.random.default_rng(3).integers(-3, 4, 60)]


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory, shifts: list[int]) -> Path:
    """A lossless video whose frame i is followed by a motion of `shifts[i]` px."""
    frames = video_files.moving(61, 48, 64, shifts)
    path = tmp_path_factory.mktemp("coded") / "coded.mkv"
    return video_files.write(path, frames, codec="ffv1", pixels="yuv444p")


@pytest.mark.parametrize("step", [1, 2, 5])
@pytest.mark.parametrize("batch", [1, 7, 100])
def test_flow_i_belongs_to_frames_i_and_i_plus_step(
    tmp_path: Path,
    coded: Path,
    shifts: list[int],
    step: int,
    batch: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(FlowMaker, "batch", lambda self, height, width: batch)
    recipe = Recipe(**CHEAP, step=step, fields=("forward", "backward"))
    store, done = store_video(tmp_path, coded, recipe)
    assert done.pairs == 61 - step == store.video("v").pairs
    assert done.frames == 61
    with VideoReader(coded) as reader:
        frames = [frame.rgb for frame in reader]
    assert np.array_equal(store.read_frames("v", range(61)), frames)
    grey = [to_grey(rgb) for rgb in frames]
    for field, sign in (("forward", 1), ("backward", -1)):
        stored = store.read_flow("v", 0, done.pairs, field)
        for i in range(done.pairs):
            two = [grey[i], grey[i + step]][::sign]
            alone = recipe.quantizer.quantize(DIS.compute(np.stack(two)))[0]
            assert np.array_equal(stored[i], alone)
        if step == 1:  # and that is the motion which was filmed
            middle = np.median(pixels(store, field)[:, 0, :, 12:-12], axis=(1, 2))
            assert np.abs(middle - sign * np.array(shifts)).max() < 0.25


@pytest.mark.parametrize("step", [1, 3])
def test_warped_flow_does_not_depend_on_the_chunks(
    tmp_path: Path, coded: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(**CHEAP, step=step, fields=("forward", "warped"))
    stored = []
    for batch in (7, 100):
        monkeypatch.setattr(FlowMaker, "batch", lambda self, height, width, n=batch: n)
        store, done = store_video(tmp_path / str(batch), coded, recipe)
        stored.append(store.read_flow("v", 0, done.pairs, "warped"))
    assert np.array_equal(*stored)


def test_tvl1_is_the_default_and_comes_from_the_engine(tmp_path: Path) -> None:
    path = video_files.write(tmp_path / "a.mkv", video_files.moving(5, 24, 32), codec="ffv1")
    recipe = Recipe(engine="reference", codec="raw")
    store, done = store_video(tmp_path, path, recipe)
    assert store.meta.algorithm == "tvl1"
    assert store.video("v").engine.startswith("reference (numpy ")
    flow = compute_flow(grey_frames(path), engine="reference")
    assert np.array_equal(store.read_flow("v", 0, done.pairs), recipe.quantizer.quantize(flow))


def test_a_source_that_fails_while_read_is_its_own_fault(
    tmp_path: Path, coded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(path: Path) -> dict[str, object]:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(extract, "file_identity", fail)
    with pytest.raises(VideoError, match="cannot open: Input/output error"):
        store_video(tmp_path, coded, Recipe(**CHEAP))


def test_a_long_step_holds_no_rgb_back(monkeypatch: pytest.MonkeyPatch) -> None:
    maker = FlowMaker(Recipe(**CHEAP, step=30))
    monkeypatch.setattr(maker, "batch", lambda height, width: 4)
    frames = video_files.moving(50, 16, 16)
    pictures = (extract.Picture(rgb, rgb[..., 0]) for rgb in frames)
    got = list(extract.computed(pictures, maker))
    assert max(len(chunk.rgb) for chunk in got) <= 5
    assert np.array_equal(np.concatenate([c.rgb for c in got if c.rgb]), frames)
    assert sum(len(chunk.flows["forward"]) for chunk in got if chunk.flows) == 20


def test_pairs_of_any_length_and_step() -> None:
    def compute(frames: np.ndarray) -> np.ndarray:
        return np.stack([frames[:-1], frames[1:]], axis=1)  # says which frames it was made of

    for step in range(1, 6):
        for length in range(step + 1, 14):
            frames = np.arange(length, dtype=np.uint8).reshape(-1, 1, 1)
            got = pairs_of(compute, frames, step)[:, :, 0, 0]
            assert got.tolist() == [[i, i + step] for i in range(length - step)]


def test_resized_resampled_and_without_frames(tmp_path: Path, coded: Path) -> None:
    recipe = Recipe(
        flow=DIS, frame_codec="none", resize=Resize(short_side=32), fps=12.5, codec="raw"
    )
    store, done = store_video(tmp_path, coded, recipe)
    meta = store.video("v")
    assert (meta.height, meta.width, meta.frames, meta.pairs) == (32, 43, 0, 30)
    assert meta.fps == 12.5
    assert meta.source["fps"] == 25
    assert meta.source["decoded"] == 61
    assert done.pairs == 30


def test_the_source_and_the_quality_are_on_record(tmp_path: Path, coded: Path) -> None:
    import hashlib

    store, _ = store_video(tmp_path, coded, Recipe(**CHEAP), name="folder/coded.mkv")
    meta = store.video("v")
    assert meta.source["name"] == "folder/coded.mkv"
    assert meta.source["bytes"] == coded.stat().st_size
    assert meta.source["sha256"] == hashlib.sha256(coded.read_bytes()).hexdigest()
    assert meta.engine.startswith("opencv (OpenCV ")
    codes = store.read_flow("v", 0, 60)
    flow = DIS.compute(grey_frames(coded))
    quantizer = store.meta.quantizer
    error = np.abs(flow - quantizer.dequantize(codes)).mean()
    assert meta.quality["values"] == codes.size
    assert meta.quality["zero_share"] == pytest.approx((codes == quantizer.zero).mean())
    assert meta.quality["clipped_share"] == pytest.approx((np.abs(flow) > 19.5).mean(), abs=1e-3)
    assert meta.quality["mean_abs_error_px"] == pytest.approx(error, rel=0.1)


def test_the_loss_of_quantiser_and_codec_is_on_record(tmp_path: Path, coded: Path) -> None:
    """Of pairs 0, 16, 32, 48: as a reader of the store would measure it against the flow."""
    recipe = Recipe(**{**CHEAP, "codec": "half:60"})
    store, done = store_video(tmp_path, coded, recipe)
    flow = DIS.compute(grey_frames(coded))[::16]
    read = store.meta.quantizer.dequantize(store.read_flow("v", 0, 60))[::16]
    loss = np.hypot(read[:, 0] - flow[:, 0], read[:, 1] - flow[:, 1])
    moves = np.hypot(flow[:, 0], flow[:, 1]) > 0.5
    quality = store.video("v").quality
    assert quality["decoded"] == loss.size
    assert quality["moving"] == moves.sum() > 0
    assert quality["loss_px"] == pytest.approx(loss.mean())
    assert quality["moving_loss_px"] == pytest.approx(loss[moves].mean())
    assert quality["loss_px"] > 2 * quality["mean_abs_error_px"]
    assert Quality.from_json(quality).shares() == pytest.approx(done.quality.shares())


def grey_frames(path: Path) -> np.ndarray:
    with VideoReader(path) as reader:
        return np.stack([to_grey(frame.rgb) for frame in reader])


def test_an_engine_that_quantises_is_asked_for_codes(
    tmp_path: Path, coded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, _ = store_video(tmp_path / "plain", coded, Recipe(**CHEAP))
    recipe = Recipe(**CHEAP)
    maker = FlowMaker(recipe)
    maker.makes_codes = True
    solved = []

    def codes(maker: FlowMaker, frames: np.ndarray, sample: np.ndarray | None = None) -> np.ndarray:
        flow = maker.flow(frames)
        solved.append(len(flow))
        if sample is not None:
            sample[:] = flow[0]
        return recipe.quantizer.quantize(flow)

    monkeypatch.setattr(FlowMaker, "codes", codes)
    monkeypatch.setattr(maker, "batch", lambda height, width: 25)
    store, _ = store_video(tmp_path / "codes", coded, recipe, maker=maker)
    assert np.array_equal(plain.read_flow("v", 0, 60), store.read_flow("v", 0, 60))
    first, second = plain.video("v").quality, store.video("v").quality
    assert first["zero_share"] == second["zero_share"]
    assert second["measured"] * 60 == first["measured"] * 3  # one pair of each batch
    assert solved == [25, 25, 10], "no pair twice"


@pytest.mark.parametrize(("count", "step"), [(1, 1), (3, 3), (2, 2)])
def test_too_few_frames_store_nothing(tmp_path: Path, count: int, step: int) -> None:
    path = video_files.write(tmp_path / "short.avi", video_files.moving(count))
    recipe = Recipe(**CHEAP, step=step)
    with pytest.raises(VideoError, match=f"fewer than {step + 1} frames: {count} decoded"):
        store_video(tmp_path, path, recipe)
    assert open_store(tmp_path / "store").videos() == []


def test_too_small(tmp_path: Path) -> None:
    path = video_files.write(tmp_path / "s.mkv", video_files.moving(3, 12, 40), codec="ffv1")
    with pytest.raises(VideoError, match="too small: 40x12"):
        store_video(tmp_path, path, Recipe(**CHEAP))
    large = Recipe(**CHEAP, resize=Resize(short_side=24))
    store, _ = store_video(tmp_path / "large", path, large)
    assert store.video("v").pairs == 2


def test_truncated_stores_nothing_or_what_there_is(tmp_path: Path) -> None:
    path = video_files.write(tmp_path / "a.avi", video_files.moving(40), codec="mjpeg",
                             pixels="yuvj420p")  # fmt: skip
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(VideoError, match="truncated at frame"):
        store_video(tmp_path, path, Recipe(**CHEAP))
    assert open_store(tmp_path / "store").videos() == []
    store, done = store_video(tmp_path, path, Recipe(**CHEAP), tolerant=True)
    assert 5 < done.pairs < 35
    assert done.faults[0].kind == "truncated"
    assert store.video("v").source["faults"] == [str(fault) for fault in done.faults]


def test_a_decoder_that_hangs_is_left_behind(
    tmp_path: Path, coded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    pictures = extract.Source.pictures

    def stuck(self: extract.Source) -> Iterator[Picture]:
        for i, picture in enumerate(pictures(self)):
            if i == 10:
                release.wait(30)
            yield picture

    monkeypatch.setattr(extract.Source, "pictures", stuck)
    with pytest.raises(VideoError, match=r"stalled at frame 11: no new frame for 0\.3 s"):
        store_video(tmp_path, coded, Recipe(**CHEAP), patience=0.3)
    release.set()
    assert open_store(tmp_path / "store").videos() == []


def test_progress_adds_up(tmp_path: Path, coded: Path) -> None:
    steps: list[int] = []
    store_video(tmp_path, coded, Recipe(**CHEAP), progress=steps.append)
    assert sum(steps) == 60


def test_a_failing_write_leaves_no_thread(tmp_path: Path, coded: Path) -> None:
    recipe = Recipe(**CHEAP)
    store, _ = store_video(tmp_path, coded, recipe)
    with pytest.raises(UserError, match="already"):
        extract_video(coded, "v", store, recipe)
    before = threading.active_count()

    def stop(pairs: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_video(coded, "w", store, recipe, progress=stop)
    assert threading.active_count() == before
    assert store.videos() == ["v"]


@pytest.mark.parametrize("wrong", [{"fields": ()}, {"threads": 0}, {"fields": ("sideways",)}])
def test_mistakes(wrong: dict[str, object]) -> None:
    with pytest.raises(UserError):
        Recipe(**wrong).config()


def test_the_config_tells_recipes_apart() -> None:
    configs = [
        Recipe().config(),
        Recipe(flow=DIS).config(),
        Recipe(flow=algorithm("farneback")).config(),
        Recipe(step=2).config(),
        Recipe(resize=Resize(short_side=256)).config(),
        Recipe(fps=10).config(),
        Recipe(frame_codec="none").config(),
    ]
    assert all(a.differences(b) for i, a in enumerate(configs) for b in configs[:i])
    same = Recipe(engine="reference", threads=2)
    assert not same.config().differences(Recipe().config())
