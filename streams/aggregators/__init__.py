"""What comes after the frame network: from the features of T steps to one answer a video."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from streams.aggregators.aggregator import Aggregator, Takes
    from streams.aggregators.attention import TemporalAttention
    from streams.aggregators.conv_pooling import ConvPooling
    from streams.aggregators.fisher import FisherEncoder
    from streams.aggregators.gaussians import Gaussians
    from streams.aggregators.pooling import Pooling
    from streams.aggregators.recurrent import (
        Norm,
        Recurrent,
        StepNorm,
        deep_lstm,
        full_precision_on_a_cpu,
    )
    from streams.aggregators.stepwise import (
        PredictionRule,
        StepRule,
        mean_over_views,
    )
    from streams.aggregators.visual_attention import VisualAttention
    from streams.aggregators.vlad import ActionVLAD
    from streams.aggregators.windows import (
        Ends,
        Indices,
        back_and_forth,
        matching_steps,
        random_window,
        spaced_windows,
    )

__getattr__, __all__ = exports(__name__, __file__)
