"""Networks of other libraries: `torchvision:NAME`, and `timm:NAME` where timm is installed.

Their classifier is replaced, and their first layer has as many channels as the input. Where such a
network is a plain chain of layers it is taken apart, so that stages can be had; this is tried out,
and a network is left whole if the chain does not give what the network gives, or if its maps have
their channels last (Swin). A network left whole has one part, `model`.

Departures: SqueezeNet classifies places and then averages; here it averages and then classifies.
GoogLeNet and Inception-v3 come without their auxiliary classifiers.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from storage.errors import UserError
from streams.networks.initial import Rule, classifier, widened
from streams.networks.network import CONVOLUTIONS, Network
from streams.networks.torchvision_compat import models

USUAL = 224
"""Pixels, where the library does not say."""
FIXED = ("vit_", "maxvit_")
"""torchvision's networks that are built for one size."""
WHOLE = "model"
TRIAL = 96
"""Pixels of the picture with which a chain is tried out."""

Built = tuple[nn.Module, int, int, bool, str]
"""A network without its classifier, its features' width, its size in pixels, fixed or not, and what
the library calls the classifier."""


class Foreign(Network):
    """A network whose parts come from another library."""

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        head: nn.Module,
        origin: Mapping[str, str],
        classifier: str,
        **rest: Any,
    ) -> None:
        super().__init__(parts, head, **rest)
        self.origin = dict(origin)
        """Part -> its name in the library's own network."""
        self.own_classifier = classifier
        """The name of its last layer there; empty where that is not known."""

    def renamed(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The library's state dict in our names; what this network lacks is called as there."""
        names = {}
        for part, path in self.origin.items():
            prefix = f"{path}." if path else ""
            for name in self.backbone.get_submodule(part).state_dict():
                names[prefix + name] = f"backbone.{part}.{name}"
        if self.own_classifier:
            names |= {f"{self.own_classifier}.{n}": f"head.{n}" for n in ("weight", "bias")}
        found = {names.get(name, f"backbone.{name}"): value for name, value in state.items()}
        if "head.weight" in found:  # SqueezeNet's is a convolution
            found["head.weight"] = found["head.weight"].flatten(1)
        return found


def build_named(channels: int, classes: int, *, name: str, **options: Any) -> Foreign:
    """The same, as all builders are called."""
    return build(name, channels, classes, **options)


def build(
    name: str,
    channels: int,
    classes: int,
    *,
    dropout: float = 0.5,
    size: int | None = None,
    pretrained: bool = False,
    rule: Rule = "rescaled",
) -> Foreign:
    """`torchvision:convnext_tiny`, `timm:resnest50d`, ... -> float (N, channels, size, size).

    `size` None: the network's own. `pretrained` fetches the library's weights; `rule` says how
    their first layer comes to `channels`. Without them a changed first layer starts at random.
    """
    library, _, model = name.partition(":")
    if library not in LIBRARIES or not model:
        allowed = " or ".join(f"{known}:NAME" for known in LIBRARIES)
        raise UserError(f"--network {name} is not {allowed}")
    net, width, own, fixed, last = LIBRARIES[library](model, size, pretrained)
    first = first_convolution(net)
    if first is not None:
        layer = net.get_submodule(first)
        if layer.in_channels != channels:
            replace(net, first, widened(layer, channels, rule if pretrained else None))
    elif channels != 3:
        raise UserError(
            f"{name} has no convolution as its first layer, so it takes RGB only, not {channels} "
            "channels; take another --network"
        )
    side = own if fixed else min(own, TRIAL)
    parts, origin = taken_apart(net, channels, side) or ({WHOLE: net}, {WHOLE: ""})
    return Foreign(
        parts,
        classifier(width, classes),
        origin,
        last,
        channels=channels,
        size=own,
        fixed_size=fixed,
        dropout=dropout,
    )


def torchvision_network(name: str, size: int | None, pretrained: bool) -> Built:
    known = models.list_models(module=models)
    check_name("torchvision", name, known)
    fixed = name.startswith(FIXED)
    own = size or torchvision_size(name)
    options: dict[str, Any] = {}
    if name in ("googlenet", "inception_v3") and not pretrained:
        options |= {"init_weights": False, "aux_logits": False}
    if name.startswith("vit_"):
        options["image_size"] = own
    elif name.startswith("maxvit_"):
        options["input_size"] = (own, own)
    try:
        net = models.get_model(name, weights="DEFAULT" if pretrained else None, **options)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"torchvision:{name} cannot be built: {first_line(error)}") from None
    if hasattr(net, "aux_logits"):
        net.aux_logits = False
        for auxiliary in [n for n, _ in net.named_children() if n.lower().startswith("aux")]:
            setattr(net, auxiliary, None)
    width, last = without_classifier(net)
    return net, width, own, fixed, last


def timm_network(name: str, size: int | None, pretrained: bool) -> Built:
    timm = timm_module()
    if timm is None:
        raise UserError(
            f"timm:{name} needs timm, which is not installed: pip install 'twostream[timm]'"
        )
    check_name("timm", name.split(".")[0], timm.list_models())
    net = timm.create_model(name, pretrained=pretrained)
    config = net.pretrained_cfg
    fixed = bool(config.get("fixed_input_size", False))
    own = size or config["input_size"][-1]
    if fixed and size and size != config["input_size"][-1]:
        try:
            net = timm.create_model(name, pretrained=pretrained, img_size=size)
        except TypeError:
            raise UserError(
                f"timm:{name} takes {config['input_size'][-1]} pixels only, not --size {size}"
            ) from None
    last = config.get("classifier") or ""
    net.reset_classifier(0)
    # Some have a layer between the pooling and the classifier, and say its width apart.
    width = getattr(net, "head_hidden_size", None) or net.num_features
    return net, width, own, fixed, last if isinstance(last, str) else ""


