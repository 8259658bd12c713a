"""From a network for pictures to one for clips by a question without labels: is it the same video?

Diba et al., "Temporal 3D ConvNets", 2017, section 3.3: a trained 2-D network stays as it is; beside
it a 3-D network learns so that from both of their features one can tell whether the frame and the
clip are of one video. What the 2-D network knows is then in the 3-D one's weights.

Departures: features go into the two fully connected layers (512, 128) without another layer before
them; the wrong pairs are drawn within the batch, as many as there are right ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from storage.errors import UserError
from streams.networks.network import Network


class SameVideo(nn.Module):
    """frames (N, C, H, W) and clips (N, C, T, H, W) -> logits (N, 2): other video, same video.

    The frame network gets no gradient, and its batch norms keep their statistics.
    """

    def __init__(
        self, frame_network: Network, clip_network: Network, hidden: tuple[int, int] = (512, 128)
    ) -> None:
        super().__init__()
        if (frame_network.layout, clip_network.layout) != ("stack", "clip"):
            raise UserError(
                "transfer takes a network for pictures and one for clips, not one of layout "
                f"{frame_network.layout!r} and one of {clip_network.layout!r}"
            )
        self.frame_network = frame_network.requires_grad_(False).eval()
        self.clip_network = clip_network
        width = features_of(frame_network) + features_of(clip_network)
        self.judge = nn.Sequential(
            nn.Linear(width, hidden[0]),
            nn.ReLU(),
            nn.Linear(hidden[0], hidden[1]),
            nn.ReLU(),
            nn.Linear(hidden[1], 2),
        )

    def train(self, mode: bool = True) -> SameVideo:
        super().train(mode)
        self.frame_network.eval()
        return self

    def forward(self, frames: Tensor, clips: Tensor) -> Tensor:
        with torch.no_grad():
            seen = self.frame_network.features(frames)
        return self.compare(seen, self.clip_network.features(clips))

    def compare(self, frames: Tensor, clips: Tensor) -> Tensor:
        """Features (N, D2) and (N, D3) -> logits (N, 2)."""
        logits: Tensor = self.judge(torch.cat([frames, clips], dim=1))
        return logits

    def loss(
        self, frames: Tensor, clips: Tensor, videos: Tensor, generator: torch.Generator
    ) -> Tensor:
        """Cross entropy over all right pairs and as many wrong ones; row i of `frames` and of
        `clips` is of video `videos[i]`. Each network sees each row once."""
        with torch.no_grad():
            seen = self.frame_network.features(frames)
        watched = self.clip_network.features(clips)
        of_frames, of_clips, same = pairs(videos, generator)
        logits = self.compare(seen[of_frames], watched[of_clips])
        return F.cross_entropy(logits, same)


def features_of(net: Network) -> int:
    """How many numbers the classifier of `net` takes."""
    return next(m for m in net.head.modules() if isinstance(m, nn.Linear)).in_features


def pairs(videos: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """int (N,) ids of videos -> rows of frames, rows of clips, 1 where the same: int64 (2 N,).

    First all right pairs, then for every frame a clip of another video, each equally likely.
    """
    others = (videos[:, None] != videos[None, :]).double()
    if not bool(others.any(dim=1).all()):
        raise UserError(
            "all clips of this batch are of one video, so there is no wrong pair; "
            "take larger batches (--batch)"
        )
    rows = torch.arange(len(videos))
    wrong = torch.multinomial(others.cpu(), 1, generator=generator).squeeze(1)
    same = torch.cat([torch.ones_like(rows), torch.zeros_like(rows)])
    of_frames, of_clips = torch.cat([rows, rows]), torch.cat([rows, wrong])
    return of_frames.to(videos.device), of_clips.to(videos.device), same.to(videos.device)
