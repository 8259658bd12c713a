"""What an item of flow clips is: the options, and a sample turned into plain tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict

from torch import Tensor

from storage.catalog import Clip
from storage.errors import UserError
from storage.store import StoreConfig
from streams.inputs import RGB, FlowStack, Input
from streams.samples.batch import Sample, collate
from streams.samples.crops import Crop
from streams.samples.dataset import ClipDataset, quantiser_table
from streams.samples.sampling import Sampling
from streams.samples.transforms import prepare

UNLABELLED = -1


class ItemOptions(TypedDict, total=False):
    """What may be said of items, wherever their samples come from; `FlowClips` explains it."""

    length: int
    stride: int
    size: int
    segments: int
    unit: float
    field: Literal["flow", "warped"]
    rgb: bool
    train: bool
    flip: bool
    layout: Literal["stack", "video"]
    transform: Callable[[dict[str, Any]], Any] | None


class FlowItems:
    """Samples as dicts that PyTorch's own collate function puts together."""

    def __init__(
        self,
        config: StoreConfig,
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
        transform: Callable[[dict[str, Any]], Any] | None = None,
    ) -> None:
        if layout not in ("stack", "video"):
            raise UserError(f"layout {layout!r} is neither stack nor video")
        self.flow = FlowStack(length=length, stride=stride, field=field, unit=unit)
        self.inputs: dict[str, Input] = {"flow": self.flow}
        if rgb:
            self.inputs["rgb"] = RGB()
        for input_ in self.inputs.values():
            input_.check(config)
        self.size, self.segments, self.flip = size, segments, flip
        self.train, self.layout, self.transform = train, layout, transform
        self._table = quantiser_table(config)

    def samples(self, store: Any, clips: Sequence[Clip], seed: int = 0) -> ClipDataset:
        """The samples that items are made of."""
        return ClipDataset(
            store,
            clips,
            self.inputs,
            sampling=Sampling(segments=self.segments),
            crop=Crop(size=self.size, flip=self.flip),
            seed=seed,
            snapshots=self.segments,
        )

    def item(self, sample: Sample) -> Any:
        """A sample as the caller wants it."""
        batch = collate([sample])
        item: dict[str, Any] = {"label": sample.label, "video": sample.video}
        for name, input_ in self.inputs.items():
            ready = prepare(batch, name, input_, self._table, self.size)[0]
            item[name] = self._shaped(name, ready)
        return item if self.transform is None else self.transform(item)

    def _shaped(self, name: str, snippets: Tensor) -> Tensor:
        """(K, C, size, size) as the caller wants it."""
        if name == "flow" and self.layout == "video":
            snippets = snippets.unflatten(1, (-1, 2)).transpose(1, 2)
        return (snippets if self.segments > 1 else snippets[0]).contiguous()


def labelled(clips: Sequence[Clip | str]) -> list[Clip]:
    """Ids as clips without a label."""
    done = [clip if isinstance(clip, Clip) else Clip(clip, UNLABELLED, "") for clip in clips]
    if not done:
        raise UserError("there is no video to take clips from")
    return done
