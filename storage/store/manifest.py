"""The small file that makes a directory a store: its schema and how its content was made."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from storage import atomic
from storage.errors import StoreError
from storage.store import faults
from storage.store.config import SCHEMA, StoreConfig

NAME = "store.json"
LAYOUT = 2
"""Version of the layout on the disk. 1 had no `index.log` and no sealed shards."""
REQUIRED = ("index.log", "sealed.json")
"""What a reader of such a store must know of: the manifest's list `requires`."""

C = TypeVar("C", bound="Config")


class Config(Protocol):
    """How the content of a store was made."""

    def to_json(self) -> dict[str, Any]:
        """As JSON values, the schema's version among them."""

    def differences(self, other: Any) -> list[str]:
        """What differs, in words."""


@dataclass(frozen=True)
class Form(Generic[C]):
    """What tells one kind of store from another on the disk."""

    name: str
    """Of the manifest's file."""
    what: str
    maker: str
    """The command that makes such a store."""
    schema: int
    """Version of what the manifest says, beside the layout."""
    parse: Callable[[Mapping[str, Any]], C]
    beside: tuple[str, ...] = ()
    """Other files that may lie in its folder."""


STORE = Form(NAME, "a store", "extract", SCHEMA, StoreConfig.from_json)


def read_manifest(folder: Path, form: Form[C] = STORE) -> C:  # type: ignore[assignment]
    """Read the manifest of `folder`, or say why this is no store that can be used."""
    path = folder / form.name
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        schema = content["schema"]
        other = set(content.get("requires", ())) - set(REQUIRED)
    except FileNotFoundError:
        raise StoreError(
            f"{folder} is not {form.what}: it holds no {form.name}; `twostream {form.maker} ... "
            f"--out {folder}` makes one"
        ) from None
    except OSError as error:
        raise StoreError(f"{folder} cannot be opened as a store: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise StoreError(f"{path} is damaged: it is not the JSON of a manifest") from None
    if schema not in (form.schema, LAYOUT) or other:
        wants = f" and needs {', '.join(sorted(map(str, other)))}" if other else ""
        raise StoreError(
            f"{folder} has schema version {schema!r}{wants}, this program reads {form.schema} and "
            f"{LAYOUT}; use the program that wrote it, or {form.maker} again into another folder"
        )
    return form.parse({**content, "schema": form.schema})


def layout_of(folder: Path, form: Form[Any]) -> int:
    """The version of the layout on the disk of a store that can be read."""
    return int(json.loads((folder / form.name).read_text(encoding="utf-8"))["schema"])


def upgrade_manifest(folder: Path, form: Form[Any]) -> None:
    """Say in the manifest of a store of the first layout that it has the present one."""
    path = folder / form.name
    content = json.loads(path.read_text(encoding="utf-8"))
    if content["schema"] != LAYOUT:
        try:
            atomic.write_text(path, written(content))
        except OSError as error:
            raise faults.unwritten(path, error) from None


def written(content: Mapping[str, Any]) -> str:
    """A manifest as it stands on the disk."""
    layout = {"schema": LAYOUT, "requires": list(REQUIRED)}
    return json.dumps({**content, **layout}, indent=2) + "\n"


def create_manifest(folder: Path, config: Config, form: Form[Any] = STORE) -> bool:
    """Make `folder` a store; False where it was one already. Two processes may try at once."""
    if folder.exists() and not folder.is_dir():
        raise StoreError(f"{folder} is a file; a store is a folder, give another path")
    try:
        if folder.is_dir() and not (folder / form.name).exists() and strangers(folder, form):
            raise StoreError(
                f"{folder} is no store and not empty ({strangers(folder, form)[0]}); "
                "give another folder"
            )
        (folder / "shards").mkdir(parents=True, exist_ok=True)
        with atomic.draft(folder / form.name) as fresh:
            fresh.write_text(written(config.to_json()), encoding="utf-8")
            atomic.sync(fresh)
            return put_in_place(fresh, folder / form.name)
    except OSError as error:
        raise faults.unwritten(folder, error) from None


def put_in_place(fresh: Path, path: Path) -> bool:
    """Give `fresh` the name `path`, whole or not at all; False if there is one already."""
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
    return True


def strangers(folder: Path, form: Form[Any] = STORE) -> list[str]:
    """What lies in a folder that is no part of a store being made."""
    return sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.name not in ("shards", *form.beside) and not entry.name.startswith(".part")
    )
