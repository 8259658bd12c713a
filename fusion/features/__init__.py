"""Fusion of features: one linear machine on the features of several networks."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from fusion.features.feature_svm import FeatureSVM, feature_rows

__getattr__, __all__ = exports(__name__, __file__)
