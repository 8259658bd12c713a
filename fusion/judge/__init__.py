"""Metrics, intervals, and the evaluation made of them."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from fusion.judge.bootstrap import (
        DRAWS,
        FLIPS,
        LEVEL,
        Measure,
        Paired,
        flips_for,
        holm,
        interval,
        paired,
        resample,
        resampled_shares,
        share_of,
        sign_flips,
        sums_by_group,
    )
    from fusion.judge.calibration import BINS, expected_noise
    from fusion.judge.evaluation import (
        Evaluation,
        Figures,
        SplitEvaluation,
        evaluate,
        shared_groups,
    )
    from fusion.judge.groups import group_names, indices
    from fusion.judge.metrics import SMALLEST, confusion
    from fusion.judge.normalisation import kind_after, normalise, normalise_scores, probabilities
    from fusion.judge.precision_interval import mean_average_precision
    from fusion.judge.precision_recall import PrecisionRecall, precision_of_classes
    from fusion.judge.provenance import COSTS, fitted_on, fusion_of, how_fused, state_of

__getattr__, __all__ = exports(__name__, __file__)