def timm_module() -> Any:
    """None where it is not installed."""
    try:
        return import_module("timm")
    except ModuleNotFoundError:
        return None


@cache
def own_size(name: str) -> int:
    """Pixels of the pictures that the library's own weights were trained on."""
    library, _, model = name.partition(":")
    return torchvision_size(model) if library == "torchvision" else timm_size(model)


def torchvision_size(name: str) -> int:
    if name not in models.list_models(module=models):
        return USUAL
    weights = models.get_model_weights(name)
    first = getattr(weights, "IMAGENET1K_V1", weights.DEFAULT)  # those of --weights imagenet
    return int(first.transforms.keywords["crop_size"])


def timm_size(name: str) -> int:
    timm = timm_module()
    config = timm.get_pretrained_cfg(name) if timm is not None else None
    return int(config.input_size[-1]) if config is not None else USUAL


LIBRARIES: dict[str, Callable[[str, int | None, bool], Built]] = {
    "torchvision": torchvision_network,
    "timm": timm_network,
}


def check_name(library: str, name: str, known: list[str]) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, 3, 0.5) or known[:3]
        raise UserError(
            f"{library} has no classifier {name!r}; near it are {', '.join(near)} "
            f"({len(known)} in all)"
        )


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def first_convolution(net: nn.Module) -> str | None:
    """The name of the first convolution, if no layer with weights stands before it."""
    for name, module in net.named_modules():
        if isinstance(module, CONVOLUTIONS):
            return name
        if isinstance(module, nn.Linear):
            return None
    return None


def replace(net: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, last = name.rpartition(".")
    setattr(net.get_submodule(parent), last, module)


def without_classifier(net: nn.Module) -> tuple[int, str]:
    """Take the last layer away, and a dropout just before it; returns the features' width and the
    layer's name.

    The dropout goes because `Network` has its own there.
    """
    kinds = (nn.Linear, nn.Conv2d, nn.Dropout)
    layers = [(name, module) for name, module in net.named_modules() if isinstance(module, kinds)]
    place = max(i for i, (_, module) in enumerate(layers) if not isinstance(module, nn.Dropout))
    name, last = layers[place]
    before, dropout = layers[place - 1]
    beside = name.rpartition(".")[0]
    if isinstance(dropout, nn.Dropout) and before.rpartition(".")[0] == beside:
        replace(net, before, nn.Identity())
    replace(net, name, nn.Identity())
    width: int = last.in_features if isinstance(last, nn.Linear) else last.in_channels  # type: ignore[assignment]
    return width, name


class Pool(nn.Module):
    """(N, D, H, W) -> (N, D)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


def taken_apart(
    net: nn.Module, channels: int, side: int
) -> tuple[dict[str, nn.Module], dict[str, str]] | None:
    """Parts in a row that give the network's own features, and where they come from; or None."""
    if any(p.is_meta for p in net.parameters()):
        return None
    training = net.training
    net.eval()
    try:
        with torch.no_grad():
            seed = torch.Generator().manual_seed(0)  # leaves the training's own numbers alone
            return chained(net, torch.rand(1, channels, side, side, generator=seed))
    finally:
        net.train(training)


def chained(net: nn.Module, picture: Tensor) -> tuple[dict[str, nn.Module], dict[str, str]] | None:
    wanted = net(picture)
    parts: dict[str, nn.Module] = {}
    origin = {}
    x = picture
    for path, module in flat(net):
        if isinstance(module, nn.Linear) and x.ndim == 4:
            parts["flatten"] = nn.Flatten()
            x = x.flatten(1)
        try:
            x = module(x)
        except Exception:  # whatever a layer raises that does not stand in a row
            return None
        if not isinstance(x, Tensor) or x.ndim not in (2, 4):
            return None
        if x.ndim == 4 and x.shape[2] != x.shape[3]:
            return None  # channels last
        name = path.replace(".", "_")
        parts[name], origin[name] = module, path
    for ending in ENDINGS:
        end, tail = x, ending() if x.ndim == 4 else {}
        for module in tail.values():
            end = module(end)
        if end.shape == wanted.shape and torch.equal(end, wanted):
            return not_in_place(parts | tail), origin
    return None


def not_in_place(parts: dict[str, nn.Module]) -> dict[str, nn.Module]:
    """Whoever takes the map before a part must find it unchanged behind it."""
    for part in parts.values():
        if hasattr(part, "inplace"):
            part.inplace = False  # type: ignore[assignment]
    return parts


ENDINGS: tuple[Callable[[], dict[str, nn.Module]], ...] = (
    lambda: {"flatten": nn.Flatten()},
    lambda: {"pool": Pool()},
    lambda: {"relu": nn.ReLU(), "pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()},
)
"""What networks do with their last map in code that is no layer."""


def flat(net: nn.Module) -> list[tuple[str, nn.Module]]:
    """The children in their order, those of a Sequential in its place; without empty ones."""
    found: list[tuple[str, nn.Module]] = []
    for name, child in net.named_children():
        if type(child) is nn.Sequential:
            found += [(f"{name}.{number}", part) for number, part in child.named_children()]
        else:
            found.append((name, child))
    return [(name, part) for name, part in found if not isinstance(part, nn.Identity)]
