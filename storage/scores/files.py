"""Score tables from and to other programs' files: npz, CSV, JSON, MATLAB .mat and HDF5.

An address is FILE or FILE:ARRAY. ARRAY picks one score matrix of a file that holds several.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from storage import atomic
from storage.errors import UserError
from storage.scores.budget import LIMIT
from storage.scores.foreign import Foreign, arrays_of, choose_matrix, matrices_in, table_from
from storage.scores.matrices import read_hdf5, read_mat, write_hdf5, write_mat
from storage.scores.npz import npz_names, read_npz
from storage.scores.table import ScoreTable, write_npz
from storage.scores.text import read_csv, read_json, write_csv, write_json


def read_any_npz(path: Path, array: str | None, foreign: Foreign, max_bytes: int) -> ScoreTable:
    """A table that this program wrote, or another tool's arrays."""
    names = npz_names(path)
    if array in (None, "scores") and "header" in names:
        return ScoreTable.load(path, max_bytes)
    matrices, beside = matrices_in(names)
    name = choose_matrix(path, matrices, array)
    values = read_npz(path, [name, *beside.values()], max_bytes)
    return table_from(arrays_of(values, name, beside, len(matrices) == 1), foreign, path)


class Format(NamedTuple):
    """How a file of one ending is read and written."""

    read: Callable[[Path, str | None, Foreign, int], ScoreTable]
    """(path, array in it, what the caller states, most bytes)."""
    write: Callable[[ScoreTable, Path], None]


FORMATS = {
    ".npz": Format(read_any_npz, write_npz),
    ".csv": Format(read_csv, write_csv),
    ".json": Format(read_json, write_json),
    ".mat": Format(read_mat, write_mat),
    ".h5": Format(read_hdf5, write_hdf5),
    ".hdf5": Format(read_hdf5, write_hdf5),
}


def read_scores(
    address: str | Path, foreign: Foreign | None = None, max_bytes: int = LIMIT
) -> ScoreTable:
    """Read a table from FILE or FILE:ARRAY. The file's ending says what it is."""
    path, array = split_address(address)
    if not path.is_file():
        raise UserError(f"{path} is not there; give a score file that `twostream score` wrote")
    return format_of(path).read(path, array, foreign or Foreign(), max_bytes)


def write_scores(table: ScoreTable, path: str | Path) -> None:
    """Write the table in the format that the file's ending names."""
    target = Path(path)
    writer = format_of(target).write
    try:
        with atomic.replacing(target) as fresh:
            writer(table, fresh)
    except UnicodeError as error:
        raise UserError(
            f"a name cannot be written to {target.suffix} ({error}); write .npz or .json"
        ) from None


def check_ending(path: str | Path) -> None:
    """UserError, before any work, where no format belongs to the ending."""
    format_of(Path(path))


def format_of(path: Path) -> Format:
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise UserError(
            f"{path} ends in {suffix or 'nothing'}; give a file ending in {', '.join(FORMATS)}"
        )
    return FORMATS[suffix]


def split_address(address: str | Path) -> tuple[Path, str | None]:
    """`scores.npz:spatial` -> (scores.npz, "spatial"). A file's own name may hold colons."""
    text = str(address)
    if Path(text).exists() or ":" not in text:
        return Path(text), None
    file, _, array = text.rpartition(":")
    return (Path(file), array) if Path(file).suffix else (Path(text), None)
