"""What the commands share."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from scripts.common.command import (
        FAILED,
        INTERRUPTED,
        MISTAKE,
        OK,
        Talk,
        mistake,
        pipe_closed,
        run_command,
    )
    from scripts.common.run_options import (
        as_words,
        default_values,
        given_names,
        option_values,
        options_of_run,
        read_options,
        without_defaults,
        yaml_text,
    )
    from scripts.common.scorers import scorer_module
    from scripts.common.scores import ScoreFiles
    from scripts.common.steps import Journal, Step, walk
    from scripts.common.training import (
        RunOptions,
        Trainable,
        TrainOptions,
        asked,
        asked_recipe,
        run_task,
    )

__getattr__, __all__ = exports(__name__, __file__)
