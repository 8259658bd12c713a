"""What a trained network looks at: gradients, filters, strongest activations."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from streams.explanation.first_layer import first_filters
    from streams.explanation.gradients import (
        FINE,
        attribution,
        class_map,
        grad_cam,
        gradient_copy,
        guided_gradient,
        last_map,
        why_not_guided,
    )
    from streams.explanation.masks import attention_masks
    from streams.explanation.snapshots import Looked, Snapshot, read_inputs, read_snapshots
    from streams.explanation.strongest import (
        LITTLE,
        Strongest,
        as_steps,
        conv_parts,
        strongest_activations,
    )

__getattr__, __all__ = exports(__name__, __file__)
