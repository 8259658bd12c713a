"""Every layout gives the codes that its files hold, in the right order and beside its frames."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import pytest
from foreign_tools import H, W, codes, encode, files_of, flo_file, frames, put, put_zip
from numpy.typing import NDArray

from storage import Quantizer, UserError, open_store
from storage.convert.flow_files import read_flo
from storage.convert.import_options import ImportOptions
from storage.convert.import_plan import Plan, plan_import
from storage.convert.importer import ImportResult, import_flow
from storage.store.store import Store

GREY = cv2.IMREAD_GRAYSCALE


def take(source: Path, out: Path, **options: Any) -> tuple[Plan, ImportResult, Store]:
    plan = plan_import([source], ImportOptions(**options))
    return plan, import_flow(plan, out), open_store(out)


def decoded(data: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), GREY), np.uint8)


NAMED = ("flow_x_{:05d}.jpg", "flow_y_{:05d}.jpg", "img_{:05d}.jpg")
LAYOUTS = {
    "denseflow": (0, NAMED),
    "mmaction2": (1, NAMED),
    "png": (1, ("flow_x_{:05d}.png", "flow_y_{:05d}.png", "img_{:05d}.png")),
    "flow_extraction": (1, ("x_{:05d}.jpg", "y_{:05d}.jpg", "img_{:05d}.jpg")),
    "uv names": (1, ("u_{:05d}.jpg", "v_{:05d}.jpg", "img_{:05d}.jpg")),
    "step 1 written": (0, ("flow_x_p1_{:05d}.jpg", "flow_y_p1_{:05d}.jpg", "img_{:05d}.jpg")),
    "folders inside": (1, ("u/{:05d}.jpg", "v/{:05d}.jpg", "rgb/{:05d}.jpg")),
    "pytorch-i3d": (1, ("n-{:06d}x.jpg", "n-{:06d}y.jpg", "n-{:06d}.jpg")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_layout_is_read_whole(layout: str, zipped: bool, tmp_path: Path) -> None:
    base, names = LAYOUTS[layout]
    flow, rgb = codes(11), frames(12)
    files = files_of(flow, rgb, base=base, names=names)
    for video in ("one", "sub/two.with.dots"):
        if zipped:
            put_zip(tmp_path / "in" / f"{video}.zip", files)
        else:
            put(tmp_path / "in" / video, files)
    plan, result, store = take(tmp_path / "in", tmp_path / "store", bound=20)
    assert not result.failed
    assert store.videos() == ["one", "sub/two.with.dots"]
    assert (plan.reading.flow_base, plan.reading.image_base) == (base, base)
    for video in store.videos():
        read = store.read_flow(video, 0, 11)
        for number, pair in enumerate(read, base):
            for plane, name in zip(pair, names[:2], strict=True):
                assert np.array_equal(plane, decoded(files[name.format(number)]))
        for number, picture in enumerate(store.read_frames(video, range(12)), base):
            data = np.frombuffer(files[names[2].format(number)], np.uint8)
            assert np.array_equal(picture, cv2.imdecode(data, cv2.IMREAD_COLOR_RGB))


def test_gpu_flow_lies_in_three_trees(tmp_path: Path) -> None:
    flow, rgb = codes(4), frames(5)
    names = (
        "tvl1_flow/u/c/v_1/frame{:06d}.jpg",
        "tvl1_flow/v/c/v_1/frame{:06d}.jpg",
        "jpegs_256/c/v_1/frame{:06d}.jpg",
    )
    put(tmp_path / "in", files_of(flow, rgb, base=1, names=names))
    _, result, store = take(tmp_path / "in", tmp_path / "store", bound=20)
    assert not result.failed
    assert store.videos() == ["c/v_1"]
    assert (store.video("c/v_1").pairs, store.video("c/v_1").frames) == (4, 5)


def test_dense_flow_zips_of_one_component_each(tmp_path: Path) -> None:
    files = files_of(
        codes(4), frames(4), base=0, names=("x_{:05d}.jpg", "y_{:05d}.jpg", "img_{:05d}.jpg")
    )
    for start, name in (("x_", "flow_x"), ("y_", "flow_y"), ("img_", "img")):
        some = {n: d for n, d in files.items() if n.startswith(start)}
        put_zip(tmp_path / "in" / "v_1" / f"{name}.zip", some)
    plan, result, store = take(tmp_path / "in", tmp_path / "store", bound=15)
    assert not result.failed
    # dense_flow writes each pair's second frame: the first pair has no first frame
    assert plan.reading.images == "second"
    meta = store.video("v_1")
    assert (meta.pairs, meta.frames) == (3, 4)
    assert np.array_equal(store.read_flow("v_1", 0, 1)[0, 0], decoded(files["x_00001.jpg"]))


def test_a_step_in_the_names_and_backward_flow(tmp_path: Path) -> None:
    forward, backward, rgb = codes(4), codes(4, seed=1), frames(6)
    files = files_of(
        forward, rgb, base=0, names=("flow_x_p2_{:05d}.png", "flow_y_p2_{:05d}.png", NAMED[2])
    )
    names = ("flow_x_m2_{:05d}.png", "flow_y_m2_{:05d}.png", NAMED[2])
    files |= files_of(backward, None, base=2, names=names)
    put(tmp_path / "in" / "v", files)
    _, result, store = take(tmp_path / "in", tmp_path / "store", bound=20)
    assert not result.failed
    assert store.meta.step == 2
    assert np.array_equal(store.read_flow("v", 0, 4), forward)
    assert np.array_equal(store.read_flow("v", 0, 4, "backward"), backward)


def test_two_steps_must_be_chosen_from(tmp_path: Path) -> None:
    put(tmp_path / "in" / "v", files_of(codes(4), frames(5), base=0))
    names = ("flow_x_p3_{:05d}.jpg", "flow_y_p3_{:05d}.jpg", NAMED[2])
    put(tmp_path / "in" / "v", files_of(codes(2), None, base=0, names=names))
    with pytest.raises(UserError, match=r"steps 1, 3 .*--step"):
        plan_import([tmp_path / "in"])
    _, result, store = take(tmp_path / "in", tmp_path / "store", bound=20, step=3)
    assert not result.failed
    assert (store.meta.step, store.video("v").pairs) == (3, 2)


FLOW = np.random.default_rng(0).normal(0, 3, (5, 2, H, W)).astype(np.float32)


def put_flo(folder: Path) -> None:
    put(folder / "v", {f"{n:05d}.flo": flo_file(f) for n, f in enumerate(FLOW)})


def put_hdf5(folder: Path) -> None:
    folder.mkdir(parents=True)
    with h5py.File(folder / "v.h5", "w") as file:
        for number, (x, y) in enumerate(FLOW):
            file[f"flow_x_{number:05d}"], file[f"flow_y_{number:05d}"] = x, y


def put_array(folder: Path, array: NDArray[Any]) -> None:
    folder.mkdir(parents=True)
    np.save(folder / "v.npy", array)


FLOATS = {
    "flo": put_flo,
    "hdf5": put_hdf5,
    "npy last": lambda folder: put_array(folder, FLOW.transpose(0, 2, 3, 1)),
    "npy batch": lambda folder: put_array(folder, FLOW.transpose(0, 2, 3, 1)[None]),
    "npy first": lambda folder: put_array(folder, FLOW.astype(np.float64)),
    "npy unit": lambda folder: put_array(folder, np.clip(FLOW.transpose(0, 2, 3, 1) / 20, -1, 1)),
}


@pytest.mark.parametrize("form", FLOATS)
def test_floats_are_quantised_once(form: str, tmp_path: Path) -> None:
    FLOATS[form](tmp_path / "in")
    plan, result, store = take(tmp_path / "in", tmp_path / "store", codec="lossless")
    assert not result.failed
    assert store.meta.frame_codec == "none"
    quantizer = Quantizer("companded", 20)
    assert store.meta.quantizer == quantizer
    read = store.read_flow("v", 0, 5)
    if form == "npy unit":  # dividing and multiplying may move a value over an edge
        assert np.abs(read.astype(int) - quantizer.quantize(FLOW)).max() <= 1
        assert any("VALUES" in note for note in plan.notes)
    else:
        assert np.array_equal(read, quantizer.quantize(FLOW))


@pytest.mark.parametrize("last", [True, False])
def test_coded_arrays_are_taken_as_they_are(last: bool, tmp_path: Path) -> None:
    flow = codes(5)
    put_array(tmp_path / "in", flow.transpose(0, 2, 3, 1) if last else flow)
    _, result, store = take(tmp_path / "in", tmp_path / "store", bound=20)
    assert not result.failed
    assert store.meta.codec == "lossless"
    assert np.array_equal(store.read_flow("v", 0, 5), flow)


def test_the_colour_png_of_denseflow(tmp_path: Path) -> None:
    """Encoded as that tool documents it: every image has a bound for x and one for y."""
    flow = np.random.default_rng(3).uniform(-9, 9, (3, 2, H, W)).astype(np.float32)
    for number, (x, y) in enumerate(flow):
        red = np.full((H, W), 3, np.uint8)  # x: 4 * 3 px
        red[H // 2 + 1 :] = 5
        green, blue = (
            np.clip(np.rint(128 + 128 * v / b), 0, 255).astype(np.uint8)
            for v, b in ((y, 20), (x, 12))
        )
        put(tmp_path / "in/v", {f"flow_{number:05d}.png": encode(np.dstack([red, green, blue]))})
        data = cv2.imencode(".png", np.dstack([blue, green, red]))[1]
        (tmp_path / f"in/v/flow_{number:05d}.png").write_bytes(bytes(data))
    _, result, store = take(tmp_path / "in", tmp_path / "store", rule="round", codec="lossless")
    assert not result.failed
    read = store.meta.quantizer.dequantize(store.read_flow("v", 0, 3))
    half_steps = 0.5 * np.array([12, 20]).reshape(2, 1, 1) / 128 + 0.5 * 40 / 255
    assert (np.abs(read - flow) <= half_steps + 1e-4).all()


def test_flo_files_of_middlebury(shared_data: Path) -> None:
    path = shared_data / "flow_truth" / "RubberWhale" / "flow10.flo"
    with pytest.raises(UserError, match="unknown flow"):
        read_flo(path.read_bytes(), path.name)
    flow = np.nan_to_num(FLOW[0])
    assert np.array_equal(read_flo(flo_file(flow)), flow)


@pytest.mark.parametrize("rule", ["round", "truncate"])
def test_the_rule_is_recognised_from_what_lies_beside_rest(rule: str, tmp_path: Path) -> None:
    """Still cameras with some noise, each drifting its own way."""
    rng = np.random.default_rng(5)
    for video in range(16):
        drift = rng.normal(0, 0.03, (1, 2, 1, 1))
        flow = rng.normal(drift, 0.05, (3, 2, H, W)).astype(np.float32)
        files = files_of(Quantizer(rule, 20).quantize(flow), frames(4))
        put(tmp_path / "in" / f"{video:02d}", files)
    plan = plan_import([tmp_path / "in"])
    assert plan.config.quantizer == Quantizer(rule, 20)
    assert any("beside rest" in note for note in plan.notes)
    assert any("ASSUMED" in note for note in plan.notes)
    stated = plan_import([tmp_path / "in"], ImportOptions(bound=15, rule="truncate"))
    assert not any("ASSUMED" in note for note in stated.notes)
    assert any("CHECK --rule" in note for note in stated.notes) == (rule == "round")


@pytest.mark.parametrize(
    ("names", "rule"), [(NAMED, "round"), (("x_{:05d}.jpg", "y_{:05d}.jpg", NAMED[2]), "truncate")]
)
def test_few_videos_get_the_rule_of_their_tool(
    names: tuple[str, str, str], rule: str, tmp_path: Path
) -> None:
    put(tmp_path / "in" / "v", files_of(codes(11, rest=127), frames(12), names=names))
    plan = plan_import([tmp_path / "in"])
    assert plan.config.quantizer.rule == rule
    assert any("do not tell" in note for note in plan.notes)


def test_pictures_stretched_to_their_extremes_are_reported(tmp_path: Path) -> None:
    ramp = np.linspace(0, 255, H * W).astype(np.uint8).reshape(H, W)
    flow = np.stack([np.stack([ramp, ramp[::-1]])] * 4)
    names = ("flow_x_{:05d}.png", "flow_y_{:05d}.png", NAMED[2])
    put(tmp_path / "in" / "v", files_of(flow, None, names=names))
    notes = plan_import([tmp_path / "in"], ImportOptions(rule="round", bound=20)).notes
    assert any("stretched" in note for note in notes)


def test_flow_from_0_and_images_from_1(tmp_path: Path) -> None:
    """What people have who took frames with one tool and flow with another."""
    put(tmp_path / "in" / "v", files_of(codes(4), None, base=0))
    pictures = files_of(codes(0), frames(5), base=1)
    put(tmp_path / "in" / "v", pictures)
    plan, result, store = take(tmp_path / "in", tmp_path / "store", bound=20)
    assert not result.failed
    assert any("two tools" in note for note in plan.notes)
    first = cv2.imdecode(np.frombuffer(pictures["img_00001.jpg"], np.uint8), cv2.IMREAD_COLOR_RGB)
    assert np.array_equal(store.read_frames("v", [0])[0], first)


def test_a_second_run_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    put(tmp_path / "in" / "one", files_of(codes(4), frames(5)))
    _, first, _ = take(tmp_path / "in", tmp_path / "store", bound=20)
    put(tmp_path / "in" / "two", files_of(codes(4), frames(5)))
    _, second, store = take(tmp_path / "in", tmp_path / "store", bound=20)
    assert (first.done, second.done, second.there) == (["one"], ["two"], ["one"])
    assert len(store) == 2
    with pytest.raises(UserError, match="bound"):
        take(tmp_path / "in", tmp_path / "store", bound=15)
