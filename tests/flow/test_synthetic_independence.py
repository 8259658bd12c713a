"""The two claims of the sample data, put to classifiers: a picture says nothing about the motion,
flow says nothing about the appearance.

Each claim has its control: the same features and the same classifier do tell the other factor,
and do tell the motion where the generator is broken on purpose.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from flow.tvl1.compute import compute_flow
from scripts.samples.sample_classes import APPEARANCES, MOTIONS
from scripts.samples.sample_scene import Place, Window

HEIGHT, WIDTH, FRAMES = 72, 96, 13
WINDOWS = 220
Floats = NDArray[np.floating]


def window(seed: int) -> Window:
    rng = np.random.default_rng([99, seed])
    return Window.draw(rng, Place.draw(rng, HEIGHT, WIDTH), FRAMES)


def photograph(luma: NDArray[np.uint8], chroma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One picture as it comes out of a Motion JPEG video: BGR, uint8."""
    halves = [cv2.resize(plane, (WIDTH, HEIGHT)) for plane in chroma]
    colour = cv2.cvtColor(np.dstack([luma, halves[1], halves[0]]), cv2.COLOR_YCrCb2BGR)
    _, code = cv2.imencode(".jpg", colour, [cv2.IMWRITE_JPEG_QUALITY, 92])
    return cv2.imdecode(code, cv2.IMREAD_COLOR)


def look(picture: NDArray[np.uint8]) -> list[Floats]:
    """What can be seen in a picture: small pixels, colours, and contrast by direction and size."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY).astype(np.float32)
    small = cv2.resize(picture, (16, 12), interpolation=cv2.INTER_AREA).astype(np.float32)
    tones = cv2.cvtColor(picture, cv2.COLOR_BGR2YCrCb)
    colours = [np.histogram(tones[..., i], 12, (60, 200))[0] for i in range(3)]
    contrast = []
    for size in (1, 2, 4, 8):
        gap_x, gap_y = grey[:, size:] - grey[:, :-size], grey[size:] - grey[:-size]
        slant = grey[size:, size:] - grey[:-size, :-size]
        contrast += [np.abs(gap).mean() for gap in (gap_x, gap_y, slant)]
        contrast += [gap.mean() for gap in (gap_x, gap_y)]
        contrast += [
            np.abs(g).mean() for g in (*np.array_split(gap_x, 3), *np.array_split(gap_y, 3))
        ]
    return [small.ravel(), np.concatenate(colours).astype(np.float64), np.array(contrast)]


def best_accuracy(parts: list[Floats], labels: NDArray[np.int64]) -> tuple[float, int]:
    """Test accuracy of the better of two classifiers, and the number of test samples."""
    cut = 2 * len(labels) // 3
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=300))
    forest = RandomForestClassifier(120, random_state=0, min_samples_leaf=3)
    small = PCA(12, random_state=0).fit(parts[0][:cut]).transform(parts[0])
    features = np.hstack([small, *parts[1:]])
    scores = [
        (model.fit(features[:cut], labels[:cut]).predict(features[cut:]) == labels[cut:]).mean()
        for model in (linear, forest)
    ]
    return float(max(scores)), len(labels) - cut


def chance_bound(classes: int, samples: int) -> float:
    """What guessing stays under but once in ten thousand times."""
    return float(binom.ppf(0.9999, samples, 1 / classes)) / samples


@pytest.fixture(scope="module")
def windows() -> list[Window]:
    return [window(seed) for seed in range(WINDOWS)]


def pictures(
    windows: list[Window], moment: int, motions: int
) -> tuple[list[Floats], dict[str, NDArray]]:
    """Every window is seen in four of the motions, each time in a colour drawn at random."""
    rng = np.random.default_rng(5)
    seen, labels = [], []
    for one in windows:
        for move in rng.permutation(motions)[:4]:
            luma, field, cover = one.picture(MOTIONS[move], moment)
            appearance = int(rng.integers(4))
            chroma = one.colour(APPEARANCES[appearance], field[None], cover[None])[0]
            seen.append(look(photograph(luma, chroma)))
            labels.append((move, appearance))
    columns = np.array(labels)
    parts = [np.stack(part) for part in zip(*seen, strict=True)]
    return parts, {"motion": columns[:, 0], "appearance": columns[:, 1]}


@pytest.mark.slow
@pytest.mark.parametrize("moment", [0, FRAMES - 1])
def test_a_picture_tells_the_appearance_and_not_the_motion(
    windows: list[Window], moment: int
) -> None:
    """The first and last pictures, where the motions have come furthest apart."""
    parts, labels = pictures(windows, moment, len(MOTIONS))
    summary, samples = best_accuracy(parts, labels["motion"])
    assert summary < chance_bound(len(MOTIONS), samples)
    known, _ = best_accuracy(parts, labels["appearance"])
    assert known > 0.95


@pytest.mark.slow
def test_the_same_classifier_finds_a_generator_that_leaks(windows: list[Window]) -> None:
    """Were every clip to pass the same size half-way, a first picture would tell the zoom."""
    leaky = [replace(one, zoom=0.25) for one in windows]
    parts, labels = pictures(leaky, 0, 4)
    summary, samples = best_accuracy(parts, labels["motion"])
    assert summary > chance_bound(4, samples)


def flow_features(windows: list[Window]) -> tuple[list[Floats], dict[str, NDArray]]:
    rng = np.random.default_rng(6)
    seen, labels = [], []
    for one in windows:
        for move in rng.permutation(len(MOTIONS))[:3]:
            appearance = int(rng.integers(4))
            greys = []
            for moment in (5, 6):
                luma, field, cover = one.picture(MOTIONS[move], moment)
                chroma = one.colour(APPEARANCES[appearance], field[None], cover[None])[0]
                greys.append(cv2.cvtColor(photograph(luma, chroma), cv2.COLOR_BGR2GRAY))
            flow = compute_flow(np.stack(greys))[0].transpose(1, 2, 0)
            x, y = (int(c) for c in one.centre)
            inside = flow[max(y - 20, 0) : y + 20, max(x - 20, 0) : x + 20]
            inside = cv2.resize(inside, (8, 8), interpolation=cv2.INTER_AREA)
            outside = cv2.resize(flow, (16, 12), interpolation=cv2.INTER_AREA)
            spread = np.concatenate([np.histogram(flow[..., i], 24, (-3, 3))[0] for i in (0, 1)])
            fit = cv2.remap(greys[1], *warp_maps(flow), cv2.INTER_LINEAR).astype(np.float32)
            misfit = np.quantile(np.abs(fit - greys[0]), [0.5, 0.9, 0.99])
            seen.append([outside.ravel(), inside.ravel(), spread.astype(np.float64), misfit])
            labels.append((move, appearance))
    columns = np.array(labels)
    parts = [np.stack(part) for part in zip(*seen, strict=True)]
    return parts, {"motion": columns[:, 0], "appearance": columns[:, 1]}


def warp_maps(flow: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rows, columns = np.mgrid[: flow.shape[0], : flow.shape[1]].astype(np.float32)
    return columns + flow[..., 0], rows + flow[..., 1]


@pytest.mark.slow
def test_flow_tells_the_motion_and_not_the_appearance(windows: list[Window]) -> None:
    parts, labels = flow_features(windows[:150])
    summary, samples = best_accuracy(parts, labels["appearance"])
    assert summary < chance_bound(4, samples)
    known, _ = best_accuracy(parts, labels["motion"])
    assert known > 0.8
