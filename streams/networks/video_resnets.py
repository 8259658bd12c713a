"""torchvision's networks for clips: R3D, MC3, R(2+1)D (Tran et al., CVPR 2018) and S3D (Xie et al.,
ECCV 2018), for any number of channels.

The layers are torchvision's own; here they get the names and the seams of all networks. S3D's last
pool takes the whole of the space instead of 7 x 7 places, which is the same at 224 pixels.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

from storage.errors import UserError
from streams.networks.clip_layers import PooledSteps, TimeMean
from streams.networks.initial import widened
from streams.networks.network import Network
from streams.networks.torchvision_compat import models

S3D_PARTS = (
    "Conv3d_1a_7x7",
    "MaxPool3d_2a_3x3",
    "Conv3d_2b_1x1",
    "Conv3d_2c_3x3",
    "MaxPool3d_3a_3x3",
    "Mixed_3b",
    "Mixed_3c",
    "MaxPool3d_4a_3x3",
    "Mixed_4b",
    "Mixed_4c",
    "Mixed_4d",
    "Mixed_4e",
    "Mixed_4f",
    "MaxPool3d_5a_2x2",
    "Mixed_5b",
    "Mixed_5c",
)
"""The names of I3D for torchvision's `features.0` ... `features.15`."""
RESNETS = ("r3d_18", "mc3_18", "r2plus1d_18")


def build_r3d18(
    channels: int, classes: int, *, frames: int = 16, size: int = 112, dropout: float = 0.0
) -> Network:
    return build_resnet("r3d_18", channels, classes, frames, size, dropout)


def build_mc3_18(
    channels: int, classes: int, *, frames: int = 16, size: int = 112, dropout: float = 0.0
) -> Network:
    return build_resnet("mc3_18", channels, classes, frames, size, dropout)


def build_r2plus1d_18(
    channels: int, classes: int, *, frames: int = 16, size: int = 112, dropout: float = 0.0
) -> Network:
    return build_resnet("r2plus1d_18", channels, classes, frames, size, dropout)


def build_resnet(
    name: str, channels: int, classes: int, frames: int, size: int, dropout: float
) -> Network:
    net = models.get_model(name, weights=None)
    take_channels(net, channels)
    parts: OrderedDict[str, nn.Module] = OrderedDict(net.named_children())
    last = parts.pop("fc")
    assert isinstance(last, nn.Linear)
    parts["flatten"] = nn.Flatten()
    return Network.of_clips(
        parts,
        last.in_features,
        classes,
        channels=channels,
        frames=frames,
        size=size,
        dropout=dropout,
    )


def build_s3d(
    channels: int, classes: int, *, frames: int = 64, size: int = 224, dropout: float = 0.2
) -> Network:
    net = models.get_model("s3d", weights=None)
    take_channels(net, channels)
    parts: OrderedDict[str, nn.Module] = OrderedDict(zip(S3D_PARTS, net.features, strict=True))
    parts["pool"] = PooledSteps()
    parts["mean"] = TimeMean()
    return Network.of_clips(
        parts,
        net.classifier[1].in_channels,
        classes,
        channels=channels,
        frames=frames,
        size=size,
        shortest=5,
        smallest=32,
        dropout=dropout,
    )


def take_channels(net: nn.Module, channels: int) -> None:
    """Put a first convolution for `channels` into the place of the one for 3."""
    name, old = next((n, m) for n, m in net.named_modules() if isinstance(m, nn.Conv3d))
    if old.in_channels != channels:
        parent, _, own = name.rpartition(".")
        setattr(net.get_submodule(parent), own, widened(old, channels, None))


def from_torchvision(name: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict in torchvision's names (`name` is its name of the network) -> in ours."""
    if name in RESNETS:
        return {
            f"head.{n[3:]}" if n.startswith("fc.") else f"backbone.{n}": v for n, v in state.items()
        }
    if name != "s3d":
        raise UserError(f"{name!r} is not one of {', '.join((*RESNETS, 's3d'))}")
    named = {}
    for full, value in state.items():
        room, place, rest = full.split(".", 2)
        if room == "classifier":
            named[f"head.{rest}"] = value.flatten(1) if rest == "weight" else value
        else:
            named[f"backbone.{S3D_PARTS[int(place)]}.{rest}"] = value
    return named
