"""Networks over the features of a video's steps: trained on the same loop as the streams."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from streams.sequences.data import FeatureBatch, FeatureDataset
    from streams.sequences.data_options import FeatureData
    from streams.sequences.looks import VideoWeights, clip_weights, video_weights
    from streams.sequences.on_video import SequenceOnVideo, SequenceScores
    from streams.sequences.recipes import (
        SEQUENCE_PARTS,
        SEQUENCE_RECIPES,
        SequenceRecipe,
        sequence_recipe,
        sequence_recipe_from,
    )
    from streams.sequences.scoring import SequenceScorer, sequence_table
    from streams.sequences.source import FeatureSource, open_feature_source, stores_of
    from streams.sequences.table import SEQUENCES, SequenceNetwork
    from streams.sequences.task import SequenceNet, SequenceTask, sequence_net
    from streams.sequences.window_options import Windows

__getattr__, __all__ = exports(__name__, __file__)
