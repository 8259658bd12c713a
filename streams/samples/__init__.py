"""Which moments and crops of which videos; batches of them."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from streams.samples.batch import Batch, Rows, Sample, collate
    from streams.samples.crops import Box, Crop, centre_box
    from streams.samples.dataset import ClipDataset, View, quantiser_table, shared_moments
    from streams.samples.flow_clips import FlowClips
    from streams.samples.listed import Listed, check_classes, read_lists
    from streams.samples.loader import (
        Slices,
        TrainingData,
        make_loader,
        plainly,
        training_batches,
    )
    from streams.samples.options import DataOptions, ShortPolicy
    from streams.samples.sampling import (
        Draw,
        Sampling,
        random_numbers,
        testing_dense,
        testing_moments,
    )
    from streams.samples.shard_clips import ShardClips
    from streams.samples.source import Source, open_source
    from streams.samples.transforms import CROPS, MIRRORED, cropped, decoded, prepare, test_crops

__getattr__, __all__ = exports(__name__, __file__)
