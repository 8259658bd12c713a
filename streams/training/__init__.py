"""The training loop, its recipes, its run folder."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from streams.training.adoption import Adopted, adopt
    from streams.training.checkpoint import load
    from streams.training.distributed import Ranks, pick_device, ranks
    from streams.training.memory import check_memory
    from streams.training.metrics import Tally, percent
    from streams.training.motion_task import MotionTask
    from streams.training.optimisation import Optimisation
    from streams.training.options import Adoption, LoopOptions
    from streams.training.patience import wait_asleep
    from streams.training.precision import Precision
    from streams.training.progress import in_words
    from streams.training.published import OTHER_RECIPE, PUBLISHED
    from streams.training.recipes import PARTS, WITHOUT_LABELS, Recipe, recipe, recipe_from
    from streams.training.run_folder import RunFolder, differences
    from streams.training.stream_task import StreamTask, stream_net
    from streams.training.task import Step, Task, decay_groups
    from streams.training.trainer import Trainer, make_channels_last, train
    from streams.training.transfer_task import TransferTask
    from streams.training.weights_file import Weights, hash_of_tensors, load_weights, save_weights

__getattr__, __all__ = exports(__name__, __file__)
