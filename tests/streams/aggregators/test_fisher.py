"""Fisher vectors: equal to scikit-image's, to closed forms, and of the published lengths."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture

from storage.errors import UserError
from storage.features.descriptor_types import IDT, DescriptorType
from streams.aggregators import FisherEncoder, Gaussians
from streams.aggregators.fisher import FisherPart, normalised
from streams.aggregators.fisher_kernel import FisherSums
from streams.aggregators.gaussians import fitted_gaussians
from streams.aggregators.row_sample import RowSample

TYPES = (DescriptorType("shape", 4, False), DescriptorType("bins", 8, True))


def some_gaussians(count: int, width: int, seed: int = 0) -> Gaussians:
    rng = np.random.default_rng(seed)
    return Gaussians(
        rng.dirichlet(np.full(count, 3.0)),
        rng.normal(0, 2, (count, width)),
        rng.uniform(0.2, 2, (count, width)),
    )


def as_mixture(gaussians: Gaussians) -> GaussianMixture:
    mixture = GaussianMixture(gaussians.count, covariance_type="diag")
    mixture.weights_, mixture.means_ = gaussians.weights, gaussians.means
    mixture.covariances_ = gaussians.variances
    mixture.precisions_cholesky_ = 1 / np.sqrt(gaussians.variances)
    return mixture


def fisher_vector(rows: NDArray, gaussians: Gaussians, chunk: int = 8192) -> NDArray:
    sums = FisherSums(gaussians)
    for start in range(0, len(rows), chunk):
        sums.add(rows[start : start + chunk])
    return sums.vector()


def some_rows(count: int, types: tuple[DescriptorType, ...] = TYPES, seed: int = 0) -> NDArray:
    rng = np.random.default_rng(seed)
    parts = [
        rng.gamma(1, 1, (count, t.width)) if t.histogram else rng.normal(size=(count, t.width))
        for t in types
    ]
    return np.concatenate(parts, axis=1, dtype=np.float32)


@given(st.integers(1, 40), st.integers(2, 6), st.integers(1, 5), st.integers(0, 99))
@settings(max_examples=30)
def test_it_equals_scikit_image_before_normalisation(n: int, k: int, d: int, seed: int) -> None:
    feature = pytest.importorskip("skimage.feature")
    gaussians = some_gaussians(k, d, seed)
    rows = np.random.default_rng(seed).normal(0, 2, (n, d))
    theirs = feature.fisher_vector(rows, as_mixture(gaussians), improved=False)[k:]
    assert fisher_vector(rows, gaussians, chunk=7) == pytest.approx(theirs, rel=1e-9, abs=1e-11)
    fast = fisher_vector(rows.astype(np.float32), gaussians, chunk=7)
    assert fast == pytest.approx(theirs, rel=1e-3, abs=1e-3)


@given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=30)
def test_posteriors_equal_scikit_learn(k: int, d: int, seed: int) -> None:
    gaussians = some_gaussians(k, d, seed)
    rows = np.random.default_rng(seed).normal(0, 3, (20, d))
    theirs = as_mixture(gaussians).predict_proba(rows)
    assert gaussians.posteriors(rows) == pytest.approx(theirs, abs=1e-9)
    assert gaussians.posteriors(rows.astype(np.float32)) == pytest.approx(theirs, abs=1e-4)


def test_it_is_the_gradient_of_the_log_likelihood() -> None:
    """By finite differences: nothing but the likelihood itself goes in."""
    gaussians = some_gaussians(3, 2)
    rows = np.random.default_rng(1).normal(0, 2, (50, 2))
    ours = fisher_vector(rows, gaussians).reshape(2, 3, 2)

    def likelihood(means: NDArray, variances: NDArray) -> float:
        return float(as_mixture(Gaussians(gaussians.weights, means, variances)).score(rows))

    step = 1e-5
    for k in range(3):
        for d in range(2):
            e = np.zeros((3, 2))
            e[k, d] = step
            m, v, w = gaussians.means, gaussians.variances, gaussians.weights[k]
            by_mean = (likelihood(m + e, v) - likelihood(m - e, v)) / (2 * step)
            by_variance = (likelihood(m, v + e) - likelihood(m, v - e)) / (2 * step)
            sigma = np.sqrt(v[k, d])
            assert ours[0, k, d] == pytest.approx(by_mean * sigma / np.sqrt(w), abs=1e-6)
            assert ours[1, k, d] == pytest.approx(
                -by_variance * np.sqrt(2) * v[k, d] / np.sqrt(w), abs=1e-6
            )


def test_one_gaussian_in_closed_form() -> None:
    mean, deviation = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    one = Gaussians(np.ones(1), mean[None], deviation[None] ** 2)
    at_the_mean = fisher_vector(np.repeat(mean[None], 9, axis=0), one)
    assert at_the_mean == pytest.approx([0, 0, np.sqrt(0.5), np.sqrt(0.5)], abs=1e-12)
    a_deviation_off = fisher_vector((mean + deviation)[None], one)
    assert a_deviation_off == pytest.approx([1, 1, 0, 0], abs=1e-12)
    on_both_sides = fisher_vector(np.stack([mean + 2 * deviation, mean - 2 * deviation]), one)
    assert on_both_sides == pytest.approx([0, 0, -3 / np.sqrt(2), -3 / np.sqrt(2)], abs=1e-12)


def test_the_more_of_the_same_the_same() -> None:
    rows, gaussians = np.random.default_rng(0).normal(size=(30, 3)), some_gaussians(4, 3)
    once = fisher_vector(rows, gaussians)
    assert fisher_vector(np.tile(rows, (5, 1)), gaussians) == pytest.approx(once)
    assert fisher_vector(rows[::-1], gaussians) == pytest.approx(once)
    assert not fisher_vector(rows[:0], gaussians).any()


def test_scaling_an_axis_changes_nothing() -> None:
    rows, gaussians = np.random.default_rng(0).normal(size=(30, 3)), some_gaussians(4, 3)
    scale = np.array([0.1, 1, 20])
    other = Gaussians(gaussians.weights, gaussians.means * scale, gaussians.variances * scale**2)
    assert fisher_vector(rows * scale, other) == pytest.approx(fisher_vector(rows, gaussians))


def test_the_published_lengths() -> None:
    rng = np.random.default_rng(0)
    parts = []
    for kind in IDT:
        half = kind.width // 2
        components = rng.normal(size=(kind.width, half)).astype(np.float32)
        parts.append(
            FisherPart(np.zeros(kind.width, np.float32), components, some_gaussians(256, half))
        )
    assert [part.components.shape[1] for part in parts] == [15, 48, 54, 48, 48]
    encoder = FisherEncoder(IDT, tuple(parts))
    assert encoder.width == 2 * 213 * 256 == 109_056
    vector = encoder.encode(some_rows(5, IDT))
    assert vector.shape == (109_056,)
    assert vector.dtype == np.float32
    ends = np.cumsum([2 * 256 * (kind.width // 2) for kind in IDT])
    norms = [np.linalg.norm(piece) for piece in np.split(vector, ends[:-1])]
    assert norms == pytest.approx(np.ones(5), abs=1e-5)
    assert "426 -> 109056" in repr(encoder)


def test_pca_halves_each_type() -> None:
    encoder = FisherEncoder.fit([some_rows(300, IDT)], gaussians=2)
    assert [p.components.shape for p in encoder.parts] == [
        (30, 15), (96, 48), (108, 54), (96, 48), (96, 48)
    ]  # fmt: skip
    assert sum(p.components.shape[1] for p in encoder.parts) == 213
    for part in encoder.parts:
        gram = part.components.T @ part.components
        assert gram == pytest.approx(gram[0, 0] * np.eye(len(gram)), abs=1e-3 * float(gram[0, 0]))


def test_encoding_is_what_its_docstring_says() -> None:
    rows = some_rows(200)
    encoder = FisherEncoder.fit([rows], TYPES, gaussians=3)
    pieces = []
    for part, own in zip(encoder.parts, (rows[:, :4], rows[:, 4:]), strict=True):
        if own.shape[1] == 8:
            own = np.sqrt((own + 1e-4) / (own + 1e-4).sum(1, keepdims=True))
        vector = fisher_vector((own - part.mean).astype(float) @ part.components, part.gaussians)
        root = np.sign(vector) * np.abs(vector) ** 0.5
        pieces.append(root / np.linalg.norm(root))
    # The root makes much of what is nearly 0, so float32 shows there.
    assert encoder.encode(rows) == pytest.approx(np.concatenate(pieces), abs=2e-3)


def test_histograms_become_unit_vectors_and_shapes_stay() -> None:
    rows = some_rows(50)[:, 4:]
    assert np.linalg.norm(normalised(rows, True), axis=1) == pytest.approx(np.ones(50))
    assert normalised(1000 * rows, True) == pytest.approx(normalised(rows, True), abs=0.02)
    empty = normalised(np.zeros((1, 8), np.float32), True)
    assert empty == pytest.approx(np.full((1, 8), np.sqrt(1 / 8)))
    assert normalised(rows, False) is rows


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(1, 80), st.integers(0, 9))
def test_a_sample_does_not_depend_on_the_blocks(sizes: list[int], most: int, seed: int) -> None:
    rows = np.arange(sum(sizes), dtype=np.float32)[:, None]
    whole, pieces = RowSample(most, seed), RowSample(most, seed)
    whole.add(rows)
    for block in np.split(rows, np.cumsum(sizes)[:-1]):
        pieces.add(block)
    assert np.array_equal(whole.rows(), pieces.rows())
    kept = whole.rows()[:, 0]
    assert len(kept) == min(most, len(rows))
    assert (np.diff(kept) > 0).all()


def test_a_sample_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="sample of 0 rows"):
        RowSample(0, 0)


def test_a_sample_is_fair() -> None:
    counts = np.zeros(40)
    for seed in range(400):
        sample = RowSample(10, seed)
        sample.add(np.arange(40, dtype=np.float32)[:, None])
        counts[sample.rows()[:, 0].astype(int)] += 1
    # Each of 40 is kept with 1/4: 100 times of 400, with a deviation of 8.7.
    assert np.abs(counts - 100).max() < 4.5 * 8.7


def test_the_same_seed_fits_the_same_encoder() -> None:
    rows = some_rows(400)
    once = FisherEncoder.fit([rows], TYPES, gaussians=3, most=200, seed=1)
    again = FisherEncoder.fit(np.split(rows, 8), TYPES, gaussians=3, most=200, seed=1)
    other = FisherEncoder.fit([rows], TYPES, gaussians=3, most=200, seed=2)
    assert np.array_equal(once.encode(rows), again.encode(rows))
    assert not np.array_equal(once.encode(rows), other.encode(rows))


def test_chunks_change_nothing() -> None:
    rows = some_rows(500)
    encoder = FisherEncoder.fit([rows], TYPES, gaussians=4)
    assert encoder.encode(rows, chunk=17) == pytest.approx(encoder.encode(rows), abs=1e-3)


def test_classes_of_videos_lie_apart() -> None:
    """Two kinds of motion with the same mean descriptor: only their spread tells them apart."""
    rng = np.random.default_rng(0)
    types = (DescriptorType("shape", 4, False),)

    def video(kind: int) -> NDArray:
        return rng.normal(0, 1 + kind, (200, 4)).astype(np.float32)

    videos = [video(kind) for kind in (0, 1) * 6]
    encoder = FisherEncoder.fit(videos, types, gaussians=4)
    vectors = np.stack([encoder.encode(v) for v in videos])
    similar = vectors @ vectors.T
    same = np.equal.outer(np.arange(12) % 2, np.arange(12) % 2)
    assert similar[same].min() > similar[~same].max()


def test_saved_and_loaded_it_encodes_the_same(tmp_path: Path) -> None:
    rows = some_rows(200)
    encoder = FisherEncoder.fit([rows], TYPES, gaussians=3)
    encoder.save(tmp_path / "fisher.npz")
    back = FisherEncoder.load(tmp_path / "fisher.npz")
    assert back.types == TYPES
    assert np.array_equal(back.encode(rows), encoder.encode(rows))
    assert [path.name for path in tmp_path.iterdir()] == ["fisher.npz"]
    with np.load(tmp_path / "fisher.npz", allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays.files)


def test_files_that_are_no_encoder_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "fisher.npz"
    FisherEncoder.fit([some_rows(200)], TYPES, gaussians=3).save(path)
    with np.load(path) as file:
        good = dict(file)
    for change, words in (
        ({"header": np.array(json.dumps({"format": "other", "version": 1}))}, "format 'other'"),
        ({"shape.means": None}, "shape.means"),
        ({"shape.components": good["bins.components"]}, r"components of shape are \(8, 4\)"),
        ({"bins.variances": -good["bins.variances"]}, "must be over 0"),
        ({"bins.mean": good["shape.mean"]}, "do not fit"),
    ):
        arrays = {n: a for n, a in {**good, **change}.items() if a is not None}
        np.savez(path, **arrays)
        with pytest.raises(UserError, match=f"no Fisher encoder of ours.*{words}"):
            FisherEncoder.load(path)
    path.write_bytes(b"PK nonsense")
    with pytest.raises(UserError, match="not a readable npz"):
        FisherEncoder.load(path)


def test_too_few_descriptors_are_refused_with_the_number_needed() -> None:
    rows = some_rows(55)
    with pytest.raises(
        UserError, match=r"8 Gaussians need at least 80 descriptors, and there are 55: choose at "
        r"most 5 Gaussians",
    ):  # fmt: skip
        FisherEncoder.fit([rows[:30], rows[30:]], TYPES, gaussians=8)
    with pytest.raises(UserError, match="need at least 2560 descriptors, and there are 0: give"):
        FisherEncoder.fit([], TYPES)
    with pytest.raises(UserError, match="and there are 20"):
        FisherEncoder.fit([rows], TYPES, gaussians=8, most=20)
    with pytest.raises(UserError, match="0 Gaussians"):
        FisherEncoder.fit([rows], TYPES, gaussians=0)


def test_descriptors_that_are_no_numbers_are_refused() -> None:
    rows = some_rows(200)
    encoder = FisherEncoder.fit([rows], TYPES, gaussians=3)
    bad = rows.copy()
    bad[130, 2] = np.nan
    with pytest.raises(UserError, match="block 1 has 1 descriptors with values that are no finite"):
        FisherEncoder.fit([rows, bad], TYPES, gaussians=3)
    with pytest.raises(UserError, match="descriptors 100 to 199 has 1 descriptors"):
        encoder.encode(bad, chunk=100)
    with pytest.raises(UserError, match=r"must be \(N, 12\): shape 4, bins 8"):
        encoder.encode(rows[:, :11])
    with pytest.raises(UserError, match="all 200 descriptors shape are the same"):
        FisherEncoder.fit([np.ones_like(rows)], TYPES, gaussians=3)


def test_a_video_without_descriptors_is_zero() -> None:
    rows = some_rows(200)
    encoder = FisherEncoder.fit([rows], TYPES, gaussians=3)
    vector = encoder.encode(rows[:0])
    assert vector.shape == (encoder.width,)
    assert not vector.any()


def test_gaussians_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(UserError, match=r"must be \(K,\), \(K, D\) and \(K, D\)"):
        Gaussians(np.ones(2) / 2, np.zeros((3, 4)), np.ones((3, 4)))


def test_a_mixture_is_found_again() -> None:
    truth = Gaussians(
        np.array([0.25, 0.75]), np.array([[-2.0, 0], [2, 1]]), np.array([[0.2, 1], [0.5, 0.1]])
    )
    rng = np.random.default_rng(0)
    which = rng.random(6000) > 0.25
    means, deviations = truth.means[which * 1], np.sqrt(truth.variances[which * 1])
    found = fitted_gaussians(rng.normal(means, deviations), 2, seed=0)
    order = np.argsort(found.means[:, 0])
    assert found.weights[order] == pytest.approx(truth.weights, abs=0.02)
    assert found.means[order] == pytest.approx(truth.means, abs=0.08)
    assert found.variances[order] == pytest.approx(truth.variances, rel=0.1)


def test_a_fit_that_does_not_settle_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        fitted_gaussians(np.random.default_rng(0).normal(size=(300, 5)), 8, seed=0, iterations=1)
    assert "the mixture of 8 Gaussians still changes after 1 steps" in caplog.text
