"""Score matrices in MATLAB .mat (version 5 and 7.3) and HDF5 files."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from storage.errors import UserError
from storage.score_files import ALIASES, Raw, choose_matrix, text_list
from storage.scores import ScoreTable, check_header

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def write_mat(table: ScoreTable, path: Path) -> None:
    """MATLAB version 5: cell arrays of names, and labels that count from 1, as MATLAB does."""
    from scipy.io import savemat

    arrays: dict[str, Any] = {
        "videos": _cells(table.videos),
        "classes": _cells(table.classes),
        "labels": (table.labels + 1).astype(np.float64)[:, None],
        "label_base": 1.0,
        "scores": table.scores,
        "header": json.dumps(table.header),
    }
    if table.groups:
        arrays["groups"] = _cells(table.groups)
    if table.features is not None:
        arrays["features"] = table.features
    with open(path, "wb") as file:
        savemat(file, arrays, do_compression=True)


def _cells(names: tuple[str, ...]) -> np.ndarray[Any, Any]:
    cells = np.empty((len(names), 1), object)
    cells[:, 0] = names
    return cells


def read_mat(path: Path, array: str | None, max_bytes: int) -> ScoreTable | Raw:
    """Read a .mat; version 7.3 files are HDF5 inside."""
    from scipy.io import loadmat, whosmat

    with open(path, "rb") as file:
        if HDF5_MAGIC in file.read(1024):
            return read_hdf5(path, array, max_bytes)
    try:
        shapes = {name: shape for name, shape, _ in whosmat(str(path))}
        # whosmat tells shapes, not types: 8 bytes an element is the largest that scores take.
        check_size(path, {name: 8 * prod(shape) for name, shape in shapes.items()}, max_bytes)
        data = loadmat(str(path), variable_names=list(shapes), struct_as_record=True)
    except UserError:
        raise
    except Exception as error:  # scipy's reader raises whatever a damaged byte leads it to
        raise UserError(f"{path} is not a readable .mat file ({error})") from None
    plain: dict[str, Any] = {}
    for name in shapes:
        value = data[name]
        plain[name] = (
            [str(np.asarray(cell).ravel()[0]) if np.size(cell) else "" for cell in value.ravel()]
            if value.dtype == object
            else value
        )
    return _table(path, array, plain)


def write_hdf5(table: ScoreTable, path: Path) -> None:
    """A dataset an array, the header as the file's attribute."""
    import h5py

    with h5py.File(path, "w") as file:
        text = h5py.string_dtype()
        file.attrs["header"] = json.dumps(table.header)
        for name in ("videos", "classes", "groups"):
            if getattr(table, name):
                file.create_dataset(name, data=list(getattr(table, name)), dtype=text)
        file.create_dataset("labels", data=table.labels)
        file.create_dataset("scores", data=table.scores, compression="gzip")
        if table.features is not None:
            file.create_dataset("features", data=table.features, compression="gzip")


def read_hdf5(path: Path, array: str | None, max_bytes: int) -> ScoreTable | Raw:
    """Read datasets of the file's top level; links out of the file are refused."""
    import h5py

    plain: dict[str, Any] = {}
    try:
        with h5py.File(path, "r") as file:
            # An external link or external storage would read any file that the user may read.
            names = [
                n for n in file if not isinstance(file.get(n, getlink=True), h5py.ExternalLink)
            ]
            datasets = {n: file[n] for n in names if isinstance(file[n], h5py.Dataset)}
            datasets = {n: d for n, d in datasets.items() if not d.external and not d.is_virtual}
            check_size(
                path, {n: d.dtype.itemsize * prod(d.shape) for n, d in datasets.items()}, max_bytes
            )
            for name, dataset in datasets.items():
                if "MATLAB_class" in dataset.attrs:
                    plain[name] = _matlab_value(file, dataset)
                elif h5py.check_string_dtype(dataset.dtype):
                    plain[name] = text_list(dataset[()])
                else:
                    plain[name] = dataset[()]
            if "header" in file.attrs:
                plain["header"] = str(file.attrs["header"])
    except (OSError, KeyError, RuntimeError, TypeError) as error:
        raise UserError(f"{path} is not a readable HDF5 file ({error})") from None
    return _table(path, array, plain)


def _matlab_value(file: Any, dataset: Any) -> Any:
    """MATLAB stores columns first, text as character codes, and cells as references."""
    kind = dataset.attrs["MATLAB_class"]
    if kind == b"cell":
        return ["".join(map(chr, file[ref][()].ravel())) for ref in dataset[()].ravel()]
    if kind == b"char":
        return "".join(map(chr, dataset[()].ravel()))
    return dataset[()].T


def check_size(path: Path, sizes: dict[str, int], max_bytes: int) -> None:
    if sum(sizes.values()) > max_bytes:
        raise UserError(
            f"{path} would unpack to {sum(sizes.values())} bytes, more than {max_bytes / 2**30:g} "
            "GiB; if that is meant, allow more with --max-gib (max_bytes= in Python)"
        )


def _table(path: Path, array: str | None, plain: dict[str, Any]) -> ScoreTable | Raw:
    """Our own file as a table, any other as its arrays."""
    side = {key: next((n for n in names if n in plain), "") for key, names in ALIASES.items()}
    used = {*side.values(), "header", "label_base"}
    matrices = [n for n, v in plain.items() if n not in used and np.ndim(v) >= 2]
    name = choose_matrix(path, matrices, array)
    base = plain.get("label_base")

    def strings(key: str) -> list[str] | None:
        return text_list(plain[side[key]]) if side[key] else None

    raw = Raw(
        scores=np.asarray(plain[name]),
        name=name,
        videos=strings("videos"),
        labels=np.asarray(plain[side["labels"]]).ravel() if side["labels"] else None,
        label_base=None if base is None else int(np.asarray(base).ravel()[0]),
        classes=strings("classes"),
        groups=strings("groups"),
        features=plain[side["features"]] if side["features"] else None,
    )
    if "header" not in plain or name != "scores":
        return raw
    if raw.videos is None or raw.classes is None or raw.labels is None:
        raise UserError(f"{path} has our header, but lacks videos, classes or labels")
    try:
        header = check_header(json.loads("".join(text_list(plain["header"]))))
        return ScoreTable(
            videos=tuple(raw.videos),
            labels=raw.labels - (raw.label_base or 0),
            classes=tuple(raw.classes),
            scores=raw.scores,
            groups=tuple(raw.groups or ()),
            features=raw.features,
            **header,
        )
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: {error}") from None
