"""A store as a plain PyTorch dataset, for networks and training loops of one's own.

clips = FlowClips("ucf101.store", catalog.part(1, "train"), length=10, size=224)
for batch in DataLoader(clips, batch_size=32, shuffle=True, num_workers=8):
    logits = net(batch["flow"])          # float32 (32, 20, 224, 224), pixels of motion
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

import torch
from torch.utils.data import Dataset

from storage.catalog import Clip
from storage.errors import UserError
from storage.store import Store, open_store
from streams.samples.flow_items import FlowItems, ItemOptions, labelled
from streams.samples.sampling import Draw

if TYPE_CHECKING:
    from streams.samples.shard_clips import ShardClips


class FlowClips(Dataset[dict[str, Any]]):
    """Flow stacks of a store's videos, and their frames where `rgb` is true.

    An item is a dict that PyTorch's own collate function puts together: `flow` float32
    (2 length, size, size), channels x1 y1 x2 y2 ...; `rgb` float32 (3, size, size), normalised as
    ImageNet's; `label`; `video`. With `layout="video"` flow is (2, length, size, size), as 3-D
    networks take it. With `segments` over 1 both get that many snippets as their first axis.
    """

    def __init__(
        self,
        store: str | Path | Store,
        clips: Sequence[Clip | str] | None = None,
        *,
        length: int = 10,
        stride: int = 1,
        size: int = 224,
        segments: int = 1,
        unit: float = 1.0,
        field: Literal["flow", "warped"] = "flow",
        rgb: bool = False,
        train: bool = True,
        flip: bool = True,
        layout: Literal["stack", "video"] = "stack",
        missing: Literal["stop", "skip"] = "stop",
        transform: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        """`store` is a folder, or an opened store (`open_remote` gives one that lies elsewhere).
        `clips` are a catalog's, or ids; None takes every video, with the label -1.

        `train`: random moments, crops and mirroring, drawn from torch's generator (so that
        `torch.manual_seed` repeats them, and workers differ); otherwise evenly spaced moments and
        the central crop. `missing`: what to do about clips that the store does not hold, or that
        have no flow in it; the attribute `missing` names those that were skipped. `unit`: pixels
        of motion that become 1 (20 for I3D). `transform` is called with the item.
        """
        if missing not in ("stop", "skip"):
            raise UserError(f"missing {missing!r} is neither stop nor skip")
        opened = store if isinstance(store, Store) else open_store(store)
        self._items = FlowItems(
            opened.meta,
            length=length,
            stride=stride,
            size=size,
            segments=segments,
            unit=unit,
            field=field,
            rgb=rgb,
            train=train,
            flip=flip,
            layout=layout,
            transform=transform,
        )
        self.clips = labelled(opened.videos() if clips is None else clips)
        self.missing: tuple[str, ...] = ()
        if missing == "skip":
            asked, self.clips = self.clips, [c for c in self.clips if _has_flow(opened, c.video)]
            kept = {clip.video for clip in self.clips}
            self.missing = tuple(clip.video for clip in asked if clip.video not in kept)
            if not self.clips:
                raise UserError(f"none of the {len(asked)} clips is in {store}")
        for clip in self.clips:
            if opened.video(clip.video).pairs == 0:
                raise UserError(f"{clip.video!r} has no flow; leave it out, or pass missing='skip'")
        if opened is not store:
            opened.close()
        self._samples = self._items.samples(store, self.clips)
        self.train, self.segments, self.layout, self.transform = train, segments, layout, transform

    @classmethod
    def from_shards(
        cls,
        shards: str | Path,
        clips: Sequence[Clip | str] | None = None,
        *,
        seed: int = 0,
        buffer: int = 200,
        rank: int | None = None,
        world: int | None = None,
        cache: str | Path | None = None,
        cache_mb: float | None = None,
        **options: Unpack[ItemOptions],
    ) -> ShardClips:
        """The same items from what `twostream export --to webdataset` wrote, read in sequence.

        `shards`: that folder, or the URL that it lies under. An item is of a clip, not of a video;
        its label is the export's unless `clips` are given, which choose videos and label them.
        See `ShardClips` for the rest; `options` are those above, without `missing`.
        """
        from streams.samples.shard_clips import ShardClips

        return ShardClips(
            shards,
            clips,
            seed=seed,
            buffer=buffer,
            rank=rank,
            world=world,
            cache=cache,
            cache_mb=cache_mb,
            **options,
        )

    def __repr__(self) -> str:
        left_out = f", {len(self.missing)} missing" if self.missing else ""
        return (
            f"FlowClips({len(self)} videos of {self._samples.path}{left_out}, train={self.train})"
        )

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        which: Draw | int = index
        if self.train:
            which = Draw(int(torch.randint(2**62, ())), index)
        return self._items.item(self._samples[which])


def _has_flow(store: Store, video: str) -> bool:
    return video in store and store.video(video).pairs > 0
