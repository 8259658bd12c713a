"""Features of videos, kept: what later systems learn from."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from storage.features.config import Dtype, FeatureConfig, FeatureMeta
    from storage.features.convert import (
        export_hdf5,
        export_npy,
        import_features,
    )
    from storage.features.descriptor_types import IDT, DescriptorType, columns, row_width
    from storage.features.feature_store import (
        FeatureStore,
        FeatureWriter,
        holds_features,
        open_features,
    )
    from storage.features.statistics import Statistics, statistics_of

__getattr__, __all__ = exports(__name__, __file__)
