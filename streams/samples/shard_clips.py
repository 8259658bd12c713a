"""Shards of clips as a PyTorch dataset that is read in sequence: from disks far away, by many.

clips = FlowClips.from_shards("https://host/ucf101", length=10, size=224)
for epoch in range(30):
    clips.set_epoch(epoch)
    for batch in DataLoader(clips, batch_size=32, num_workers=8):
        ...
"""

from __future__ import annotations

import os
import random
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack, cast

import torch
from torch import distributed
from torch.utils.data import IterableDataset, get_worker_info

from storage.catalog import Clip
from storage.errors import StoreError, UserError
from storage.remote import FileCache, read_remote
from storage.shards import SHARDS_INDEX, CodedClip, ShardIndex
from storage.store import Store
from streams.samples.flow_items import UNLABELLED, FlowItems, ItemOptions, labelled
from streams.samples.sampling import Draw

Members = dict[str, Any]
"""A sample as webdataset gives it."""


class ShardClips(IterableDataset[dict[str, Any]]):
    """Items of every clip in the shards, once an epoch; webdataset opens and reads the shards.

    The shards are shuffled for each epoch and dealt to ranks and, within a rank, to the workers of
    its loader; then samples are shuffled in a buffer. So each rank reads every clip of its shards
    once, and all ranks together read every clip once. Ranks may get different numbers of clips: a
    training loop with DistributedDataParallel needs `torch.distributed.algorithms.Join`, or steps
    that are counted. What is random in a clip depends on seed, epoch and clip alone.

    `train=False` reads the shards in their order, without a buffer. `rank` and `world` are those
    of `torch.distributed` or of torchrun's environment, where they are not given. `cache`: a folder
    that keeps shards which fsspec fetched and whose SHA-256 was checked, the last `cache_mb`
    megabytes of them where that is given; a shard that is dropped is fetched anew. Without it a
    shard of a URL is read as it comes, by webdataset's own means (curl, `aws`, `gsutil`, `pipe:`).
    """

    def __init__(
        self,
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
    ) -> None:
        self.base = str(shards).rstrip("/")
        self.cache: FileCache | None = None
        if cache is not None:
            most = None if cache_mb is None else int(cache_mb * (1 << 20))
            self.cache = FileCache(Path(cache), most)
        self.index = read_index(self.base, cached=cache is not None)
        self._items = FlowItems(self.index.store, **options)
        longest = (self._items.flow.length - 1) * self._items.flow.stride + 1
        if longest > self.index.clip_pairs:
            raise UserError(
                f"a stack of {longest} pairs does not fit into clips of {self.index.clip_pairs}; "
                f"export with --clip-pairs {longest}, or ask for a smaller length"
            )
        if "rgb" in self._items.inputs and not self.index.frames:
            raise UserError(f"{shards} was exported without frames (--no-frames), rgb needs them")
        self.rank, self.world = ranks_here(rank, world)
        if self.world > len(self.index.shards):
            raise UserError(
                f"{len(self.index.shards)} shards are too few for {self.world} ranks; export with "
                "a smaller --shard-mb"
            )
        if buffer < 0:
            raise UserError(f"buffer {buffer} must be 0 samples or more")
        self.seed, self.buffer = seed, buffer if self._items.train else 0
        self.clips = None if clips is None else {clip.video: clip for clip in labelled(clips)}
        self._samples = self._items.samples(self.base, [], seed)
        # In shared memory, for workers that live on from one epoch to the next.
        self._epoch = torch.zeros((), dtype=torch.int64).share_memory_()

    def __repr__(self) -> str:
        return (
            f"ShardClips({self.index.samples} clips of {self.index.videos} videos in "
            f"{len(self.index.shards)} shards of {self.base}, rank {self.rank} of {self.world})"
        )

    def set_epoch(self, epoch: int) -> None:
        """Before each epoch: without it every epoch has the same order, crops and moments."""
        self._epoch.fill_(epoch)

    def shards_of(self, epoch: int, worker: int = 0, workers: int = 1) -> list[int]:
        """Numbers of the shards that one worker of this rank reads, in order."""
        order = list(range(len(self.index.shards)))
        if self._items.train:
            random.Random(f"{self.seed} {epoch}").shuffle(order)
        return order[self.rank :: self.world][worker::workers]

    def __iter__(self) -> Iterator[Any]:
        worker = get_worker_info()
        place, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        epoch = int(self._epoch)
        shards = self.shards_of(epoch, place, workers)
        members: Iterable[Members] = self._whole(shards)
        if self.buffer:
            from webdataset import filters

            key = f"{self.seed} {epoch} {self.rank} {place}"
            shuffle = filters.shuffle(self.buffer, initial=self.buffer, rng=random.Random(key))
            members = shuffle(iter(members))
        for sample in members:
            try:
                clip = CodedClip(self.index.store, sample)
                listed = self._listed(clip)
                if listed is None:
                    continue
                which: Draw | int = 0
                if self._items.train:
                    which = Draw(epoch * self.index.clips + clip.number, 0)
                drawn = self._samples.over(cast(Store, clip), listed)[which]
            except StoreError as error:
                raise StoreError(f"{sample['__url__']}, {sample['__key__']}: {error}") from None
            yield self._items.item(drawn)

    def _listed(self, clip: CodedClip) -> Clip | None:
        """A clip with its label; None where its video was not asked for."""
        video = clip.about.video
        if self.clips is None:
            return Clip(video, clip.content.get("label", UNLABELLED), "")
        return self.clips.get(video)

    def _whole(self, shards: Sequence[int]) -> Iterator[Members]:
        """The samples of these shards; an error where a shard does not give all of its own."""
        for number in shards:
            listed = self.index.shards[number]
            url = f"{self.base}/{listed.name}"
            if self.cache is not None:
                url = str(self.cache.fetch(url, listed.name, listed.bytes, listed.sha256))
            count = 0
            try:
                for sample in tar_samples(url):
                    count += 1
                    yield sample
            except (OSError, tarfile.TarError) as error:
                raise StoreError(f"{url} cannot be read: {error}") from None
            if count != listed.samples:
                raise StoreError(f"{url} gave {count} samples of {listed.samples}; is it whole?")


