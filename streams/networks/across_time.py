"""Weights of one network for another that sees more of time, or less.

From pictures to clips a kernel is repeated along time and divided by its length (inflation,
Carreira and Zisserman, CVPR 2017), so that a still video is answered as its picture; from clips to
pictures it is summed over time (deflation). Between Inception-v1 and I3D, whose layers have other
names, between ResNet-50 and `i3d-resnet50`, and from Karpathy's single frame (CVPR 2014) to his
other three, where late fusion weighs its two towers alike.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from storage.errors import UserError
from streams.networks.i3d import inception_name
from streams.networks.network import Network
from streams.networks.padding import SameConv2d

I3D_FIRST, INCEPTION_FIRST = "backbone.Conv3d_1a_7x7.conv3d.weight", "backbone.conv1.conv.weight"


def brought_over(net: Network, given: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """`given`, in the names and shapes of `net` as far as time goes, and what was done."""
    wanted = net.state_dict()
    named = in_names_of(net, given)
    longer, notes = {}, dict[str, None]()
    for name, value in named.items():
        shape = wanted[name].shape if name in wanted else value.shape
        towers = net.name == "karpathy-late" and name == "backbone.fc6.weight"
        longer[name], note = over_time(value, shape, towers)
        if note:
            notes[note] = None
    if INCEPTION_FIRST in wanted and I3D_FIRST in given:
        check_padding(net)
    return longer, list(notes)


def in_names_of(net: Network, given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """I3D's layers under Inception-v1's names, and the other way round."""
    wanted = net.state_dict()
    if INCEPTION_FIRST in wanted and I3D_FIRST in given:
        return {inception_name(name): value for name, value in given.items()}
    if I3D_FIRST in wanted and INCEPTION_FIRST in given:
        names = {inception_name(name): name for name in wanted}
        return {names.get(name, name): value for name, value in given.items()}
    return dict(given)


def over_time(given: Tensor, shape: torch.Size, towers: bool = False) -> tuple[Tensor, str]:
    """One tensor in the shape of a network that sees another stretch of time, and what was done;
    as it is where the two differ in something else. `towers`: of two alike, side by side."""
    space = given.ndim > 3 and (given.shape[0], *given.shape[-2:]) == (shape[0], *shape[-2:])
    if space and (given.ndim, len(shape)) == (5, 4):
        return given.sum(2), "kernels summed over time"
    steps = given.shape[2] if given.ndim == 5 else 1
    if space and len(shape) == 5 and steps == 1 and (given.ndim == 4 or shape[2] > 1):
        flat = given.unsqueeze(2) if given.ndim == 4 else given
        spread = flat.expand(-1, -1, shape[2], -1, -1) / shape[2]
        return spread.contiguous(), "kernels repeated over time and divided"
    if towers and (given.shape[0], 2 * given.shape[1]) == tuple(shape):
        return torch.cat([given, given], 1) / 2, "both towers weigh alike"
    return given, ""


def check_padding(net: Network) -> None:
    """I3D's layers are padded as TensorFlow's; others would answer otherwise at every border."""
    if not isinstance(net.get_submodule(net.first), SameConv2d):
        raise UserError(
            "weights of I3D want TensorFlow's padding in inception-v1 too: add --extra padding=same"
        )
