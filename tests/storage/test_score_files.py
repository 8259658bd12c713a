from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from small_tables import same, table

from storage import UserError, read_scores, write_scores
from storage.scores.foreign import Foreign

ENDINGS = [".npz", ".csv", ".json", ".mat", ".h5"]


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)


@pytest.mark.parametrize("ending", ENDINGS)
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_every_format_keeps_everything(ending: str, tmp_path: Path, data: st.DataObject) -> None:
    # MATLAB cuts trailing blanks off text; the other formats keep any name.
    text = names.filter(lambda x: x == x.strip()) if ending == ".mat" else names
    n, c = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 4))
    drawn = table(
        videos=tuple(data.draw(st.lists(text, min_size=n, max_size=n, unique=True))),
        classes=tuple(data.draw(st.lists(text, min_size=c, max_size=c, unique=True))),
        labels=data.draw(arrays(np.int64, n, elements=st.integers(0, c - 1))),
        scores=data.draw(
            arrays(np.float32, (n, c), elements=st.floats(-(2.0**99), 2.0**99, width=32))
        ),
        groups=tuple(data.draw(st.lists(text, min_size=n, max_size=n))),
    )
    path = tmp_path / f"t{ending}"
    write_scores(drawn, path)
    same(read_scores(path), drawn)


@pytest.mark.parametrize("ending", ENDINGS)
def test_names_that_are_no_text_are_kept_or_refused(ending: str, tmp_path: Path) -> None:
    """Linux file names may hold any bytes; Python gives those that are no UTF-8 as surrogates."""
    odd = table(videos=("a\udcff", "b", "c"))
    path = tmp_path / f"t{ending}"
    if ending in (".mat", ".h5"):
        with pytest.raises(UserError, match=r"write .npz or .json"):
            write_scores(odd, path)
        assert list(tmp_path.iterdir()) == []
    else:
        write_scores(odd, path)
        same(read_scores(path), odd)


@pytest.mark.parametrize("ending", [".npz", ".json", ".mat", ".h5"])
def test_features_are_kept(ending: str, tmp_path: Path) -> None:
    features = np.arange(12, dtype=np.float32).reshape(3, 4)
    write_scores(table(features=features), tmp_path / f"t{ending}")
    read = read_scores(tmp_path / f"t{ending}")
    assert read.features is not None
    np.testing.assert_array_equal(read.features, features)


def foreign_npz(path: Path, **changes: Any) -> Path:
    np.savez(
        path,
        **{
            "videos": np.array(["a", "b", "c"]),
            "classes": np.array(["run", "walk"]),
            "labels": np.array([0, 1, 1], np.int32),
            "rgb": np.eye(3, 2),
            "flow": np.ones((3, 2)),
        }
        | changes,
    )
    return path


def test_one_npz_with_several_score_arrays(tmp_path: Path) -> None:
    path = foreign_npz(tmp_path / "all.npz")
    rgb = read_scores(f"{path}:rgb", Foreign(split=3, part="validation"))
    assert (rgb.stream, rgb.split, rgb.part) == ("rgb", 3, "validation")
    assert rgb.provenance == {"imported": "all.npz", "array": "rgb"}
    with pytest.raises(UserError, match=r"holds rgb, flow; say which .*all.npz:rgb"):
        read_scores(path)
    with pytest.raises(UserError, match="has no scores 'depth'; it has rgb, flow"):
        read_scores(f"{path}:depth")


def test_a_file_name_may_hold_a_colon(tmp_path: Path) -> None:
    table().save(tmp_path / "run:1.npz")
    assert read_scores(tmp_path / "run:1.npz").stream == "spatial"


class Bomb:
    def __reduce__(self) -> Any:
        return (print, ("pickle ran",))


