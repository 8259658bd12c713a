from __future__ import annotations

import numpy as np
import pytest
from made_up_scores import made_up

from fusion.report.features_map import feature_map, thinned
from storage import ScoreTable, UserError


def with_clusters(videos: int = 90, **fields: object) -> ScoreTable:
    generator = np.random.default_rng(0)
    labels = np.arange(videos) % 3
    features = np.eye(3, 20)[labels] * 8 + generator.normal(size=(videos, 20))
    return made_up(classes=3, videos=videos, features=features, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["tsne", "pca"])
def test_classes_that_the_network_tells_apart_lie_apart(method: str) -> None:
    table = with_clusters()
    made = feature_map(table, method)
    assert made is not None
    assert made.place.min() >= 0
    assert made.place.max() <= 1
    centres = np.stack([made.place[table.labels == c].mean(0) for c in range(3)])
    nearest = np.linalg.norm(made.place[:, None] - centres, axis=2).argmin(1)
    assert (nearest == table.labels).all()
    again = feature_map(table, method)
    assert again is not None
    np.testing.assert_array_equal(made.place, again.place)
    if method == "pca":
        assert made.explained is not None
        assert 0.6 < made.explained <= 1


def test_many_videos_are_thinned_out_alike_in_every_class() -> None:
    labels = np.arange(1000) % 10
    rows = thinned(labels, 100, seed=0)
    assert len(np.unique(rows)) == 100
    assert abs(np.bincount(labels[rows]) - 10).max() <= 1
    made = feature_map(with_clusters(), "pca", most=30)
    assert made is not None
    assert len(made.rows) == 30


@pytest.mark.parametrize("videos", [3, 5, 12])
def test_few_videos(videos: int) -> None:
    assert feature_map(with_clusters(videos=videos, groups=1)) is not None


def test_nothing_to_map() -> None:
    assert feature_map(made_up()) is None
    assert feature_map(with_clusters(), "none") is None
    assert feature_map(made_up(features=np.ones((60, 4)))) is None
    one_wide = feature_map(made_up(features=np.arange(60.0)[:, None]), "pca")
    assert one_wide is not None
    with pytest.raises(UserError, match="'umap' is not one of"):
        feature_map(with_clusters(), "umap")
