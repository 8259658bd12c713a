"""Late fusion: of scores."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from fusion.scores.averaging import average, check_weights
    from fusion.scores.fitting import fit_tables
    from fusion.scores.folds import by_folds
    from fusion.scores.grouped_svm import GRID, GroupedSVM
    from fusion.scores.linear_svm import LinearSVMFusion, svm
    from fusion.scores.selection import EnsemblePath, ensemble_path, greedy, greedy_table
    from fusion.scores.sweep import WeightCurve, weight_curves
    from fusion.scores.weighting import weighted

__getattr__, __all__ = exports(__name__, __file__)
