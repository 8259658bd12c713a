"""Score tables from and to other programs' files: npz, CSV, JSON, MATLAB .mat and HDF5.

An address is FILE or FILE:ARRAY; ARRAY picks one score matrix of a file that holds several.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from storage.errors import UserError
from storage.scores.budget import LIMIT, Budget
from storage.scores.foreign import ALIASES, Foreign, Raw, choose_matrix, table_from, text_list
from storage.scores.npz import npz_names, read_npz
from storage.scores.table import ScoreTable

TEXT_GROWS = 8
"""A number written in two letters takes sixteen bytes and more while it is read."""


def read_scores(
    address: str | Path, foreign: Foreign | None = None, max_bytes: int = LIMIT
) -> ScoreTable:
    """Read a table from FILE or FILE:ARRAY; the file's ending says what it is."""
    from storage.scores.matrices import read_hdf5, read_mat
    from storage.scores.text import read_csv, read_json

    path, array = split_address(address)
    if not path.is_file():
        raise UserError(f"{path} is not there; give a score file that `twostream score` wrote")
    told = foreign or Foreign()
    suffix = path.suffix.lower()
    if suffix == ".npz":
        if array in (None, "scores") and "header" in npz_names(path):
            return ScoreTable.load(path, max_bytes)
        return table_from(_read_foreign_npz(path, array, max_bytes), told, path)
    if suffix in (".csv", ".json"):
        if array:
            raise UserError(f"{address}: a {suffix} file holds one table; leave :{array} out")
        Budget(path, max_bytes).take(path.stat().st_size * TEXT_GROWS)
        return read_csv(path, told) if suffix == ".csv" else read_json(path)
    matrices: dict[str, Callable[[Path, str | None, int], ScoreTable | Raw]] = {
        ".mat": read_mat,
        ".h5": read_hdf5,
        ".hdf5": read_hdf5,
    }
    if suffix not in matrices:
        raise UserError(
            f"{path} ends in {suffix or 'nothing'}; score files are .npz, .csv, .json, .mat, .h5"
        )
    found = matrices[suffix](path, array, max_bytes)
    return found if isinstance(found, ScoreTable) else table_from(found, told, path)


def write_scores(table: ScoreTable, path: str | Path) -> None:
    """Write the table in the format that the file's ending names."""
    from storage.scores.matrices import write_hdf5, write_mat
    from storage.scores.text import write_csv, write_json

    writers: dict[str, Callable[[ScoreTable, Path], None]] = {
        ".npz": ScoreTable.save,
        ".csv": write_csv,
        ".json": write_json,
        ".mat": write_mat,
        ".h5": write_hdf5,
        ".hdf5": write_hdf5,
    }
    target = Path(path)
    if target.suffix.lower() not in writers:
        raise UserError(f"{target}: give a file ending in {', '.join(writers)}")
    if not target.parent.is_dir():
        raise UserError(f"{target.parent} is not a folder; make it first")
    # The ending stays: it names the format to some writers.
    partial = target.with_name(f".{os.getpid()}.partial.{target.name}")
    try:
        writers[target.suffix.lower()](table, partial)
        os.replace(partial, target)
    except UnicodeError as error:
        raise UserError(
            f"a name cannot be written to {target.suffix} ({error}); write .npz or .json"
        ) from None
    finally:
        partial.unlink(missing_ok=True)


def split_address(address: str | Path) -> tuple[Path, str | None]:
    """`scores.npz:spatial` -> (scores.npz, "spatial"); a file's own name may hold colons."""
    text = str(address)
    if Path(text).exists() or ":" not in text:
        return Path(text), None
    file, _, array = text.rpartition(":")
    return (Path(file), array) if Path(file).suffix else (Path(text), None)


def _read_foreign_npz(path: Path, array: str | None, max_bytes: int) -> Raw:
    names = npz_names(path)
    side = {key: next((n for n in options if n in names), None) for key, options in ALIASES.items()}
    matrices = [n for n in names if n not in side.values() and n != "header"]
    name = choose_matrix(path, matrices, array)
    data = read_npz(path, [name, *filter(None, side.values())], max_bytes)

    def strings(key: str) -> list[str] | None:
        return text_list(data[name]) if (name := side[key]) else None

    return Raw(
        scores=data[name],
        name=name,
        alone=len(matrices) == 1,
        videos=strings("videos"),
        labels=data.get(side["labels"] or ""),
        classes=strings("classes"),
        groups=strings("groups"),
        features=data.get(side["features"] or ""),
    )
