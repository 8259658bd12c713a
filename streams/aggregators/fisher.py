"""Fisher vectors of local descriptors of several types, as improved trajectories use them.

    encoder = FisherEncoder.fit(blocks)      # arrays (N, 426), one a training video
    encoder.save("fisher.npz")
    row = FisherEncoder.load("fisher.npz").encode(descriptors)   # float32 (109056,)

Wang and Schmid (ICCV 2013): each type is normalised as RootSIFT is, brought to half its numbers
by PCA, and encoded under 256 Gaussians fitted to 256,000 random descriptors; signed square root
and L2 norm type by type. Departure: all rows of a type are divided by one number, so that their
variance is 1 on average; the Fisher vector does not change by that, and float32 is enough.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.atomic import replacing
from storage.errors import UserError
from storage.features import IDT, DescriptorType, columns, row_width
from storage.scores import read_npz
from streams.aggregators.fisher_kernel import CHUNK, FisherSums
from streams.aggregators.gaussians import Gaussians, check_enough, fitted_gaussians
from streams.aggregators.row_sample import RowSample

FORMAT, VERSION = "twostream-fisher", 1
GAUSSIANS, MOST = 256, 256_000
DAMPING = np.float32(1e-4)
"""Added to each bin of a histogram per pixel and frame: one that is nearly empty is noise, and
becomes nearly uniform. The authors' program adds as much."""

Rows = NDArray[np.float32]


def normalised(rows: Rows, histogram: bool) -> Rows:
    """RootSIFT: a histogram's sum becomes 1, then the square root is taken, so its norm is 1.

    What is no histogram (the shape, whose steps add up to 1 already) stays as it is.
    """
    if not histogram:
        return rows
    damped = np.maximum(rows, 0).astype(np.float32)
    damped += DAMPING
    damped /= damped.sum(axis=1, keepdims=True)
    return np.sqrt(damped, dtype=np.float32)


@dataclass(frozen=True)
class FisherPart:
    """One type of descriptor: its PCA and its Gaussians."""

    mean: Rows
    """(D,)."""
    components: Rows
    """(D, D / 2): to the principal axes, and to variances of 1 on average."""
    gaussians: Gaussians

    def __post_init__(self) -> None:
        width, half = self.components.shape
        if self.mean.shape != (width,) or self.gaussians.means.shape[1] != half:
            raise UserError(
                f"mean {self.mean.shape}, components {self.components.shape} and Gaussians of "
                f"{self.gaussians.means.shape[1]} numbers do not fit each other"
            )

    def project(self, rows: Rows) -> Rows:
        """Normalised rows (N, D) -> (N, D / 2)."""
        return np.asarray((rows - self.mean) @ self.components, np.float32)


