"""`twostream features idt`: improved trajectories of a store's own flow, as Fisher vectors."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from storage.errors import UserError
from storage.progress import progress_bar, watched

if TYPE_CHECKING:
    from storage.features import Dtype, FeatureConfig, FeatureStore
    from storage.store import StoreConfig
    from streams.aggregators import FisherEncoder

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class TrajectoryOptions:
    """Of idt alone."""

    gaussians: int = 256
    """Gaussians of the Fisher vectors."""
    fit_videos: int = 1000
    """Training videos whose descriptors PCA and Gaussians are fitted to, spread over the list."""
    descriptors: int = 256_000
    """Descriptors that they are fitted to, at most."""
    encoder_seed: int = 0
    """Of the choice of descriptors and of the Gaussians' start."""

    def __post_init__(self) -> None:
        if self.gaussians < 1 or self.fit_videos < 1 or self.descriptors < 1:
            raise UserError("--gaussians, --fit-videos and --descriptors must be at least 1")


def check_store(path: Path, config: StoreConfig) -> None:
    """Trajectories need frames, and flow from each frame to the next."""
    if config.frame_codec == "none" or "forward" not in config.fields or config.step != 1:
        raise UserError(
            f"{path} holds {', '.join(config.fields) or 'no'} flow of step {config.step} and "
            f"frames as {config.frame_codec}; trajectories need frames, and forward flow of step 1"
        )


def trajectory_config(
    options: TrajectoryOptions, fitted_to: str, source: StoreConfig, dtype: Dtype
) -> FeatureConfig:
    """What the feature store says; `fitted_to` names the training part of the encoder."""
    from flow.trajectories import TrajectoryParams
    from storage.features import IDT, FeatureConfig, row_width

    about = {
        "kind": "idt",
        "name": "improved trajectories",
        "trajectories": asdict(TrajectoryParams()),
        "camera": "the store's warped flow" if "warped" in source.fields else "found from frames",
        "encoder": asdict(options),
        "fitted_to": fitted_to,
    }
    # PCA brings each type to half its width; a mean and a variance a Gaussian
    shape = (row_width(IDT) * options.gaussians,)
    return FeatureConfig(shape, "fisher", about, {"tracks": 15}, source.to_json(), dtype)


def descriptors_of(source: Path, video: str) -> NDArray[np.float32]:
    """(N, 426) of one stored video; a video of under 16 frames has none."""
    import cv2

    from flow.trajectories import improved_trajectories
    from storage.store import open_store

    with open_store(source) as store:
        meta, table = store.video(video), store.meta.quantizer.table
        count = meta.pairs + 1
        if meta.pairs < 1:
            return np.empty((0, 426), np.float32)
        frames = store.read_frames(video, range(count))
        grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames])
        flow = table[store.read_flow(video, 0, meta.pairs)]
        warped = None
        if "warped" in store.meta.fields:
            warped = table[store.read_flow(video, 0, meta.pairs, "warped")]
    return improved_trajectories(grey, flow, warped).descriptors


def vector_of(source: Path, encoder: Path, video: str) -> NDArray[np.float32]:
    """(1, D): the Fisher vector of one stored video; zeros where it has no track."""
    from streams.aggregators import FisherEncoder

    return FisherEncoder.load(encoder).encode(descriptors_of(source, video))[None]


def in_processes(work: Callable[[str], T], videos: Sequence[str], workers: int) -> Iterator[T]:
    """`work` of each video, in order, by so many processes (0: by this one)."""
    if workers == 0:
        yield from map(work, videos)
        return
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        # some at a time, so that results do not pile up
        for first in range(0, len(videos), 4 * workers):
            yield from pool.map(work, videos[first : first + 4 * workers])


def fitted_encoder(
    source: Path,
    training: Sequence[str],
    options: TrajectoryOptions,
    workers: int,
    quiet: bool = True,
) -> FisherEncoder:
    """PCA and Gaussians from descriptors of training videos; says how far it is unless `quiet`."""
    from streams.aggregators import FisherEncoder

    count = min(options.fit_videos, len(training))
    chosen = [training[i * len(training) // count] for i in range(count)]
    bar = progress_bar(count, "video", "descriptors", quiet=quiet)

    def blocks() -> Iterator[NDArray[np.float32]]:
        yield from watched(in_processes(partial(descriptors_of, source), chosen, workers), bar)
        log.info("fitting PCA and %d Gaussians to each kind of descriptor", options.gaussians)

    return FisherEncoder.fit(
        blocks(),
        gaussians=options.gaussians,
        most=options.descriptors,
        seed=options.encoder_seed,
    )


def write_vectors(
    source: Path,
    store: FeatureStore,
    videos: Sequence[str],
    workers: int,
    watch: Callable[[int], Any] = lambda done: None,
) -> list[str]:
    """One Fisher vector a video into the feature store; returns videos without any track."""
    from storage.store import open_store

    without = []
    work = partial(vector_of, source, store.encoder)
    results: Iterable[NDArray[np.float32]] = in_processes(work, videos, workers)
    with open_store(source) as made:
        for video, row in zip(videos, results, strict=True):
            meta = made.video(video)
            with store.write(video) as writer:
                writer.add(row)
                writer.finish([meta.frames // 2], fps=meta.fps, source=meta.source)
            if not row.any():
                without.append(video)
            watch(1)
    return without
