"""2-D calls that stand in the code of a network's `forward`, not in a layer.

torchvision's DenseNet and MobileNetV2 call `adaptive_avg_pool2d` themselves, its MNASNet takes a
mean over axes 2 and 3. `torch.fx` writes such code down as a graph, in which a call can be
replaced. Code that counts the axes of a map (ShuffleNet's reshaping) stays 2-D.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Literal

import torch
from torch import fx, nn
from torch.nn import functional as F

Direction = Literal["inflate", "deflate"]
AXES = {(2, 3): (2, 3, 4), (-2, -1): (-3, -2, -1)}
"""The axes of space in a map, and those of time and space."""
POOLS: dict[Callable[..., torch.Tensor], Callable[..., torch.Tensor]] = {
    F.adaptive_avg_pool2d: F.adaptive_avg_pool3d,
    F.adaptive_max_pool2d: F.adaptive_max_pool3d,
}


class Tracer(fx.Tracer):
    """Goes into a module only where it has modules of its own."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return not any(True for _ in m.children()) or super().is_leaf_module(
            m, module_qualified_name
        )


def calls_changed(net: nn.Module, direction: Direction) -> nn.Module:
    """A copy of `net`; a graph, if its `forward` has calls to change, else of its own class.

    A graph holds the path through `forward` that the network takes now, in training or not. Code
    that cannot be written down stays as it is.
    """
    net = copy.deepcopy(net)
    if not any(True for _ in net.children()):
        return net
    try:
        graph = Tracer().trace(net)
    except Exception:  # whatever the code of a foreign network raises when it meets no tensor
        return net
    changes = [change_call(node, direction) for node in graph.nodes]
    if not any(changes):
        return net
    graph.lint()
    return fx.GraphModule(net, graph, type(net).__name__).train(net.training)


def change_call(node: fx.Node, direction: Direction) -> bool:
    """Whether the call was one of another dimension; then it has been replaced in its place."""
    pools = POOLS if direction == "inflate" else {b: a for a, b in POOLS.items()}
    axes = AXES if direction == "inflate" else {b: a for a, b in AXES.items()}
    if node.op == "call_function" and node.target in pools:
        value = node.args[1] if len(node.args) > 1 else node.kwargs["output_size"]
        size = tuple(value) if isinstance(value, list | tuple) else (value, value)
        new = (1, *size) if direction == "inflate" else size[1:]
        node.target = pools[node.target]
        node.args, node.kwargs = (node.args[0], new), {}
        return True
    if node.target not in ("mean", torch.mean) or len(node.args) + len(node.kwargs) < 2:
        return False
    value = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
    if not isinstance(value, list | tuple) or tuple(sorted(value)) not in axes:
        return False
    node.args = (node.args[0], axes[tuple(sorted(value))], *node.args[2:])
    node.kwargs = {name: given for name, given in node.kwargs.items() if name != "dim"}
    return True
