"""From networks for pictures to networks for clips, and back.

Carreira and Zisserman, "Quo Vadis, Action Recognition?", CVPR 2017: an N x N kernel becomes
N x N x N, repeated N times along time and divided by N. So a boring video, one picture repeated,
is answered as the network for pictures answers the picture. The paper passes over the ends of a
clip: with zeros before and after it, as in its own code, the fixed point never holds; with the end
frames repeated it does, in every layer. That is the default here.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks.clip_layers import (
    ClipAvgPool3d,
    ClipConv3d,
    ClipMaxPool3d,
    SpacePadding,
    TimePadding,
    Triple,
)
from streams.networks.graph_calls import Direction, calls_changed
from streams.networks.network import Network
from streams.networks.padding import Pair, SameConv2d, SameMaxPool2d

Change = Callable[[str, nn.Module], nn.Module | None]
"""A layer's name and the layer -> the one for its place; None: it may stay as it is."""

DIMENSION_FREE = (
    "torch.nn.modules.activation",
    "torch.nn.modules.dropout",
    "torch.nn.modules.flatten",
    "torch.nn.modules.linear",
)
DIMENSION_FREE_LAYERS = (nn.Identity, nn.LocalResponseNorm, nn.GroupNorm, nn.SyncBatchNorm)


def inflate(
    net: nn.Module,
    *,
    kernels: Mapping[str, int] | None = None,
    strides: Mapping[str, int] | None = None,
    padding: TimePadding = "replicate",
    frames: int = 16,
) -> nn.Module:
    """A copy of `net` that takes clips (N, C, T, H, W) where `net` takes pictures (N, C, H, W).

    `kernels` and `strides` give a layer's size and step in time by its name, or by a pattern
    ("layer*.conv1"; the last that fits counts). Without them both are as in space; a kernel that
    is not square (1 x 7) gets the smaller of its sizes. Dilation stays in space. T frames become
    ceil(T / stride) at every layer, so that a clip of any length fits. An adaptive pool pools all
    of time. `frames` is what a `Network` then calls its own length.

    Layers keep their names. Where `forward` itself calls an adaptive pool or takes a mean over the
    space, what comes back is a graph of `torch.fx` (see graph_calls.py).
    """
    wanted = {**(kernels or {}), **(strides or {})}
    names = [name for name, layer in net.named_modules() if isinstance(layer, IN_SPACE)]
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UserError(f"no layer is named {pattern!r} here; the first are {names[:5]}")
    for pattern, value in wanted.items():
        if value < 1:
            raise UserError(f"{pattern}: {value} in time is too little; give 1 or more")

    def change(name: str, layer: nn.Module) -> nn.Module | None:
        size = last_fit(kernels, name), last_fit(strides, name)
        return inflated_layer(layer, size, padding)

    inflated = changed(net, change, "inflate")
    if isinstance(inflated, Network):
        inflated.layout, inflated.frames = "clip", frames
    return inflated


def deflate(net: nn.Module) -> nn.Module:
    """A copy of `net` for pictures: kernels summed over time, pools and steps over space only.

    The inverse of `inflate`. Of any 3-D network it is the one that sees a boring video, but for
    the ends of the clip where those are padded with zeros.
    """
    deflated = changed(net, lambda _, layer: deflated_layer(layer), "deflate")
    if isinstance(deflated, Network):
        deflated.layout, deflated.frames = "stack", 1
    return deflated


def changed(net: nn.Module, change: Change, verb: Direction) -> nn.Module:
    """A copy of `net` with other layers in the places of those that `change` knows."""
    net = copy.deepcopy(net) if isinstance(net, Network) else calls_changed(net, verb)
    known: dict[nn.Module, nn.Module] = {}  # a layer that is used twice stays one layer
    for name, layer in list(net.named_modules(remove_duplicate=False)):
        if layer not in known:
            other = change(name, layer)
            if other is None:
                if not stays(layer):
                    raise UserError(
                        f"cannot {verb} {type(layer).__name__} at {name or 'the top'}: it is "
                        "neither a convolution, norm or pool of torch nor free of dimensions"
                    )
                continue
            known[layer] = other.train(layer.training)
        if not name:
            return known[layer]
        parent, _, own = name.rpartition(".")
        setattr(net.get_submodule(parent), own, known[layer])
    return net


