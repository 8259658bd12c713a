"""Fusion inside the networks, at a layer."""

from typing import TYPE_CHECKING

from twostream import exports

if TYPE_CHECKING:
    from fusion.network.net import ConvFusionNet, fused_logits
    from fusion.network.recipe import (
        FusionOptions,
        FusionRecipe,
        JoinKind,
        PoolKind,
        fusion_recipe,
    )
    from fusion.network.scorer import FusionScorer
    from fusion.network.start import align, set_scales
    from fusion.network.task import FusionTask
    from fusion.network.towers import load_tower

__getattr__, __all__ = exports(__name__, __file__)
