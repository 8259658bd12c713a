"""Sample videos whose answers are known."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from scripts.samples.judging import figure, forced_choice, verdict
    from scripts.samples.sample_videos import SampleData, make_sample_data, sample_clips

__getattr__, __all__ = exports(__name__, __file__)
