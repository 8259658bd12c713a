"""Every question of the exam by name, as it is asked unless its size is changed."""

from __future__ import annotations

from scripts.samples.binding import Binding
from scripts.samples.fine import Fine
from scripts.samples.needle import LONG, Needle
from scripts.samples.order import LADDER, Order
from scripts.samples.question import Question
from scripts.samples.scene import CERTAIN, Scene
from scripts.samples.strobe import Strobe
from scripts.samples.variety import Variety
from scripts.samples.what_and_how import WhatAndHow
from storage.errors import UserError

QUESTIONS: dict[str, Question] = {
    question.name: question
    for question in (
        WhatAndHow(),
        Binding(),
        Order(),
        *LADDER,
        Needle(),
        LONG,
        Variety(),
        Strobe(),
        Fine(),
        Scene(),
        CERTAIN,
    )
}

MAIN = ("what-and-how", "binding", "order", "needle", "variety", "strobe", "fine", "scene")
"""One of each kind."""


def question(name: str) -> Question:
    """A question by name."""
    if name not in QUESTIONS:
        raise UserError(f"--questions {name!r} is not one of {', '.join(QUESTIONS)}")
    return QUESTIONS[name]
