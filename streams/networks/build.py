"""One call for a stream's network, for scripts and notebooks."""

from __future__ import annotations

from typing import Literal

from storage.errors import UserError
from streams.networks.options import BatchNorm, ConsensusRule
from streams.networks.resnet import StreamNet
from streams.networks.weights import load_initial


def build_stream(
    kind: Literal["spatial", "temporal", "difference"] = "spatial",
    *,
    classes: int,
    depth: int = 18,
    length: int = 10,
    weights: str = "none",
    dropout: float = 0.5,
    consensus: ConsensusRule = "average",
    segments: int = 1,
    batch_norm: BatchNorm = "train",
) -> StreamNet:
    """A stream's network, ready to train.

    `length` is L, the fields of a flow stack (2 L channels) or the differences (3 L channels);
    `weights` is `imagenet`, a file, or `none`.
    """
    channels = {"spatial": 3, "temporal": 2 * length, "difference": 3 * length}
    if kind not in channels:
        raise UserError(f"stream {kind!r} is not one of {', '.join(channels)}")
    net = StreamNet(
        depth,
        channels[kind],
        classes,
        dropout=dropout,
        consensus=consensus,
        segments=segments,
        batch_norm=batch_norm,
    )
    load_initial(net, depth, weights)
    return net
