"""A store as a plain PyTorch dataset, for networks and training loops of one's own.

clips = FlowClips("ucf101.store", catalog.part(1, "train"), length=10, size=224)
for batch in DataLoader(clips, batch_size=32, shuffle=True, num_workers=8):
    logits = net(batch["flow"])          # float32 (32, 20, 224, 224), pixels of motion
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from storage.catalog import Clip
from storage.errors import UserError
from storage.store import Store, open_store
from streams.inputs import RGB, FlowStack
from streams.samples.batch import collate
from streams.samples.crops import Crop
from streams.samples.dataset import ClipDataset, quantiser_table
from streams.samples.sampling import Draw, Sampling
from streams.samples.transforms import prepare

UNLABELLED = -1


class FlowClips(Dataset[dict[str, Any]]):
    """Flow stacks of a store's videos, and their frames where `rgb` is true.

    An item is a dict that PyTorch's own collate function puts together: `flow` float32
    (2 length, size, size), channels x1 y1 x2 y2 ...; `rgb` float32 (3, size, size), normalised as
    ImageNet's; `label`; `video`. With `layout="video"` flow is (2, length, size, size), as 3-D
    networks take it. With `segments` over 1 both get that many snippets as their first axis.
    """

    def __init__(
        self,
        store: str | Path,
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
        """`clips` are a catalog's, or ids; None takes every video, with the label -1.

        `train`: random moments, crops and mirroring, drawn from torch's generator (so that
        `torch.manual_seed` repeats them, and workers differ); otherwise evenly spaced moments and
        the central crop. `missing`: what to do about clips that the store does not hold, or that
        have no flow in it; the attribute `missing` names those that were skipped. `unit`: pixels
        of motion that become 1 (20 for I3D). `transform` is called with the item.
        """
        if missing not in ("stop", "skip"):
            raise UserError(f"missing {missing!r} is neither stop nor skip")
        if layout not in ("stack", "video"):
            raise UserError(f"layout {layout!r} is neither stack nor video")
        opened = open_store(store)
        inputs: dict[str, Any] = {
            "flow": FlowStack(length=length, stride=stride, field=field, unit=unit)
        }
        if rgb:
            inputs["rgb"] = RGB()
        for input_ in inputs.values():
            input_.check(opened.meta)
        self.clips = _labelled(opened.videos() if clips is None else clips)
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
        opened.close()
        self._samples = ClipDataset(
            store,
            self.clips,
            inputs,
            sampling=Sampling(segments=segments),
            crop=Crop(size=size, flip=flip),
            snapshots=segments,
        )
        self._table = quantiser_table(opened.meta)
        self.train, self.segments, self.layout, self.transform = train, segments, layout, transform

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
        batch = collate([self._samples[which]])
        item: dict[str, Any] = {
            "label": self.clips[index].label,
            "video": self.clips[index].video,
        }
        for name, input_ in self._samples.inputs.items():
            size = self._samples.crop.size
            item[name] = self._shaped(name, prepare(batch, name, input_, self._table, size)[0])
        return item if self.transform is None else self.transform(item)

    def _shaped(self, name: str, snippets: Tensor) -> Tensor:
        """(K, C, size, size) as the caller wants it."""
        if name == "flow" and self.layout == "video":
            snippets = snippets.unflatten(1, (-1, 2)).transpose(1, 2)
        return (snippets if self.segments > 1 else snippets[0]).contiguous()


def _has_flow(store: Store, video: str) -> bool:
    return video in store and store.video(video).pairs > 0


def _labelled(clips: Sequence[Clip | str]) -> list[Clip]:
    labelled = [clip if isinstance(clip, Clip) else Clip(clip, UNLABELLED, "") for clip in clips]
    if not labelled:
        raise UserError("there is no video to take clips from")
    return labelled
