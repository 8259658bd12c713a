"""What the commands share."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from scripts.common.command import FAILED, INTERRUPTED, MISTAKE, OK, Talk, mistake, run_command
    from scripts.common.health import examine
    from scripts.common.scorers import scorer_module
    from scripts.common.scores import ScoreFiles
    from scripts.common.training import RunOptions, TrainOptions, asked, asked_recipe

__getattr__, __all__ = exports(__name__, __file__)
