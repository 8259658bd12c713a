"""The filters of the first layer, step by step."""

from __future__ import annotations

from torch import Tensor

from storage.errors import UserError
from streams.inputs import RGB, AnyInput
from streams.networks import Network


def first_filters(network: Network, input_: AnyInput) -> Tensor:
    """float32 (K, T, c, h, w): K filters over T steps of c channels (red, green, blue, or x, y).

    Steps that lie side by side in a stack are taken apart; a filter of a network for clips has
    its own steps, fewer than the clip.
    """
    weight: Tensor = network.get_submodule(network.first).weight.detach().float()  # type: ignore[operator]
    channels = input_.step_channels
    if weight.ndim == 5:
        steps = weight.transpose(1, 2)
    elif weight.shape[1] % channels == 0:
        steps = weight.unflatten(1, (-1, channels))
    else:
        raise UserError(
            f"the first layer {network.first} takes {weight.shape[1]} channels, which are no steps "
            f"of {channels}"
        )
    if isinstance(input_, RGB) and input_.span == "caffe":
        steps = steps.flip(2)
    return steps.cpu()
