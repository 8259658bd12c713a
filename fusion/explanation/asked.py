"""What an explanation is asked for, and the words and sizes that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from storage.errors import UserError

SIDE = 168
"""Pixels of a tile's side."""
LARGE = {"rgb": "frames", "flow": "flow", "difference": "differences of frames"}


@dataclass(frozen=True)
class Wanted:
    """What is to be drawn."""

    of: str = "predicted"
    """The class whose reasons are drawn: predicted, true, or a class by name."""
    at: str = ""
    """The part whose maps Grad-CAM weighs; the last one that has maps, where empty."""
    parts: tuple[str, ...] = ()
    """Parts whose filters are drawn; some, spread over the depth, where empty."""
    filters: int = 8
    best: int = 4
    guided: bool = True
    """Whether guided back-propagation is drawn, where it means something."""


def class_of(of: str, classes: Sequence[str], label: int, predicted: int, labelled: bool) -> int:
    """The class whose reasons are drawn."""
    if of == "predicted":
        return predicted
    if of == "true":
        if not labelled:
            raise UserError("--of true needs --labels, which say what is true")
        return label
    if of not in classes:
        near = ", ".join(classes[:3])
        raise UserError(
            f"--of {of!r} is neither predicted, true nor one of the classes {near}, ..."
        )
    return list(classes).index(of)


def captum_version() -> str:
    from importlib.metadata import version

    return version("captum")


@dataclass(frozen=True)
class Answer:
    """What a network says of a video, and for which class pictures are drawn."""

    target: int
    words: str
    """What is true, where it is known, what was predicted, and for what the pictures are drawn."""
    numbers: dict[str, Any]
    """The same for programs."""


def answer_of(
    logits: Tensor, classes: Sequence[str], of: str, label: int, labelled: bool
) -> Answer:
    """Of logits (C,). `of` as in `Wanted`."""
    shares = logits.float().softmax(0).cpu().numpy()
    predicted = int(shares.argmax())
    target = class_of(of, classes, label, predicted, labelled)
    words = f"predicted {classes[predicted]} ({shares[predicted]:.0%})"
    if labelled:
        words = f"{classes[label]}; {words}"
    if target != predicted:
        words += f"; drawn for {classes[target]} ({shares[target]:.0%})"
    numbers = {
        **({"true": classes[label]} if labelled else {}),
        "predicted": classes[predicted],
        "probability": round(float(shares[predicted]), 6),
        "class": classes[target],
    }
    return Answer(target, words, numbers)
