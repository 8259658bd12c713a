"""Which layers of a network learn when it is fine-tuned: the top one, the top three, or all.

Karpathy et al. (CVPR 2014) compare the three when a network of one data set is brought to
another: 64.1, 65.4 and 62.2 % on UCF-101, where training from scratch gives 41.3 %.
"""

from __future__ import annotations

from typing import Literal

from torch import nn

from storage.errors import UserError
from streams.networks.network import Network

Depth = Literal["top", "top3", "all"]
DEPTHS = {"top": 1, "top3": 3, "all": 0}
"""How many layers with weights learn, counted from the classifier (0: all)."""


def learnable(net: Network, depth: Depth) -> tuple[str, ...]:
    """The names of the parameters that learn.

    top: the classifier. top3: the last three layers with weights (convolutions, fully connected,
    recurrent) in the order of the network, and the norms behind the first of them. A layer's place
    is where the network names it; a shortcut beside a block is named at the block's end.
    """
    if depth not in DEPTHS:
        raise UserError(f"--learn {depth} is not one of {', '.join(DEPTHS)}")
    names = [name for name, _ in net.named_parameters()]
    if depth == "all":
        return tuple(names)
    if not any(name.startswith("head.") for name in names):
        raise UserError(f"--learn {depth} needs a classifier, and this network has none")
    if depth == "top":
        return tuple(name for name in names if name.startswith("head."))
    first = layers(net)[-DEPTHS[depth] :][0]
    return tuple(names[next(i for i, n in enumerate(names) if n.startswith(first)) :])


def layers(net: nn.Module) -> list[str]:
    """The prefix of the parameters of each layer with weights, in the network's order."""
    return [
        f"{name}." if name else ""
        for name, module in net.named_modules()
        if any(p.ndim > 1 for p in module.parameters(recurse=False))
    ]


def set_learnable(net: Network, depth: Depth) -> None:
    """Let these parameters learn and no others. `StreamNet` keeps the statistics of batch norms
    whose parameters do not learn."""
    chosen = set(learnable(net, depth))
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name in chosen)
