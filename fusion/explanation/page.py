"""An explanation as files: one page that needs nothing else, its pictures, its numbers."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from fusion.explanation.figures import Explanation
from fusion.page import page_environment, page_part
from storage import atomic
from storage.errors import UserError

PAGE, NUMBERS = "explain.html", "explain.json"
FORMAT = "twostream-explanation"


def check_folder(out: Path) -> None:
    """UserError unless the folder is new, empty, or holds an explanation that can be replaced."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file; give a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / NUMBERS).exists():
        raise UserError(f"--out {out} holds other files; give a folder of its own")


def write_explanation(explanation: Explanation, out: Path) -> list[Path]:
    """Write the page, a PNG a figure, and the numbers; pictures of an earlier page are removed."""
    check_folder(out)
    out.mkdir(parents=True, exist_ok=True)
    figures = [figure for section in explanation.sections for figure in section.figures]
    before = earlier(out)
    paths = []
    for figure in figures:
        path = out / f"{figure.name}.png"
        with atomic.replacing(path) as fresh:
            fresh.write_bytes(figure.png)
        paths.append(path)
    atomic.write_text(out / PAGE, rendered(explanation), errors="replace")
    numbers: dict[str, Any] = {
        "format": FORMAT,
        "title": explanation.title,
        "made": explanation.facts,
        **explanation.numbers,
        "pictures": [path.name for path in paths],
    }
    atomic.write_text(out / NUMBERS, json.dumps(numbers, indent=1, allow_nan=False) + "\n")
    for name in before - {path.name for path in paths}:
        (out / name).unlink(missing_ok=True)
    return [out / PAGE, out / NUMBERS, *paths]


def earlier(out: Path) -> set[str]:
    """The pictures of the page that lies there."""
    try:
        names = json.loads((out / NUMBERS).read_text("utf-8"))["pictures"]
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    plain = [name for name in names if isinstance(name, str) and Path(name).name == name]
    return {name for name in plain if name.endswith(".png")}


def rendered(explanation: Explanation) -> str:
    """The page as text."""
    environment = page_environment({"uri": uri}, "fusion.explanation")
    return environment.get_template("explanation.html").render(
        explanation=explanation, style=page_part("page.css")
    )


def uri(png: bytes) -> str:
    """A picture as a link that holds it."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
