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

from storage.errors import UserError
from streams.networks.network import Network


class SameVideo(nn.Module):
    """frames (N, C, H, W), clips (N, C, T, H, W) and videos (N,) -> logits (M, 2) of pairs of a
    frame and a clip, other video and same video, and which of the two is right, (M,).

    All right pairs, and as many wrong ones as there are rows with another video beside them; each
    network sees each row once. The frame network gets no gradient, and its batch norms keep their
    statistics; the clip network's classifier has no part in it.
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
        clip_network.head.requires_grad_(False)
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

    def forward(
        self, frames: Tensor, clips: Tensor, videos: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            seen = self.frame_network.features(frames)
        watched = self.clip_network.features(clips)
        of_frames, of_clips, same = (each.to(seen.device) for each in pairs(videos, generator))
        logits = self.judge(torch.cat([seen[of_frames], watched[of_clips]], dim=1))
        return logits, same


def features_of(net: Network) -> int:
    """How many numbers the classifier of `net` takes."""
    return next(m for m in net.head.modules() if isinstance(m, nn.Linear)).in_features


def pairs(videos: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """int (N,) ids of videos -> rows of frames, rows of clips, 1 where the same: int64 (M,).

    First all right pairs, then for every frame a clip of another video, each equally likely; of
    rows that are all of one video there are right pairs only.
    """
    rows = torch.arange(len(videos))
    others = (videos[:, None] != videos[None, :]).double()
    if not bool(others.any()):
        return rows, rows, torch.ones_like(rows)
    wrong = torch.multinomial(others, 1, generator=generator).squeeze(1)
    same = torch.cat([torch.ones_like(rows), torch.zeros_like(rows)])
    return torch.cat([rows, rows]), torch.cat([rows, wrong]), same
