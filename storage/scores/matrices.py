"""Score matrices in MATLAB .mat (version 5 and 7.3) and HDF5 files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.errors import UserError
from storage.hdf5 import Hdf5File
from storage.scores.budget import Budget
from storage.scores.foreign import (
    Foreign,
    arrays_of,
    choose_matrix,
    matrices_in,
    table_from,
    text_list,
)
from storage.scores.mat_limits import check_mat
from storage.scores.table import ScoreTable, check_header

if TYPE_CHECKING:
    import h5py

FEW = 64
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


def read_mat(path: Path, array: str | None, foreign: Foreign, max_bytes: int) -> ScoreTable:
    """Read a .mat. Version 7.3 files are HDF5 inside."""
    from scipy.io import loadmat, whosmat

    with open(path, "rb") as file:
        if HDF5_MAGIC in file.read(1024):
            return read_hdf5(path, array, foreign, max_bytes)
    try:
        check_mat(path, Budget(path, max_bytes))
        names = [name for name, _, _ in whosmat(str(path))]
        data = loadmat(str(path), variable_names=names)
    except UserError:
        raise
    except Exception as error:  # scipy's reader raises whatever a damaged byte leads it to
        raise UserError(f"{path} is not a readable .mat file ({error})") from None
    plain: dict[str, Any] = {}
    for name in names:
        value = data[name]
        plain[name] = (
            [str(np.asarray(cell).ravel()[0]) if np.size(cell) else "" for cell in value.ravel()]
            if value.dtype == object
            else value
        )
    return _table(path, array, foreign, plain)


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


def read_hdf5(path: Path, array: str | None, foreign: Foreign, max_bytes: int) -> ScoreTable:
    """Read data sets of the file's top level. What lies in other files is passed over."""
    plain: dict[str, Any] = {}
    budget = Budget(path, max_bytes)
    file = Hdf5File(path, budget.take)
    try:
        with file.faults():
            for name in file.names():
                dataset = file.dataset(name)
                if dataset is not None:
                    plain[name] = _hdf5_value(file, dataset, budget)
            if "header" in file.file.attrs:
                plain["header"] = str(file.file.attrs["header"])
    finally:
        file.close()
    return _table(path, array, foreign, plain)


def _hdf5_value(file: Hdf5File, dataset: h5py.Dataset, budget: Budget) -> Any:
    """A data set as an array, or as text where it is that."""
    import h5py

    kind = dataset.attrs.get("MATLAB_class")
    if kind == b"cell":
        return [_characters(file.dataset(ref), file) for ref in dataset[()].ravel()]
    if kind == b"char":
        return _characters(dataset, file)
    if kind is not None:
        return dataset[()].T  # MATLAB stores columns first
    if h5py.check_string_dtype(dataset.dtype) is None:
        return dataset[()]
    texts: list[str] = []
    for start in range(0, dataset.size, FEW):  # any number of items may point to one long text
        piece = text_list(dataset[start : start + FEW] if dataset.ndim else dataset[()])
        budget.take(sum(map(len, piece)))
        texts += piece
    return texts


def _characters(dataset: h5py.Dataset | None, file: Hdf5File) -> str:
    """MATLAB stores text as character codes."""
    if dataset is None:
        raise UserError(f"{file.path} holds a name that lies in another file; it is not read")
    return "".join(map(chr, dataset[()].ravel()))


def _table(path: Path, array: str | None, foreign: Foreign, plain: dict[str, Any]) -> ScoreTable:
    """A file that this program wrote as it says. Any other by its arrays."""
    names, beside = matrices_in(plain)
    matrices = [name for name in names if np.ndim(plain[name]) >= 2]
    name = choose_matrix(path, matrices, array)
    raw = arrays_of(plain, name, beside, len(matrices) == 1)
    if "header" not in plain or name != "scores":
        return table_from(raw, foreign, path)
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