def tar_samples(url: str) -> Iterator[Members]:
    """The samples of one shard, as webdataset opens, reads and groups them.

    These are the parts that its `WebDataset` is made of, which would leave the file open.
    """
    from webdataset import gopen
    from webdataset.tariterators import group_by_keys, tar_file_expander

    with gopen(url) as stream:
        yield from group_by_keys(tar_file_expander([{"url": url, "stream": stream}]))


def read_index(base: str, cached: bool) -> ShardIndex:
    """The index under a folder or a URL; by fsspec where shards are fetched, else by webdataset."""
    where = f"{base}/{SHARDS_INDEX}"
    try:
        import webdataset
    except ImportError:
        raise UserError(
            "reading shards needs webdataset: pip install 'twostream[shards]'"
        ) from None
    try:
        if cached:
            data = read_remote(where)
        else:
            with webdataset.gopen(where) as stream:
                data = stream.read()
    except (OSError, StoreError) as error:
        raise UserError(
            f"{where} cannot be read ({error}); `twostream export --to webdataset` writes it when "
            "all shards are there"
        ) from None
    index = ShardIndex.from_text(data.decode("utf-8"), where)
    if index.layout != "webdataset":
        raise UserError(f"{base} holds shards for {index.layout}, whose own package reads them")
    return index


def ranks_here(rank: int | None, world: int | None) -> tuple[int, int]:
    """This process and how many there are: as given, of torch.distributed, or of torchrun."""
    if (rank is None) != (world is None):
        raise UserError("rank and world belong together: give both or none")
    if rank is None or world is None:
        if distributed.is_available() and distributed.is_initialized():
            rank, world = distributed.get_rank(), distributed.get_world_size()
        else:
            rank = int(os.environ.get("RANK", 0))
            world = int(os.environ.get("WORLD_SIZE", 1))
    if not 0 <= rank < world:
        raise UserError(f"rank {rank} is not one of 0 to {world - 1}")
    return rank, world
