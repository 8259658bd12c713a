"""Sample videos whose answers are known."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from scripts.samples.families import FAMILIES
    from scripts.samples.judging import (
        Figure,
        Verdict,
        figure,
        forced_choice,
        right_answers,
        verdict,
    )
    from scripts.samples.question import Question, make_question
    from scripts.samples.questions import QUESTIONS
    from scripts.samples.sample_videos import SampleData, make_sample_data, sample_clips

__getattr__, __all__ = exports(__name__, __file__)
