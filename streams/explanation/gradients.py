"""Grad-CAM, guided back-propagation and deconvnet of any network here, by captum.

Grad-CAM (Selvaraju et al. 2017): the maps behind a part, weighed by the mean gradient of a class
and added up; what speaks against the class is cut off. Guided back-propagation (Springenberg et
al. 2015): the gradient at the input, of which every ReLU passes on only what is positive and
comes from where it was active. Deconvnet (Zeiler and Fergus 2014): every ReLU passes on what is
positive, wherever it comes from; maximum pooling remembers where its maximum was. Batch norm
scales as in testing, which the paper's network did not have.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from storage.errors import UserError
from streams.networks import Network

if TYPE_CHECKING:
    from collections.abc import Iterator

RELUS: set[Callable[..., Any]] = {
    *(torch.relu, torch.relu_, F.relu, F.relu_, Tensor.relu, Tensor.relu_)
}


def attribution() -> Any:
    """captum.attr; a UserError says how to install it."""
    try:
        from captum import attr
    except ImportError:
        raise UserError(
            "pictures of what a network sees need captum, which is not here: "
            "pip install 'twostream[explain]'"
        ) from None
    return attr


N = TypeVar("N", bound=nn.Module)


def gradient_copy(network: N) -> N:
    """A copy to take gradients of: it answers as in testing, and no layer works in place."""
    own = copy.deepcopy(network).eval().requires_grad_(False)
    for module in own.modules():
        if isinstance(getattr(module, "inplace", None), bool):
            module.inplace = False  # type: ignore[assignment]
    return own


FINE = 4
"""Places of a side of a map from which on Grad-CAM tells places apart."""


def last_map(network: Network, x: Tensor) -> str:
    """The last part whose map is fine enough for Grad-CAM; else the last that has a map."""
    maps = network.stages(x)
    if not maps:
        raise UserError("no part of the network has maps of this input; Grad-CAM draws nothing")
    fine = [stage for stage in maps if min(stage.size[-2:]) >= FINE]
    return (fine or maps)[-1].name


def grad_cam(network: Network, x: Tensor, target: int, at: str) -> Tensor:
    """Where the class `target` was seen in x (1, ...): float32 (H, W), or (T, H, W) of a clip.

    0 or more, of the size of the input, interpolated (tri)linearly from the map behind `at`.
    """
    found = class_map(network, x, target, network.part(at))
    if found.ndim < 4:
        raise UserError(f"behind --at {at} stand {tuple(found.shape[1:])}; that is no map")
    size = x.shape[-(found.ndim - 2) :]
    mode = "bilinear" if found.ndim == 4 else "trilinear"
    return F.interpolate(found, size, mode=mode, align_corners=False)[0, 0]


def class_map(
    network: nn.Module, x: Tensor | tuple[Tensor, ...], target: int, layer: nn.Module
) -> Tensor:
    """Grad-CAM of what comes out of a layer, (N, C, ...): float32 (N, 1, ...), 0 or more."""
    with quietly():
        cam = attribution().LayerGradCam(network, layer)
        found: Tensor = cam.attribute(x, target=target, relu_attributions=True)
    return found.detach()


Given = TypeVar("Given", Tensor, tuple[Tensor, Tensor])


def guided_gradient(network: nn.Module, x: Given, target: int) -> Given:
    """Of the class `target`, by guided back-propagation: float32 with the shape of x; of a network
    that is given two inputs, of both."""
    with quietly():
        found: Given = attribution().GuidedBackprop(network).attribute(x, target=target)
    return found


class Until(nn.Module):
    """A network up to the map behind one of its parts."""

    def __init__(self, network: Network, at: str) -> None:
        super().__init__()
        self.network, self.at = network, at

    def forward(self, x: Tensor) -> Tensor:
        return self.network.until(x, self.at)


def deconvolved(network: Network, x: Tensor, at: str, place: tuple[int, ...]) -> Tensor:
    """What in x made one number behind `at`, by deconvnet: float32 with the shape of x.

    `place`: filter, then (t,) y, x in the map."""
    with quietly():
        found: Tensor = attribution().Deconvolution(Until(network, at)).attribute(x, target=place)
    return found.detach()


@contextmanager
def quietly() -> Iterator[None]:
    """Captum warns each time that it sets hooks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting (forward, )?backward hooks", UserWarning)
        warnings.filterwarnings("ignore", "Input Tensor .* required_grads", UserWarning)
        warnings.filterwarnings("ignore", "required_grads has not been set", UserWarning)
        yield


class CountReLUs(TorchFunctionMode):
    """How often a ReLU is computed, by modules or not."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.calls += func in RELUS
        return func(*args, **(kwargs or {}))


def why_not_guided(network: nn.Module, *x: Tensor) -> str:
    """Why guided back-propagation and deconvnet mean nothing on this network; empty where they do.

    Both change the gradient of ReLUs, and find those that are modules."""
    modules, calls = [m for m in network.modules() if isinstance(m, nn.ReLU)], 0

    def called(*_: object) -> None:
        nonlocal calls
        calls += 1

    hooks = [module.register_forward_hook(called) for module in modules]
    with torch.no_grad(), CountReLUs() as counted:
        network(*x)
    for hook in hooks:
        hook.remove()
    if not counted.calls:
        return "the network has no ReLU, whose gradient they change"
    if counted.calls > calls:
        return f"{counted.calls - calls} of its {counted.calls} ReLUs are no modules"
    return ""