def stays(layer: nn.Module) -> bool:
    """Whether a layer takes pictures and clips alike: it has layers of its own, or no numbers."""
    if any(True for _ in layer.children()) or isinstance(layer, DIMENSION_FREE_LAYERS):
        return True
    home = type(layer).__module__
    if home.startswith("torch.nn.modules."):
        return home in DIMENSION_FREE or isinstance(layer, nn.Sequential | nn.ModuleList)
    return not list(layer.parameters()) and not list(layer.buffers())


def last_fit(values: Mapping[str, int] | None, name: str) -> int | None:
    fits = [value for pattern, value in (values or {}).items() if fnmatchcase(name, pattern)]
    return fits[-1] if fits else None


def pair(value: int | tuple[int, ...]) -> Pair:
    """Torch's "one number or one for each axis", for the two axes of space."""
    return (value, value) if isinstance(value, int) else (value[-2], value[-1])


def is_a(layer: nn.Module, kind: type[nn.Module]) -> bool:
    """Of that class, or of one below it that computes the same."""
    return isinstance(layer, kind) and type(layer).forward is kind.forward


def same_or_fixed(layer: nn.Conv2d | nn.Conv3d) -> Pair:
    """The padding in space, in numbers."""
    if layer.padding_mode != "zeros":
        raise UserError(f"padding mode {layer.padding_mode!r} is not known here; only zeros are")
    if layer.padding == "valid":
        return 0, 0
    if layer.padding == "same":
        reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel_size, strict=True)][-2:]
        if any(r % 2 for r in reach):
            raise UserError(f"even kernels {layer.kernel_size} with padding 'same' are not known")
        return reach[0] // 2, reach[1] // 2
    return pair(layer.padding)  # type: ignore[arg-type]


IN_SPACE = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, SameMaxPool2d)
"""The layers that get a size and a step in time."""


def inflated_layer(
    layer: nn.Module, size: tuple[int | None, int | None], padding: TimePadding
) -> nn.Module | None:
    """The layer for clips; None where it needs no change or cannot be changed."""

    def in_time(kernel: Pair, stride: Pair) -> tuple[Triple, Triple]:
        return (size[0] or min(kernel), *kernel), (size[1] or min(stride), *stride)

    if is_a(layer, nn.Conv2d) or is_a(layer, SameConv2d):
        assert isinstance(layer, nn.Conv2d)
        space: SpacePadding = "same" if isinstance(layer, SameConv2d) else same_or_fixed(layer)
        kernel, stride = in_time(pair(layer.kernel_size), pair(layer.stride))
        with torch.device("meta"):
            conv = ClipConv3d(
                layer.in_channels,
                layer.out_channels,
                kernel,
                stride,
                space=space,
                time=padding,
                dilation=(1, *pair(layer.dilation)),
                groups=layer.groups,
                bias=layer.bias is not None,
            )
        repeated = layer.weight.detach().unsqueeze(2).repeat(1, 1, kernel[0], 1, 1) / kernel[0]
        return with_weights(conv, layer, repeated)
    if is_a(layer, nn.BatchNorm2d):
        return other_norm(layer, nn.BatchNorm3d)
    if is_a(layer, SameMaxPool2d):
        return ClipMaxPool3d(*in_time(layer.kernel, layer.stride))  # type: ignore[arg-type]
    if is_a(layer, nn.MaxPool2d):
        assert isinstance(layer, nn.MaxPool2d)
        kernel, stride = in_time(pair(layer.kernel_size), pair(layer.stride))
        return ClipMaxPool3d(
            kernel,
            stride,
            space=pair(layer.padding),
            dilation=(1, *pair(layer.dilation)),
            ceil_mode=layer.ceil_mode,
        )
    if is_a(layer, nn.AvgPool2d):
        assert isinstance(layer, nn.AvgPool2d)
        kernel, stride = in_time(pair(layer.kernel_size), pair(layer.stride))
        divisor = layer.divisor_override
        return ClipAvgPool3d(
            kernel,
            stride,
            space=pair(layer.padding),
            time=padding,
            ceil_mode=layer.ceil_mode,
            count_include_pad=layer.count_include_pad,
            divisor_override=None if divisor is None else divisor * kernel[0],
        )
    if is_a(layer, nn.AdaptiveAvgPool2d):
        return nn.AdaptiveAvgPool3d((1, *pair(layer.output_size)))  # type: ignore[arg-type]
    if is_a(layer, nn.AdaptiveMaxPool2d):
        return nn.AdaptiveMaxPool3d((1, *pair(layer.output_size)))  # type: ignore[arg-type]
    if is_a(layer, nn.Dropout2d):
        return nn.Dropout3d(layer.p)  # type: ignore[arg-type]
    return None


