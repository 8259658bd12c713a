"""ActionVLAD (Girdhar et al., CVPR 2017): residuals to learned centres, summed over a video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from storage.errors import UserError
from streams.aggregators.aggregator import Aggregator, Piece
from streams.aggregators.stepwise import mean_probability

Fusion = Literal["concatenated", "early", "late"]
"""Of the maps of two streams. concatenated: descriptors side by side, one vocabulary of twice the
width. early: the descriptors of both in one vocabulary, as if there were more places. late: a
vocabulary and a classifier each, and the mean of their probabilities."""


class VLAD(nn.Module):
    """Descriptors (N, M, D) and which of them count, (N, M) -> (N, K D), of length 1.

    Descriptors are brought to length 1. Descriptor x belongs to centre c by the softmax of
    -alpha |x - c|^2, which is that of x (2 alpha c) - alpha |c|^2: a 1x1 convolution, whose
    weights learn apart from the centres (as in the authors' code). Residuals x - c are summed
    over all places and times, each centre's sum is brought to length 1, then the whole.
    """

    def __init__(self, width: int, clusters: int, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha
        self.centres = nn.Parameter(torch.empty(clusters, width))
        self.assign_weight = nn.Parameter(torch.empty(clusters, width))
        self.assign_bias = nn.Parameter(torch.empty(clusters))
        self.set_centres(functional.normalize(torch.randn(clusters, width), dim=1))

    @torch.no_grad()
    def set_centres(self, centres: Tensor) -> None:
        """centres (K, D); the assignment follows them."""
        self.centres.copy_(centres)
        self.assign_weight.copy_(2 * self.alpha * self.centres)
        self.assign_bias.copy_(-self.alpha * self.centres.square().sum(1))

    def assignment(self, x: Tensor) -> Tensor:
        """Descriptors (N, M, D) of length 1 -> (N, M, K), each row sums to 1."""
        return functional.linear(x, self.assign_weight, self.assign_bias).softmax(2)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        # alpha = 1000 leaves half precision no digits of the distances
        with torch.autocast(x.device.type, enabled=False):
            x = functional.normalize(x.to(self.centres.dtype), dim=2)
            share = self.assignment(x) * mask[:, :, None]
            sums = share.transpose(1, 2) @ x - share.sum(1)[:, :, None] * self.centres
            return functional.normalize(functional.normalize(sums, dim=2).flatten(1), dim=1)


def k_means(descriptors: Tensor, clusters: int, *, seed: int = 0) -> Tensor:
    """Descriptors (M, D) -> float32 centres (K, D) of them at length 1; one seed, one answer."""
    from sklearn.cluster import MiniBatchKMeans

    lengths = descriptors.norm(dim=1)
    usable = descriptors[lengths > 0]
    if len(usable) < clusters or not bool(usable.isfinite().all()):
        raise UserError(
            f"{len(usable)} descriptors other than zero, all of them finite, must be at least "
            f"--extra clusters={clusters}; take descriptors of more videos"
        )
    points = functional.normalize(usable.float(), dim=1).cpu().numpy()
    means = MiniBatchKMeans(clusters, random_state=seed, n_init=3, batch_size=4096).fit(points)
    return torch.from_numpy(means.cluster_centers_).float()


class ActionVLAD(Aggregator):
    """Maps (N, T, D, h, w), or features (N, T, D), -> VLAD (K D numbers) -> dropout -> logits.

    The maps of several streams lie side by side in D; `widths` says how many each has. Centres
    are random directions until `set_centres`. The paper: the last convolution of VGG-16, D = 512,
    K = 64 and so 32,768 numbers, alpha = 1000, 25 frames.
    """

    takes = "both"
    stream_weights: Tensor

    def __init__(
        self,
        width: int,
        classes: int,
        *,
        clusters: int = 64,
        alpha: float = 1000.0,
        widths: Sequence[int] | None = None,
        fusion: Fusion = "concatenated",
        stream_weights: Sequence[float] | None = None,
        dropout: float = 0.5,
    ) -> None:
        """`stream_weights`: of late fusion, alike where not given."""
        super().__init__(width, classes)
        self.widths = list(widths or [width])
        if fusion not in get_args(Fusion):
            raise UserError(f"a fusion is one of {', '.join(get_args(Fusion))}, not {fusion!r}")
        if sum(self.widths) != width or clusters < 1:
            raise UserError(
                f"streams of {self.widths} features must have {width} together, and --extra "
                f"clusters={clusters} must be at least 1"
            )
        if fusion == "early" and len(set(self.widths)) > 1:
            raise UserError(
                f"early fusion has one vocabulary, so streams of {self.widths} features must be "
                "alike; choose concatenated or late"
            )
        self.fusion = fusion
        own = {"concatenated": [width], "early": self.widths[:1], "late": self.widths}[fusion]
        self.layers = nn.ModuleList(VLAD(size, clusters, alpha) for size in own)
        self.dropout = nn.Dropout(dropout)
        self.heads = nn.ModuleList(nn.Linear(clusters * size, classes) for size in own)
        share = torch.tensor(list(stream_weights or [1.0] * len(own)))
        if share.shape != (len(own),) or bool((share < 0).any()) or share.sum() == 0:
            raise UserError(
                f"{len(own)} weights of streams, none below 0, are needed, not {stream_weights}"
            )
        self.register_buffer("stream_weights", share / share.sum())

    def descriptors(self, x: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each vocabulary its descriptors (N, M, D) and which of them count, (N, M)."""
        x = x.flatten(3).transpose(2, 3) if x.ndim == 5 else x[:, :, None]
        valid = mask[:, :, None].expand(x.shape[:3]).flatten(1)
        if self.fusion == "concatenated":
            return [(x.flatten(1, 2), valid)]
        streams = [part.flatten(1, 2) for part in x.split(self.widths, 3)]
        if self.fusion == "early":
            return [(torch.cat(streams, 1), valid.repeat(1, len(streams)))]
        return [(part, valid) for part in streams]

    @torch.no_grad()
    def samples(self, x: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """For each vocabulary the descriptors (M, D) of these videos, to collect for k-means."""
        return [part[valid] for part, valid in self.descriptors(*self.prepare(x, lengths))]

    @property
    def vocabularies(self) -> list[VLAD]:
        return [layer for layer in self.layers if isinstance(layer, VLAD)]

    def set_centres(self, samples: Sequence[Tensor], *, seed: int = 0) -> None:
        """Centres by k-means from descriptors (M, D), one tensor for each vocabulary."""
        if len(samples) != len(self.layers):
            raise UserError(
                f"{len(samples)} sets of descriptors for {len(self.layers)} vocabularies"
            )
        for layer, own in zip(self.vocabularies, samples, strict=True):
            layer.set_centres(k_means(own, len(layer.centres), seed=seed))

    def features(self, x: Tensor, mask: Tensor) -> list[Tensor]:
        """For each vocabulary (N, K D)."""
        both = zip(self.layers, self.descriptors(x, mask), strict=True)
        return [layer(part, valid) for layer, (part, valid) in both]

    def stream_logits(self, x: Tensor, mask: Tensor) -> list[Tensor]:
        both = zip(self.heads, self.features(x, mask), strict=True)
        return [head(self.dropout(row)) for head, row in both]

    def logits(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.fused(self.stream_logits(x, mask))

    def fused(self, streams: Sequence[Tensor]) -> Tensor:
        """Logits of each stream -> logits (N, classes)."""
        each = torch.stack(list(streams), 1)
        if each.shape[1] == 1:
            return each[:, 0]
        return mean_probability(each, self.stream_weights.expand(each.shape[:2]))

    def pieces(self, x: Tensor, labels: Tensor, lengths: Tensor | None = None) -> Iterator[Piece]:
        """Under late fusion every stream has a loss of its own, as if trained alone."""
        streams = self.stream_logits(*self.prepare(x, lengths))
        loss = torch.stack([self.cross_entropy(part, labels) for part in streams]).sum()
        yield Piece(loss, self.fused([part.detach() for part in streams]))
