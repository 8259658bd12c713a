"""Zips and HDF5 files of strangers bring in nothing from outside, and grow within bounds."""

from __future__ import annotations

import zipfile
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest
from foreign_tools import codes, encode, files_of, frames, put, put_zip

from storage import UserError
from storage.convert.foreign_files import MAX_FILE, Archive
from storage.convert.import_options import ImportOptions
from storage.convert.import_plan import plan_import
from storage.convert.importer import import_flow


@pytest.mark.parametrize("name", ["../../etc/x_00001.jpg", "/abs/x_00001.jpg", "..\\x_00001.jpg"])
def test_a_zip_that_leads_out_is_refused(name: str, tmp_path: Path) -> None:
    files = files_of(codes(5), frames(6))
    put(tmp_path / "in" / "good", files)
    put_zip(tmp_path / "in" / "bad.zip", files | {name: encode(codes(1)[0, 0])})
    result = import_flow(
        plan_import([tmp_path / "in"], ImportOptions(bound=20)), tmp_path / "store"
    )
    assert "leads out of the archive" in result.failed["bad"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "store"]


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
        packed.open("flow_x_00001.jpg", "w", force_zip64=True) as member,
    ):
        for _ in range(MAX_FILE // (1 << 20) + 1):
            member.write(bytes(1 << 20))
    with closing(Archive(path)) as archive, pytest.raises(UserError, match="unpacks to more"):
        archive.read("flow_x_00001.jpg")


def test_a_damaged_zip_is_named(tmp_path: Path) -> None:
    files = files_of(codes(5), frames(6))
    put(tmp_path / "in" / "good", files)
    put_zip(tmp_path / "in" / "cut.zip", files)
    whole = (tmp_path / "in" / "cut.zip").read_bytes()
    (tmp_path / "in" / "cut.zip").write_bytes(whole[: len(whole) // 2])
    flipped = bytearray(whole)
    flipped[200] ^= 0xFF
    (tmp_path / "in" / "flipped.zip").write_bytes(flipped)
    result = import_flow(
        plan_import([tmp_path / "in"], ImportOptions(bound=20)), tmp_path / "store"
    )
    assert sorted(result.failed) == ["cut", "flipped"]
    assert "no readable zip" in result.failed["cut"]
    assert result.done == ["good"]


def test_a_damaged_hdf5_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("good", "shape", "cut"):
        with h5py.File(tmp_path / "in" / f"{name}.h5", "w") as file:
            for number in range(3):
                for axis in "xy":
                    shape = (8, 8, 2) if (name, number) == ("shape", 1) else (8, 8)
                    file[f"flow_{axis}_{number:05d}"] = np.zeros(shape, np.float32)
    whole = (tmp_path / "in" / "cut.h5").read_bytes()
    (tmp_path / "in" / "cut.h5").write_bytes(whole[: len(whole) // 2])
    result = import_flow(
        plan_import([tmp_path / "in"], ImportOptions(bound=20)), tmp_path / "store"
    )
    assert (result.done, sorted(result.failed)) == (["good"], ["cut", "shape"])
    assert "its shape is (8, 8, 2)" in result.failed["shape"]
    assert "cut.h5" in result.failed["cut"]


def test_an_hdf5_brings_no_bytes_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_bytes(bytes(8 * 8 * 4))
    with h5py.File(tmp_path / "elsewhere.h5", "w") as file:
        file["deep/x"] = np.zeros((8, 8), np.float32)
    for name in ("good", "external", "virtual", "soft", "away"):
        with h5py.File(tmp_path / "in" / f"{name}.h5", "w") as file:
            for axis in "xy":
                for number in range(3):
                    file[f"flow_{axis}_{number:05d}"] = np.zeros((8, 8), np.float32)
            del file["flow_x_00001"]
            if name == "good":
                file["flow_x_00001"] = np.zeros((8, 8), np.float32)
            if name == "external":
                outside = [(str(tmp_path / "secret"), 0, 256)]
                file.create_dataset("flow_x_00001", (8, 8), "f4", external=outside)
            if name == "virtual":
                layout = h5py.VirtualLayout((8, 8), "f4")
                layout[:] = h5py.VirtualSource(str(tmp_path / "elsewhere.h5"), "deep/x", (8, 8))
                file.create_virtual_dataset("flow_x_00001", layout)
            if name in ("soft", "away"):
                file["group/away"] = h5py.ExternalLink(str(tmp_path / "elsewhere.h5"), "deep")
                file["flow_x_00001"] = (
                    h5py.SoftLink("/group/away/x")
                    if name == "soft"
                    else h5py.ExternalLink(str(tmp_path / "elsewhere.h5"), "deep/x")
                )
    plan = plan_import([tmp_path / "in"], ImportOptions(bound=20))
    result = import_flow(plan, tmp_path / "store")
    assert (result.done, sorted(result.failed)) == (
        ["good"],
        ["away", "external", "soft", "virtual"],
    )


def test_a_small_hdf5_does_not_grow_without_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A data set that is nothing but its shape, one in a huge chunk, one under many names."""
    monkeypatch.setattr("storage.convert.flow_files.MAX_BYTES", 1 << 20)
    monkeypatch.setattr("storage.convert.flow_files.LEAST_BUDGET", 2 << 20)
    (tmp_path / "in").mkdir()
    for name in ("good", "shape", "chunk", "names"):
        with h5py.File(tmp_path / "in" / f"{name}.h5", "w") as file:
            for axis in "xy":
                file[f"flow_{axis}_00000"] = np.zeros((8, 8), np.float32)
                if name == "shape":
                    file.create_dataset(f"flow_{axis}_00001", (30_000, 30_000), "f8")
                if name == "chunk":
                    file.create_dataset(
                        f"flow_{axis}_00001",
                        (8, 8),
                        "f4",
                        chunks=(1024, 1024),
                        maxshape=(None,) * 2,
                    )
                if name == "names":
                    del file[f"flow_{axis}_00000"]
                    many = file.create_dataset("many" + axis, (200, 200), "f4")
                    for number in range(400):
                        file[f"flow_{axis}_{number:05d}"] = many
    plan = plan_import([tmp_path / "in"], ImportOptions(bound=20))
    result = import_flow(plan, tmp_path / "store")
    assert (result.done, sorted(result.failed)) == (["good"], ["chunk", "names", "shape"])
    for reason in result.failed.values():
        assert "unpack to more" in reason