@dataclass(frozen=True)
class FisherEncoder:
    """From the descriptors of a video to one vector."""

    types: tuple[DescriptorType, ...]
    parts: tuple[FisherPart, ...]

    @property
    def width(self) -> int:
        """Numbers of a vector: 109,056 for improved trajectories and 256 Gaussians."""
        return sum(2 * part.gaussians.means.size for part in self.parts)

    def __repr__(self) -> str:
        names = ", ".join(kind.name for kind in self.types)
        return f"FisherEncoder({names}: {row_width(self.types)} -> {self.width})"

    @classmethod
    def fit(
        cls,
        blocks: Iterable[NDArray[np.floating]],
        types: tuple[DescriptorType, ...] = IDT,
        *,
        gaussians: int = GAUSSIANS,
        most: int = MOST,
        seed: int = 0,
    ) -> FisherEncoder:
        """Learn PCA and Gaussians from blocks (N, D) of descriptors, one at a time.

        At most `most` random rows are kept; how the rows are cut into blocks changes nothing.
        """
        check_enough(most, gaussians)
        sample = RowSample(most, seed)
        for number, block in enumerate(blocks):
            sample.add(_checked(block, types, f"block {number}"))
        check_enough(sample.seen, gaussians)
        rows = sample.rows()
        parts = []
        for kind in types:
            own = normalised(rows[:, columns(types, kind.name)], kind.histogram)
            parts.append(_fitted_part(own, kind.name, gaussians, seed))
        return cls(types, tuple(parts))

    def encode(self, descriptors: NDArray[np.floating], chunk: int = CHUNK) -> Rows:
        """(N, D) -> float32 (width,). A video without descriptors gives zeros."""
        pieces = [np.zeros(0, np.float32)]
        sums = [FisherSums(part.gaussians) for part in self.parts]
        for rows in _chunks(descriptors, self.types, chunk):
            for kind, part, own in zip(self.types, self.parts, sums, strict=True):
                own.add(
                    part.project(
                        normalised(rows[:, columns(self.types, kind.name)], kind.histogram)
                    )
                )
        for own in sums:
            vector = own.vector()
            vector = np.sign(vector) * np.sqrt(np.abs(vector))
            norm = np.linalg.norm(vector)
            pieces.append((vector / norm if norm > 0 else vector).astype(np.float32))
        return np.concatenate(pieces)

    def save(self, path: str | Path) -> None:
        """Write an npz that holds no pickle; whoever reads while it is written sees the old one."""
        header = {"format": FORMAT, "version": VERSION, "types": [list(t) for t in self.types]}
        arrays: dict[str, Any] = {"header": np.array(json.dumps(header))}
        for kind, part in zip(self.types, self.parts, strict=True):
            arrays[f"{kind.name}.mean"] = part.mean
            arrays[f"{kind.name}.components"] = part.components
            for name in ("weights", "means", "variances"):
                arrays[f"{kind.name}.{name}"] = getattr(part.gaussians, name)
        with replacing(Path(path)) as draft, open(draft, "wb") as file:
            np.savez(file, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> FisherEncoder:
        """Read what `save` wrote."""
        arrays = read_npz(path)
        try:
            header = json.loads(str(arrays["header"]))
            if (header["format"], header["version"]) != (FORMAT, VERSION):
                raise UserError(f"it has format {header['format']!r} {header['version']!r}")
            types = tuple(DescriptorType(*row) for row in header["types"])
            parts = []
            for kind in types:
                mean, components, *rest = (
                    arrays[f"{kind.name}.{name}"]
                    for name in ("mean", "components", "weights", "means", "variances")
                )
                if components.ndim != 2 or len(components) != kind.width:
                    raise UserError(f"components of {kind.name} are {components.shape}")
                parts.append(FisherPart(mean, components, Gaussians(*rest)))
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise UserError(f"{path} is no Fisher encoder of ours: {error}") from None
        return cls(types, tuple(parts))


def _fitted_part(rows: Rows, name: str, gaussians: int, seed: int) -> FisherPart:
    from sklearn.decomposition import PCA

    if not rows.std(axis=0).max() > 1e-6:
        raise UserError(f"all {len(rows)} descriptors {name} are the same; nothing can be learned")
    half = max(rows.shape[1] // 2, 1)
    pca = PCA(half, svd_solver="covariance_eigh").fit(rows.astype(np.float64))
    components = pca.components_.T / np.sqrt(pca.explained_variance_.mean())
    mean, components = pca.mean_.astype(np.float32), components.astype(np.float32)
    own = (rows - mean) @ components
    return FisherPart(mean, components, fitted_gaussians(own, gaussians, seed))


def _checked(
    block: NDArray[np.floating], types: tuple[DescriptorType, ...], what: str
) -> NDArray[np.floating]:
    width = row_width(types)
    if block.ndim != 2 or block.shape[1] != width:
        names = ", ".join(f"{kind.name} {kind.width}" for kind in types)
        raise UserError(f"{what} has shape {block.shape}; it must be (N, {width}): {names}")
    if not np.isfinite(block).all():
        raise UserError(
            f"{what} has {int((~np.isfinite(block)).any(1).sum())} descriptors with values that "
            "are no finite numbers; extract them again"
        )
    return block


def _chunks(
    descriptors: NDArray[np.floating], types: tuple[DescriptorType, ...], chunk: int
) -> Iterator[Rows]:
    _checked(descriptors[:0], types, "the array of descriptors")
    for start in range(0, len(descriptors), chunk):
        rows = np.asarray(descriptors[start : start + chunk], np.float32)
        yield _checked(rows, types, f"descriptors {start} to {start + len(rows) - 1}")