def zipped(path: Path, **arrays_: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in arrays_.items():
            archive.writestr(f"{name}.npy", body)
    return path


def npy(shape: tuple[int, ...], body: bytes = b"", dtype: str = "<f4") -> bytes:
    file = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + body


def test_a_pickle_is_never_opened(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bomb = np.array([Bomb(), Bomb(), Bomb()], object)
    np.savez(tmp_path / "bomb.npz", allow_pickle=True, videos=bomb, header=np.array("{}"))
    for address in ("bomb.npz", "bomb.npz:scores", "bomb.npz:videos"):
        with pytest.raises(UserError):
            read_scores(tmp_path / address)
    foreign_npz(tmp_path / "names.npz", videos=bomb)
    with pytest.raises(UserError, match="pickled Python objects"):
        read_scores(f"{tmp_path / 'names.npz'}:rgb")
    assert "pickle ran" not in capsys.readouterr().out


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    size = 64 << 20
    path = zipped(tmp_path / "bomb.npz", scores=npy((size // 4,), bytes(size)))
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match=r"more than 0.0312 GiB.*--max-gib"):
        read_scores(f"{path}:scores", max_bytes=32 << 20)


def test_a_header_cannot_ask_for_memory_that_the_file_does_not_hold(tmp_path: Path) -> None:
    path = zipped(tmp_path / "liar.npz", scores=npy((1 << 40,)))
    with pytest.raises(UserError, match="holds only 128; it is damaged"):
        read_scores(f"{path}:scores")
    long_header = b"\x93NUMPY\x02\x00" + (1 << 25).to_bytes(4, "little") + bytes(1 << 25)
    path = zipped(tmp_path / "header.npz", scores=long_header)
    with pytest.raises(UserError):
        read_scores(f"{path}:scores")
    path = zipped(tmp_path / "negative.npz", scores=npy((-4, -4)))
    with pytest.raises(UserError):
        read_scores(f"{path}:scores")


@pytest.mark.parametrize("ending", [*ENDINGS, ".txt"])
@pytest.mark.parametrize("body", [b"", b"PK\x03\x04 no zip", b"\x89HDF\r\n\x1a\n", b"MATLAB 5.0"])
def test_a_damaged_file_is_an_error_that_names_it(ending: str, body: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"broken{ending}"
    path.write_bytes(body)
    with pytest.raises(UserError, match="broken"):
        read_scores(path)


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_cut_short_is_an_error(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"cut{ending}"
    write_scores(table(), path)
    body = path.read_bytes()
    path.write_bytes(body[: len(body) * 2 // 3])
    with pytest.raises(UserError):
        read_scores(path)


def test_json_with_nan_or_with_strange_fields_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    write_scores(table(), path)
    text = path.read_text()
    for old, new, message in [
        ("0.30000001192092896", "NaN", "holds NaN"),
        ('"run", "walk", "walk"', '"run", "walk", "swim"', "label 'swim'"),
        ('"split": 2', '"split": "two"', "split = 'two'"),
        ('"split": 2', '"colour": 2', "colour = 2"),
        ('"made": {', '"made": {"x": ' + "[" * 60 + "]" * 60 + ", ", "nested more than 40 deep"),
        ('"version": 1', '"version": 99', "newer than 2"),
        ('"videos": ["a"', '"videos": [7', "needs a name"),
    ]:
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(UserError, match=message):
            read_scores(path)


def test_a_csv_of_another_program(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text('video,label,run,"walk, slowly"\na,run,1,2\nb,"walk, slowly",0.5,1e-3\n')
    read = read_scores(path)
    assert (read.stream, read.classes[1], read.labels.tolist()) == ("mine", "walk, slowly", [0, 1])
    for body, message in [
        ("video,label,run\na,run\n", "2 cells, not 3"),
        ("video,label,run\na,walk,1\n", "labelled 'walk'"),
        ("video,label,run\na,run,much\n", "no number"),
        ("name,run\na,1\n", "columns must be"),
        ("video,label,run\n", "empty"),
    ]:
        path.write_text(body)
        with pytest.raises(UserError, match=message):
            read_scores(path)


def test_a_bare_mat_with_the_official_lists(tmp_path: Path) -> None:
    from scipy.io import savemat

    scores = np.arange(6, dtype=float).reshape(3, 2)
    savemat(tmp_path / "rgb.mat", {"fc": scores.T})
    with pytest.raises(UserError, match="--video-list"):
        read_scores(tmp_path / "rgb.mat")
    (tmp_path / "test.txt").write_bytes(b"Run/v_1.avi\r\nWalk/v_2.v.avi\r\nWalk/v_3.avi\r\n")
    (tmp_path / "ind.txt").write_text("1 Run\n2 Walk\n")
    told = Foreign(videos=tmp_path / "test.txt", classes=tmp_path / "ind.txt")
    read = read_scores(tmp_path / "rgb.mat", told)
    assert read.videos == ("Run/v_1", "Walk/v_2.v", "Walk/v_3")
    assert read.labels.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(read.scores, scores)
    (tmp_path / "train.txt").write_text("Run/v_1.avi 1\nWalk/v_2.avi 2\nRun/v_3.avi 2\n")
    read = read_scores(tmp_path / "rgb.mat", replace(told, videos=tmp_path / "train.txt"))
    assert read.labels.tolist() == [0, 1, 1]


def test_labels_of_other_tools_count_from_0_or_1(tmp_path: Path) -> None:
    for labels, expected in [([0, 1, 1], [0, 1, 1]), ([1, 2, 2], [0, 1, 1])]:
        path = foreign_npz(tmp_path / "l.npz", labels=np.array(labels))
        assert read_scores(f"{path}:rgb").labels.tolist() == expected
    path = foreign_npz(tmp_path / "l.npz", labels=np.array([1, 1, 1]))
    with pytest.raises(UserError, match="--label-base"):
        read_scores(f"{path}:rgb")
    assert read_scores(f"{path}:rgb", Foreign(label_base=1)).labels.tolist() == [0, 0, 0]


def test_matlab_7_3_and_plain_hdf5(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "new.mat", "w", userblock_size=512) as file:
        file["scores"] = np.arange(6.0).reshape(2, 3)  # as MATLAB keeps a 3 x 2 matrix
        file["scores"].attrs["MATLAB_class"] = np.bytes_("double")
        refs = []
        for i, name in enumerate(["a", "bé", "c"]):
            file[f"#refs#/{i}"] = np.array([[ord(x)] for x in name], np.uint16)
            refs.append(file[f"#refs#/{i}"].ref)
        file.create_dataset("videos", data=np.array([refs], h5py.ref_dtype))
        file["videos"].attrs["MATLAB_class"] = np.bytes_("cell")
        file["labels"] = np.array([[1.0, 2, 2]])
    (tmp_path / "classes.txt").write_text("run\nwalk\n")
    read = read_scores(tmp_path / "new.mat", Foreign(classes=tmp_path / "classes.txt"))
    assert read.videos == ("a", "bé", "c")
    assert read.labels.tolist() == [0, 1, 1]
    np.testing.assert_array_equal(read.scores, np.arange(6.0).reshape(2, 3).T)


def test_hdf5_does_not_follow_links_out_of_the_file(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.ones((3, 2))
    write_scores(table(), tmp_path / "t.h5")
    with h5py.File(tmp_path / "t.h5", "a") as file:
        del file["scores"]
        file["scores"] = h5py.ExternalLink("secret.h5", "x")
    with pytest.raises(UserError, match=r"holds no array"):
        read_scores(tmp_path / "t.h5")


def test_hdf5_brings_no_bytes_of_other_files(tmp_path: Path) -> None:
    """By whatever way: a soft link through an external one, external or virtual storage, a
    reference."""
    import h5py

    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["deep/x"] = np.ones((3, 2))
    (tmp_path / "secret.txt").write_text("root:x:0:0:" * 20)
    with h5py.File(tmp_path / "in.h5", "w") as file:
        file["group/away"] = h5py.ExternalLink("secret.h5", "deep")
        file["soft"] = h5py.SoftLink("/group/away/x")
        layout = h5py.VirtualLayout((3, 2), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "deep/x", (3, 2))
        file.create_virtual_dataset("virtual", layout)
        outside = [(str(tmp_path / "secret.txt"), 0, 48)]
        file.create_dataset("external", (3, 2), "f8", external=outside)
        file["plain/scores"] = np.ones((3, 2))
        file["hidden"] = h5py.SoftLink("/plain/scores")
    with pytest.raises(UserError, match=r"holds no array"):
        read_scores(tmp_path / "in.h5")
    with h5py.File(tmp_path / "names.mat", "w") as file:
        file["scores"] = np.arange(6.0).reshape(2, 3)
        file["scores"].attrs["MATLAB_class"] = np.bytes_("double")
        outside = [(str(tmp_path / "secret.txt"), 0, 6)]
        file.create_dataset("r/0", (1, 3), "u2", external=outside)
        refs = [file["r/0"].ref] * 3
        file.create_dataset("videos", data=np.array([refs], h5py.ref_dtype))
        file["videos"].attrs["MATLAB_class"] = np.bytes_("cell")
    with pytest.raises(UserError, match="lies in another file"):
        read_scores(tmp_path / "names.mat")


def test_declared_sizes_of_mat_and_hdf5_are_bounded(tmp_path: Path) -> None:
    import h5py
    from scipy.io import savemat

    savemat(tmp_path / "big.mat", {"scores": np.zeros((1000, 1000))}, do_compression=True)
    cell = np.empty((1, 1), object)
    cell[0, 0] = np.zeros((1000, 1000))
    savemat(tmp_path / "cell.mat", {"scores": np.zeros((1, 1)), "c": cell}, do_compression=True)
    with h5py.File(tmp_path / "big.h5", "w") as file:
        file.create_dataset("scores", (1 << 20, 1 << 20), "f4", chunks=(64, 64))
    with h5py.File(tmp_path / "text.h5", "w") as file:
        file["videos"] = ["x" * 20_000] * 100
    with h5py.File(tmp_path / "chunk.h5", "w") as file:
        file.create_dataset("scores", (2, 2), "f4", chunks=(4096, 4096), maxshape=(None, None))
    for name in ("big.mat", "cell.mat", "big.h5", "text.h5", "chunk.h5"):
        with pytest.raises(UserError, match="--max-gib"):
            read_scores(tmp_path / name, max_bytes=1 << 20)