def deflated_layer(layer: nn.Module) -> nn.Module | None:
    """The layer for pictures; None where it needs no change or cannot be changed."""
    if is_a(layer, nn.Conv3d) or is_a(layer, ClipConv3d):
        assert isinstance(layer, nn.Conv3d)
        kernel, stride = pair(layer.kernel_size), pair(layer.stride)
        width, bias = layer.out_channels, layer.bias is not None
        space = layer.space if isinstance(layer, ClipConv3d) else same_or_fixed(layer)
        with torch.device("meta"):
            if space == "same":
                conv: nn.Conv2d = SameConv2d(
                    layer.in_channels, width, kernel, stride, groups=layer.groups, bias=bias
                )
            else:
                conv = nn.Conv2d(
                    layer.in_channels,
                    width,
                    kernel,
                    stride,
                    space,
                    pair(layer.dilation),
                    layer.groups,
                    bias,
                )
        return with_weights(conv, layer, layer.weight.detach().sum(dim=2))
    if is_a(layer, nn.BatchNorm3d):
        return other_norm(layer, nn.BatchNorm2d)
    if is_a(layer, ClipMaxPool3d):
        assert isinstance(layer, ClipMaxPool3d)
        if layer.space == "same":
            return SameMaxPool2d(pair(layer.kernel), pair(layer.stride))
        dilation = pair(layer.dilation)
        return nn.MaxPool2d(
            pair(layer.kernel),
            pair(layer.stride),
            layer.space,
            dilation,
            ceil_mode=layer.ceil_mode,
        )
    if is_a(layer, nn.MaxPool3d):
        assert isinstance(layer, nn.MaxPool3d)
        return nn.MaxPool2d(
            pair(layer.kernel_size),
            pair(layer.stride),
            pair(layer.padding),
            pair(layer.dilation),
            ceil_mode=layer.ceil_mode,
        )
    if is_a(layer, ClipAvgPool3d):
        assert isinstance(layer, ClipAvgPool3d)
        return flat_mean(layer, layer.kernel, layer.space)
    if is_a(layer, nn.AvgPool3d):
        assert isinstance(layer, nn.AvgPool3d)
        return flat_mean(layer, layer.kernel_size, pair(layer.padding))
    if is_a(layer, nn.AdaptiveAvgPool3d):
        return nn.AdaptiveAvgPool2d(pair(layer.output_size))  # type: ignore[arg-type]
    if is_a(layer, nn.AdaptiveMaxPool3d):
        return nn.AdaptiveMaxPool2d(pair(layer.output_size))  # type: ignore[arg-type]
    if is_a(layer, nn.Dropout3d):
        return nn.Dropout2d(layer.p)  # type: ignore[arg-type]
    return None


def flat_mean(
    layer: ClipAvgPool3d | nn.AvgPool3d, kernel: int | tuple[int, ...], padding: Pair
) -> nn.AvgPool2d:
    depth = kernel if isinstance(kernel, int) else kernel[0]
    divisor = layer.divisor_override
    return nn.AvgPool2d(
        pair(kernel),
        pair(layer.stride),
        padding,
        layer.ceil_mode,
        layer.count_include_pad,
        None if divisor is None else max(divisor // depth, 1),
    )


def with_weights(conv: nn.Module, old: nn.Conv2d | nn.Conv3d, weight: Tensor) -> nn.Module:
    """`conv`, built without memory, with these weights and the old layer's bias."""
    conv.weight = nn.Parameter(weight, requires_grad=old.weight.requires_grad)
    if old.bias is not None:
        conv.bias = old.bias
    return conv


def other_norm(old: nn.Module, kind: type[nn.BatchNorm2d] | type[nn.BatchNorm3d]) -> nn.Module:
    """The same norm, the same tensors, for maps of another dimension."""
    assert isinstance(old, nn.BatchNorm2d | nn.BatchNorm3d)
    with torch.device("meta"):
        norm = kind(old.num_features, old.eps, old.momentum, old.affine, old.track_running_stats)
    for name, parameter in old.named_parameters():
        norm.register_parameter(name, nn.Parameter(parameter, parameter.requires_grad))
    for name, buffer in old.named_buffers():
        norm.register_buffer(name, buffer)
    return norm
