"""What is exported is what the store holds, in the other tool's convention; and back again."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from foreign_tools import H, W, codes, files_of, frames, put
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from storage import Quantizer, StoreConfig, UserError, open_store
from storage.convert.export_flow import Arrays, RawFrames
from storage.convert.export_pictures import Pictures, other_tools_quantizer, place_of
from storage.convert.export_shards import Shards, key_of
from storage.convert.frame_rates import write_rates
from storage.convert.import_options import ImportOptions
from storage.convert.import_plan import plan_import
from storage.convert.importer import import_flow
from storage.store.store import Store

ROUND = Quantizer("round", 20)


def filled(
    path: Path, flow: NDArray[np.uint8], rgb: NDArray[np.uint8] | None = None, **config: Any
) -> Store:
    frame_codec = "none" if rgb is None else "lossless"
    settings = {"codec": "lossless", "quantizer": ROUND, "frame_codec": frame_codec, **config}
    store = open_store(path, "w", StoreConfig(**settings))
    for video in ("a.b", "c/d"):
        with store.write(video) as writer:
            for name in store.meta.fields:
                writer.flow(flow, name)
            for picture in rgb if rgb is not None else []:
                writer.frame(picture)
            writer.finish(fps=store.meta.fps or 25)
    return store


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("base", [0, 1])
def test_imported_files_come_out_byte_for_byte(base: int, tmp_path: Path) -> None:
    for video in ("c/v_1", "c/v.2"):
        put(tmp_path / "in" / video, files_of(codes(11), frames(12), base=base))
    plan = plan_import([tmp_path / "in"], ImportOptions(bound=20))
    assert not import_flow(plan, tmp_path / "store").failed
    store = open_store(tmp_path / "store")
    pictures = Pictures(other_tools_quantizer(store.meta))
    RawFrames(base).export(store, store.videos(), tmp_path / "out", pictures)
    assert tree(tmp_path / "out") == tree(tmp_path / "in")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    pairs=st.integers(1, 5),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    step=st.integers(1, 3),
    rule=st.sampled_from(["round", "truncate", "centred"]),
    backward=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_store_survives_the_way_out_and_back(
    pairs: int,
    height: int,
    width: int,
    step: int,
    rule: str,
    backward: bool,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("round")
    rng = np.random.default_rng(seed)
    flow = rng.integers(0, 256, (pairs, 2, height, width), np.uint8)
    rgb = rng.integers(0, 256, (pairs + step, height, width, 3), np.uint8)
    fields = ("forward", "backward") if backward else ("forward",)
    store = filled(
        folder / "store", flow, rgb, quantizer=Quantizer(rule, 9), step=step, fields=fields
    )
    pictures = Pictures(store.meta.quantizer, "png")
    done = RawFrames(0).export(store, store.videos(), folder / "out", pictures)
    assert not done.failed
    options = ImportOptions(bound=9, rule=rule, codec="lossless", frame_codec="lossless")
    plan = plan_import([folder / "out"], options)
    assert not import_flow(plan, folder / "back").failed
    back = open_store(folder / "back")
    assert back.videos() == store.videos()
    assert (back.meta.step, back.meta.fields) == (step, fields)
    for video in back.videos():
        for name in fields:
            assert np.array_equal(back.read_flow(video, 0, pairs, name), flow)
        assert np.array_equal(back.read_frames(video, range(pairs + step)), rgb)
        assert back.video(video).pairs == pairs


def test_the_frame_rates_come_back(tmp_path: Path) -> None:
    """Pictures do not say them; a rate that is asked for counts more."""
    flow = np.full((3, 2, 16, 16), 128, np.uint8)
    store = filled(tmp_path / "store", flow, fps=29.97)
    video = store.videos()[0]
    RawFrames(1).export(store, [video], tmp_path / "out", Pictures(ROUND, "png"))
    write_rates(store, [video], tmp_path / "out")
    write_rates(store, [], tmp_path / "out")  # a later export of others keeps it
    for asked, rate in ((None, 29.97), (12.5, 12.5)):
        plan = plan_import([tmp_path / "out"], ImportOptions(fps=asked, images="none"))
        assert not import_flow(plan, tmp_path / f"back{rate}").failed
        back = open_store(tmp_path / f"back{rate}")
        assert [back.video(name).fps for name in back.videos()] == [rate]
    (tmp_path / "out/frame_rates.csv").write_text("video,fps\na,fast\n")
    with pytest.raises(UserError, match="line 2, is not"):
        plan_import([tmp_path / "out"], ImportOptions())


def test_companded_codes_become_rounded_ones(tmp_path: Path) -> None:
    """The change adds no more than half a step of the new rule to what the code meant."""
    flow = np.arange(256, dtype=np.uint8).repeat(4).reshape(1, 2, 16, 32)
    own = Quantizer("companded", 20)
    store = filled(tmp_path / "store", flow, quantizer=own)
    target = other_tools_quantizer(store.meta)
    assert target == ROUND
    RawFrames(1).export(store, ["a.b"], tmp_path / "out", Pictures(target, "png"))
    for axis, plane in zip("xy", flow[0], strict=True):
        file = tmp_path / "out" / "a.b" / f"flow_{axis}_00001.png"
        read = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
        meant = np.clip(own.dequantize(plane), -20, 20)  # code 0 lies beyond the bound
        assert np.abs(ROUND.dequantize(read) - meant).max() <= 20 / 255 + 1e-5


def test_arrays_are_as_i3d_takes_them(tmp_path: Path) -> None:
    flow, rgb = codes(20), frames(21)
    store = filled(tmp_path / "store", flow, rgb, quantizer=Quantizer("round", 32))
    Arrays(20.0, frames=True).export(store, store.videos(), tmp_path / "out")
    array = np.load(tmp_path / "out" / "c" / "d_flow.npy")
    assert array.shape == (20, H, W, 2)
    assert array.dtype == np.float32
    pixels = Quantizer("round", 32).dequantize(flow).transpose(0, 2, 3, 1)
    assert np.allclose(array, np.clip(pixels, -20, 20) / 20)
    assert np.abs(array).max() == 1  # the store's bound of 32 px goes beyond I3D's
    pictures = np.load(tmp_path / "out" / "c" / "d_rgb.npy")
    assert np.allclose((pictures + 1) * 127.5, rgb, atol=1e-4)


def test_arrays_come_back_through_an_import(tmp_path: Path) -> None:
    flow = codes(6)
    store = filled(tmp_path / "store", flow)
    Arrays(20.0).export(store, store.videos(), tmp_path / "out")
    options = ImportOptions(bound=20, rule="round", values="unit", codec="lossless")
    import_flow(plan_import([tmp_path / "out"], options), tmp_path / "back")
    back = open_store(tmp_path / "back")
    assert back.videos() == ["a.b", "c/d"]
    assert np.array_equal(back.read_flow("a.b", 0, 6), flow)


def test_shards_are_tars_of_one_key_a_video(tmp_path: Path) -> None:
    flow, rgb = codes(3), frames(4)
    store = filled(tmp_path / "store", flow, rgb)
    pictures = Pictures(ROUND, "png")
    shards = Shards(videos_each=1)
    shards.export(store, store.videos(), tmp_path / "out", pictures, {"c/d": 7})
    shards.export(store, store.videos(), tmp_path / "again", pictures, {"c/d": 7})
    assert tree(tmp_path / "out") == tree(tmp_path / "again")
    with tarfile.open(tmp_path / "out" / "shard-000001.tar") as tar:
        names = tar.getnames()
        assert names[0] == "c/d.cls"
        assert names[-1] == "c/d.json"
        assert {name.split(".")[0] for name in names} == {"c/d"}
        data = {name: tar.extractfile(name).read() for name in names}  # type: ignore[union-attr]
    assert data["c/d.cls"] == b"7"
    said = json.loads(data["c/d.json"])
    assert (said["video"], said["pairs"], said["frames"], said["label"]) == ("c/d", 3, 4, 7)
    x = cv2.imdecode(np.frombuffer(data["c/d.flow_x_00002.png"], np.uint8), cv2.IMREAD_GRAYSCALE)
    assert np.array_equal(x, flow[2, 0])
    with tarfile.open(tmp_path / "out" / "shard-000000.tar") as tar:
        assert {name.split(".")[0] for name in tar.getnames()} == {"a%2Eb"}


def test_keys_stay_different() -> None:
    videos = ["a.b", "a%2Eb", "a_b", "a%b"]
    assert len({key_of(video) for video in videos}) == len(videos)


def test_a_second_export_goes_on_and_refuses_another(tmp_path: Path) -> None:
    store = filled(tmp_path / "store", codes(3))
    pictures = Pictures(ROUND, "png")
    first = RawFrames(0).export(store, ["a.b"], tmp_path / "raw", pictures)
    second = RawFrames(0).export(store, store.videos(), tmp_path / "raw", pictures)
    assert (first.done, second.done, second.there) == (["a.b"], ["c/d"], ["a.b"])
    Shards(1).export(store, store.videos(), tmp_path / "tar", pictures)
    again = Shards(1).export(store, store.videos(), tmp_path / "tar", pictures)
    assert again.there == store.videos()
    with pytest.raises(UserError, match="other videos or options"):
        Shards(2).export(store, store.videos(), tmp_path / "tar", pictures)


def test_an_id_that_is_no_path_is_listed(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store", "w", StoreConfig(ROUND, codec="raw", frame_codec="none"))
    for video in ("../out of it", "/etc/x", "fine", "n" * 300):
        with store.write(video) as writer:
            writer.flow(codes(2))
            writer.finish(fps=25)
    for result in (
        RawFrames(0).export(store, store.videos(), tmp_path / "out", Pictures(ROUND)),
        Arrays().export(store, store.videos(), tmp_path / "npy"),
        Shards().export(store, store.videos(), tmp_path / "tar", Pictures(ROUND)),
    ):
        assert result.done == ["fine"]
        assert sorted(result.failed) == sorted(["../out of it", "/etc/x", "n" * 300])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["npy", "out", "store", "tar"]


def test_a_damaged_video_leaves_nothing_half_written(tmp_path: Path) -> None:
    store = filled(tmp_path / "store", codes(3))
    with store.write("bad") as writer:
        writer.flow(codes(3))
        writer.encoded("forward", b"no zstd", H, W)
        writer.finish(fps=25)
    result = RawFrames(0).export(store, store.videos(), tmp_path / "out", Pictures(ROUND, "png"))
    assert list(result.failed) == ["bad"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.b", "c"]
    shards = Shards().export(store, store.videos(), tmp_path / "tar", Pictures(ROUND, "png"))
    assert list(shards.failed) == ["bad"]
    again = Shards().export(store, store.videos(), tmp_path / "tar", Pictures(ROUND, "png"))
    assert (list(again.failed), again.there) == (["bad"], ["a.b", "c/d"])
    assert "delete that" in again.failed["bad"]
    (tmp_path / "tar" / "shard-000000.tar").write_bytes(b"no tar" * 500)
    with pytest.raises(UserError, match="delete it to write it anew"):
        Shards().export(store, store.videos(), tmp_path / "tar", Pictures(ROUND, "png"))


@pytest.mark.parametrize("kind", ["gif", "jpeg", "jpeg:0", "jpeg:101", "png:3", "jpeg:²"])
def test_unknown_pictures_are_refused(kind: str) -> None:
    with pytest.raises(UserError, match="auto, png or jpeg:95"):
        Pictures(ROUND, kind)


def test_a_place_stays_under_the_folder(tmp_path: Path) -> None:
    assert place_of(tmp_path, "a/b.c") == tmp_path / "a" / "b.c"
    for video in ("a//b", "./a", "a/", "a/./b"):  # a/b's place, or a's
        with pytest.raises(UserError, match="cannot be a folder"):
            place_of(tmp_path, video)
