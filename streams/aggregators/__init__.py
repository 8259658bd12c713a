"""From many local descriptors of a video to one vector."""

from typing import TYPE_CHECKING

from storage.lazy import exports

if TYPE_CHECKING:
    from streams.aggregators.fisher import FisherEncoder
    from streams.aggregators.fisher_kernel import fisher_vector
    from streams.aggregators.gaussians import Gaussians

__getattr__, __all__ = exports(
    __name__,
    {
        "FisherEncoder": "fisher",
        "Gaussians": "gaussians",
        "fisher_vector": "fisher_kernel",
    },
)
