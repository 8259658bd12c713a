"""The page of an exam: the matrix, the questions as moving pictures, where attention looks."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion.page import page_environment, page_part
from scripts.exam.attention import Attention, Look, read_attention, share_on_needle
from scripts.exam.pictures import Film, film, is_there, wheel
from scripts.exam.results import SIGNS
from scripts.samples import FAMILIES
from storage import atomic
from storage.errors import UserError
from storage.progress import minutes

if TYPE_CHECKING:
    from scripts.exam.results import Exam, Matrix

log = logging.getLogger(__name__)
OWN = "scripts.exam"
KINDS = (
    ("sees", "seeing", "can pass, and does: within 5 points of 100 %"),
    ("blind", "blind, as it must be", "cannot pass, and stays at its ceiling"),
    ("short", "short", "could pass, but did not learn it here"),
    ("leak", "leaks", "above a ceiling by more than chance"),
    ("undetermined", "undetermined", "no proof says what it can reach"),
)
WORDS = {
    "sees": "it can see this, and does",
    "blind": "it is blind to this, and stays at its ceiling",
    "short": "it could see this, and falls short of it",
    "leak": "it is above a ceiling that it cannot pass",
    "undetermined": "no proof says what it can reach",
    "failed": "a step failed",
}
ATTENTION = ("needle", "attention")
"""Question and system whose weights have a truth to be held against."""


def write_page(out: Path, result: Matrix, exam: Exam) -> Path:
    """OUT/index.html, one file that fetches nothing."""
    page = out / "index.html"
    films = films_of(exam)
    text = render(result, films, attention_of(exam), processor_time(out, exam))
    atomic.write_text(page, text)
    return page


def render(
    result: Matrix, films: Mapping[str, Film], attention: Attention | None, seconds: float
) -> str:
    """The page as text."""
    environment = page_environment({"points": points, "pixels": pixels}, OWN)
    cells = {
        (system["name"], question["name"]): result.cell(system["name"], question["name"])
        for system in result.systems
        for question in result.questions
    }
    return environment.get_template("exam.html").render(
        result=result,
        cells=cells,
        chosen={cell.question for cell in result.cells if cell.judged == "forced choice"},
        kinds=kinds_of(result),
        signs=SIGNS,
        words=lambda cell: WORDS[cell.mark],
        families=FAMILIES,
        films=films,
        wheel=wheel(),
        attention=attention,
        looks=[drawn(look) for look in attention.looks] if attention else [],
        seeds_text=seeds_text(result),
        hours=minutes(seconds) if seconds else "",
        style=page_part("page.css") + page_part("exam.css", OWN),
        script=page_part("exam.js", OWN) + page_part("theme.js"),
    )


def kinds_of(result: Matrix) -> list[dict[str, Any]]:
    """How many cells there are of each verdict, and how it is shown."""
    marks = [cell.mark for cell in result.cells]
    kinds = KINDS if "failed" not in marks else (*KINDS, ("failed", "failed", "a step failed"))
    return [
        {"mark": mark, "sign": SIGNS[mark], "name": name, "text": text, "count": marks.count(mark)}
        for mark, name, text in kinds
    ]


def seeds_text(result: Matrix) -> str:
    count = len(result.about["seeds"])
    if count == 1:
        return "One seed of videos and networks."
    return f"{count} seeds, each with videos and networks of its own; answers are counted together."


def films_of(exam: Exam) -> dict[str, Film]:
    """Question -> its picture. A store that cannot be read costs its picture, not the page."""
    films = {}
    for name in exam.questions:
        sitting = next(one for one in exam.sittings if one.name == name)
        if not is_there(sitting):
            continue
        try:
            films[name] = film(sitting)
        except UserError as error:
            log.warning("%s has no picture: %s", name, error)
    return films


def attention_of(exam: Exam) -> Attention | None:
    """Of the first seed, where the system sat that question."""
    question, system = ATTENTION
    for sitting in exam.sittings:
        table = exam.tables.get((system, question, sitting.seed))
        if sitting.name == question and table is not None and table not in exam.failed:
            return read_attention(sitting, sitting.run(system), sitting.features("flow"))
    return None


def processor_time(out: Path, exam: Exam) -> float:
    """Seconds of all steps of the questions that were asked."""
    from scripts.exam.walking import times_of

    return sum(sum(times_of(out, one.name, one.seed).values()) for one in exam.sittings)


def drawn(look: Look) -> dict[str, Any]:
    """A look as rectangles in pairs of frames by 30."""
    import numpy as np

    moments, weights = np.asarray(look.moments), np.asarray(look.weights)
    on, _ = share_on_needle(weights, moments, look.needle)
    top = float(weights.max())
    spacing = float(np.diff(moments).min()) if len(moments) > 1 else 1.0
    bars = [
        {
            "x": round(t + 2 - 0.4 * spacing, 2),
            "w": round(0.8 * spacing, 2),
            "h": round(28 * w / top, 2),
            "y": round(30 - 28 * w / top, 2),
        }
        for t, w in zip(look.moments, look.weights, strict=True)
    ]
    return asdict(look) | {"bars": bars, "on": round(100 * on)}


def points(value: float) -> str:
    """0.5 -> 50.0, and 1 -> 100."""
    return "100" if value >= 0.9995 else f"{100 * value:.1f}"


def pixels(value: float) -> str:
    return f"{value:.2g}"
