"""Features in and out, in the forms that other tools read: a .npy a video, or one HDF5 file.

A .npy holds (T, D) or (T, D, h, w) under the video's id as its path; VIDEO.moments.npy beside it
holds the frames. In an HDF5 file each video is a data set of that name, with the attribute
`moments`; the file's attribute `twostream` holds the manifest. A row (D,) is one step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from storage.atomic import replacing
from storage.errors import StoreError, UserError
from storage.features.config import Dtype, FeatureConfig
from storage.features.feature_store import FeatureStore, open_features

HDF5 = (".h5", ".hdf5")
MOMENTS = ".moments.npy"
MANIFEST = "twostream"


class ForeignFeatures(NamedTuple):
    """The features of one video, as another tool left them."""

    video: str
    rows: NDArray[Any]
    """(T, D) or (T, D, h, w)."""
    moments: NDArray[np.int32] | None


def export_npy(
    store: FeatureStore, out: Path, watch: Callable[[int], object] = lambda done: None
) -> list[str]:
    """Write a folder of .npy files; those that are there stay. Returns the videos written."""
    written = []
    for video in store.videos():
        path = out / f"{video}.npy"
        if not path.resolve().is_relative_to(out.resolve()):
            raise UserError(f"{video!r} would be written outside of {out}")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            save_whole(
                path.with_name(path.name.removesuffix(".npy") + MOMENTS), store.moments(video)
            )
            save_whole(path, store.read(video))
            written.append(video)
        watch(1)
    return written


def save_whole(path: Path, array: NDArray) -> None:
    with replacing(path) as draft, open(draft, "wb") as file:
        np.save(file, array)


def export_hdf5(
    store: FeatureStore, out: Path, watch: Callable[[int], object] = lambda done: None
) -> list[str]:
    """Write one HDF5 file, whole or not at all. Returns the videos written."""
    import h5py

    videos = store.videos()
    with replacing(out) as draft:
        try:
            with h5py.File(draft, "w") as file:
                file.attrs[MANIFEST] = json.dumps(store.meta.to_json())
                for video in videos:
                    data = file.create_dataset(video, data=store.read(video))
                    data.attrs["moments"] = store.moments(video)
                    watch(1)
        except ValueError as error:  # ids such as `a` and `a/b` cannot both be names there
            raise UserError(f"{out} cannot hold these videos: {error}; export to npy") from None
    return videos


def import_features(
    source: Path,
    out: Path,
    *,
    at: str = "",
    name: str = "",
    dtype: Dtype = "float16",
    watch: Callable[[int], object] = lambda done: None,
) -> tuple[list[str], list[str]]:
    """Take over features of another tool: the videos added, and those that were there before.

    `at` and `name` say what they are, where the file does not.
    """
    made: FeatureStore | None = None
    added, there = [], []
    for found in foreign_features(source):
        rows = checked_rows(found)
        if made is None:
            config = foreign_config(source, rows.shape[1:], at=at, name=name, dtype=dtype)
            made = open_features(out, "a", config)
        if found.video in made:
            there.append(found.video)
        else:
            moments = np.arange(len(rows)) if found.moments is None else found.moments
            with made.write(found.video) as writer:
                writer.add(rows)
                writer.finish(moments, source={"file": source.name})
            added.append(found.video)
        watch(1)
    if made is None:
        raise UserError(f"{source} holds no features: a folder of .npy files, or an HDF5 file")
    made.close()
    return added, there


def foreign_config(
    source: Path, shape: tuple[int, ...], *, at: str, name: str, dtype: Dtype
) -> FeatureConfig:
    """The manifest that an exported file brings along, or one out of what the user says."""
    if source.suffix in HDF5:
        import h5py

        with h5py.File(source, "r") as file, suppress(ValueError, TypeError, StoreError):
            return FeatureConfig.from_json(json.loads(file.attrs[MANIFEST]))
    if not name:
        raise UserError(
            f"{source} does not say what made it; give --name NETWORK, and --at if it is not pool"
        )
    return FeatureConfig(shape, at or "pool", {"kind": "foreign", "name": name}, dtype=dtype)


def foreign_features(source: Path) -> Iterator[ForeignFeatures]:
    """The videos of a folder of .npy files or of an HDF5 file, in the order of their names."""
    if source.suffix in HDF5:
        yield from of_hdf5(source)
        return
    if not source.is_dir():
        raise UserError(f"{source} is no folder of .npy files and no {' or '.join(HDF5)} file")
    for path in sorted(source.rglob("*.npy")):
        if path.name.endswith(MOMENTS):
            continue
        video = path.relative_to(source).with_suffix("").as_posix()
        beside = path.with_name(path.stem + MOMENTS)
        moments = loaded(beside) if beside.exists() else None
        yield ForeignFeatures(video, loaded(path), moments)


def loaded(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path} cannot be read as an array ({error})") from None
    return array


def of_hdf5(source: Path) -> Iterator[ForeignFeatures]:
    import h5py

    try:
        file = h5py.File(source, "r")
    except (OSError, RuntimeError) as error:
        raise UserError(f"{source} cannot be opened as HDF5 ({error})") from None
    with file:
        names: list[str] = []
        file.visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        for name in sorted(names):
            data = file[name]
            yield ForeignFeatures(name, data[()], data.attrs.get("moments"))


def checked_rows(found: ForeignFeatures) -> NDArray[np.floating]:
    rows = np.asarray(found.rows)
    if rows.ndim == 1:
        rows = rows[None]
    if rows.ndim not in (2, 4) or rows.dtype.kind != "f" or 0 in rows.shape:
        raise UserError(
            f"{found.video}: {rows.dtype} {rows.shape} are no features; they are floats (T, D) or "
            "(T, D, h, w)"
        )
    return rows
