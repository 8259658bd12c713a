"""A run folder made of somebody else's weights, as if they had been trained here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from storage.errors import UserError
from streams.inputs import RGB, AnyInput, FlowStack
from streams.networks import (
    Look,
    build_network,
    entry_of,
    file_state,
    fill,
    in_our_names,
    layout_of,
    look_of,
)
from streams.samples import Sampling
from streams.training.options import Adoption
from streams.training.recipes import Recipe, recipe, recipe_from
from streams.training.run_folder import RunFolder
from streams.training.stream_task import stream_net
from streams.training.weights_file import about_of, save_weights

Kind = Literal["spatial", "temporal"]
MODALITIES: dict[str, Kind] = {"rgb": "spatial", "flow": "temporal"}
"""Modality -> kind of the run."""
SPLIT, VALIDATION = 1, 0.15
"""What a command takes of lists that such a run was not trained on, unless told."""


@dataclass(frozen=True)
class Adopted:
    """What became of a file of weights."""

    layout: str
    """Whose names its tensors have."""
    hash: str
    """Of the weights in the run: what score tables call them."""
    recipe: Recipe
    parameters: int


def adopt(
    file: Path,
    out: Path,
    *,
    network: str,
    modality: str,
    classes: list[str],
    store: Callable[[Recipe], dict[str, Any]],
    asked: Adoption | None = None,
    name: str = "",
    own_store: bool = True,
) -> Adopted:
    """Make the run folder `out`. `store` says how frames and flow are made for the network where
    it is given a video and no store (`StoreConfig.to_json`); a file of ours says so itself, which
    counts unless `own_store` is false.

    The whole network must fit, its classifier too: nothing in the run is random.
    """
    if modality not in MODALITIES:
        raise UserError(f"--input {modality!r} is not one of {', '.join(MODALITIES)}")
    kind = MODALITIES[modality]
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} is not empty; give another --out")
    state = file_state(file)
    layout = layout_of(state)
    known = settings_of_file(file, kind, network)
    if known:
        chosen = recipe_from(known["recipe"])
    else:
        look = look_of(layout, network)
        chosen = recipe_by_origin(state, look, kind, network, modality)
    chosen = with_wishes(chosen, asked or Adoption(), str(file))
    of_file = known.get("data", {}).get("store") if own_store else None
    net = stream_net(chosen, len(classes))
    state = in_our_names(state, net.network)
    check_classifier(state, file, classes)
    fill(net.network, state, str(file), whole=True)
    settings = {
        "kind": kind,
        "seed": 0,
        "recipe": chosen.settings(),
        "data": {
            "adopted": {"file": file.name, "layout": layout},
            "store": of_file or store(chosen),
            "classes": classes,
            "split": SPLIT,
            "validation": VALIDATION,
            "lists": "",
            "clips": "",
            "count": {},
        },
    }
    folder = RunFolder(out)
    origin = {"recipe": "adopted", "name": name, "weights": str(file.resolve())}
    folder.begin(settings, origin)
    weights = net.state_dict()
    about = {"kind": kind, "classes": classes, "step": 0, "validation": {}, "settings": settings}
    written = save_weights(folder.best, weights, about)
    parameters = sum(parameter.numel() for parameter in net.parameters())
    return Adopted(layout, written, chosen, parameters)


def settings_of_file(file: Path, kind: str, network: str) -> dict[str, Any]:
    """What a file of ours says of itself; nothing where it says nothing."""
    path = RunFolder(file).best_weights if file.is_dir() else file
    settings: dict[str, Any] = about_of(path).get("settings") or {}
    if "recipe" not in settings:
        return {}
    found = recipe_from(settings["recipe"])
    if (settings.get("kind"), found.network.name) != (kind, network):
        raise UserError(
            f"{file} says that it is {found.network.name} of a {settings.get('kind')} run, not "
            f"{network} of a {kind} one; change --network and --input"
        )
    return settings


def recipe_by_origin(
    state: dict[str, torch.Tensor], look: Look, kind: str, network: str, modality: str
) -> Recipe:
    """The network's recipe, looking at a video as the weights' origin does."""
    base = recipe("modern", kind, network)
    input_ = base.input
    if entry_of(network).layout == "stack":
        input_ = replace(input_, length=steps_of(state, network, modality, input_.step_channels))
    if look.stride and isinstance(input_, RGB | FlowStack):
        input_ = replace(input_, stride=look.stride)
    if isinstance(input_, RGB) and look.span:
        input_ = replace(input_, span=look.span)  # type: ignore[arg-type]
    elif isinstance(input_, FlowStack) and look.unit:
        input_ = replace(input_, unit=look.unit)
    network_ = replace(base.network, dropout=0.5)
    crop = replace(base.crop, test_share=0.875)
    return replace(base, input=input_, sampling=Sampling(segments=1), crop=crop, network=network_)


def steps_of(
    state: dict[str, torch.Tensor], network: str, modality: str, step_channels: int
) -> int:
    """How many steps lie side by side in the channels of the weights' first layer."""
    with torch.device("meta"):  # for its names alone
        net = build_network(network, modality, 2)  # type: ignore[arg-type]
    first = in_our_names(state, net).get(f"{net.first}.weight")
    if first is None:  # what is missing is named when the network is filled
        return net.channels // step_channels
    channels = first.shape[1] if first.ndim > 1 else 0
    if not channels or channels % step_channels:
        raise UserError(
            f"the first layer of these weights takes {channels} channels, which are no steps of "
            f"{step_channels} ({modality}); change --input"
        )
    return channels // step_channels


def with_wishes(base: Recipe, asked: Adoption, weights: str) -> Recipe:
    """The recipe with what was asked for in the place of what the origin has."""
    wishes = asked_for(asked, "length", "stride", "span", "unit")
    input_: AnyInput = base.input
    for key in wishes:
        if not hasattr(input_, key):
            raise UserError(f"--{key} says nothing of {input_.kind}; leave it out")
    crop = replace(base.crop, **asked_for(asked, "size", "test_share"))
    own = asked_for(asked, "dropout") | ({"extra": asked.extra} if asked.extra else {})
    network = replace(base.network, weights=weights, **own)
    return replace(base, input=replace(input_, **wishes), crop=crop, network=network)


def asked_for(asked: Adoption, *names: str) -> dict[str, Any]:
    """Those of the options that were given."""
    given = {name: getattr(asked, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def check_classifier(state: dict[str, torch.Tensor], file: Path, classes: list[str]) -> None:
    """The classifier must be there, and have a row for each class."""
    twice = [name for name, count in Counter(classes).items() if count > 1]
    if twice:
        raise UserError(f"--classes names {twice[0]!r} twice; each class is named once")
    bias = state.get("head.bias")
    if bias is None:
        raise UserError(
            f"{file} has no classifier: start a training with it, `twostream train ... --weights "
            f"{file}`"
        )
    if len(bias) != len(classes):
        raise UserError(f"{file} knows {len(bias)} classes, --classes names {len(classes)}")
