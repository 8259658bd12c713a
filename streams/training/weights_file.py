"""The best weights of a run as safetensors: a file that any tool reads and that says what it is.

Its metadata holds one JSON text under `twostream`: the network, its input, the classes, the recipe
and how the store was made. A run can be made of it on another machine.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from storage.atomic import replacing
from storage.errors import UserError
from streams.training import checkpoint

FORMAT = 1


@dataclass(frozen=True)
class Weights:
    """Tensors by name, and what is known of them."""

    tensors: dict[str, Tensor]
    about: dict[str, Any]
    """kind, classes, step, validation; settings of the run."""
    hash: str
    """Of names, types, shapes and numbers: the same for the same weights in any file."""


def save_weights(path: Path, state: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    """Whole or not at all: a reader sees the old file or the new one. Returns the weights' hash."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    own_hash = hash_of_tensors(tensors)
    text = json.dumps({"format": FORMAT, "hash": own_hash, **about})
    data = save(tensors, metadata={"format": "pt", "twostream": text})
    with replacing(path, alone=True) as draft:
        draft.write_bytes(data)  # safetensors itself would not say what was wrong with the disk
    return own_hash


def about_of(path: Path) -> dict[str, Any]:
    """What a file of ours says of itself, without its tensors; nothing of a file of others."""
    if path.suffix != ".safetensors" or not path.is_file():
        return {}
    with open_safetensors(path) as file:
        return about_in(file)


def load_weights(path: Path) -> Weights:
    """What `save_weights` wrote, or an older run's best.pt."""
    if path.suffix != ".safetensors":
        saved = checkpoint.load(path)
        tensors = saved.pop("model")
        # The name by which fusions of older runs know their towers.
        return Weights(tensors, saved, hashlib.sha256(path.read_bytes()).hexdigest()[:16])
    if not path.is_file():
        raise UserError(f"{path} does not exist; train the run first")
    with open_safetensors(path) as file:
        about = about_in(file)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return Weights(tensors, about, hash_of_tensors(tensors))


@contextmanager
def open_safetensors(path: Path) -> Iterator[Any]:
    """A safetensors file; what cannot be read of it is a UserError."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged: {str(error).splitlines()[0]}") from None


def about_in(file: Any) -> dict[str, Any]:
    about: dict[str, Any] = json.loads((file.metadata() or {}).get("twostream", "{}"))
    return about


def hash_of_tensors(tensors: Mapping[str, Tensor]) -> str:
    """16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
