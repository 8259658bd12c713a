"""The small file that makes a directory a store: its schema and how its content was made."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

from storage import atomic
from storage.errors import StoreError
from storage.store.config import SCHEMA, StoreConfig

NAME = "store.json"


def read_manifest(folder: Path) -> StoreConfig:
    """Read `folder`/store.json, or say why this is no store that can be used."""
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        schema = content["schema"]
    except FileNotFoundError:
        raise StoreError(
            f"{folder} is not a store: it holds no {NAME}; `twostream extract ... --out {folder}` "
            "makes one"
        ) from None
    except OSError as error:
        raise StoreError(f"{folder} cannot be opened as a store: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{path} is damaged: it is not the JSON of a manifest") from None
    if schema != SCHEMA:
        raise StoreError(
            f"{folder} has schema version {schema!r}, this program reads {SCHEMA}; "
            "use the program that wrote it, or extract again into another folder"
        )
    return StoreConfig.from_json(content)


def create_manifest(folder: Path, config: StoreConfig) -> bool:
    """Make `folder` a store. False where it was one already. Two processes may try at once."""
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file; a store is a folder, give another path")
    try:
        if folder.is_dir() and not (folder / NAME).exists() and strangers(folder):
            raise StoreError(
                f"{folder} is no store and not empty ({strangers(folder)[0]}); give another folder"
            )
        (folder / "shards").mkdir(parents=True, exist_ok=True)
        with atomic.draft(folder / NAME) as fresh:
            fresh.write_text(json.dumps(config.to_json(), indent=2) + "\n", encoding="utf-8")
            atomic.sync(fresh)
            return put_in_place(fresh, folder / NAME)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error.strerror}") from None


def put_in_place(fresh: Path, path: Path) -> bool:
    """Give `fresh` the name `path`, whole or not at all. False if there is one already."""
    try:
        os.link(fresh, path)  # unlike a rename, this fails where there is one
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        if path.exists():  # a file system without links
            return False
        os.rename(fresh, path)
    atomic.sync(path.parent)
    return True


def strangers(folder: Path) -> list[str]:
    """What lies in a folder that is no part of a store being made."""
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.name != "shards" and not entry.name.startswith(".part")
    )
