"""FstCN's score fusion: crops weigh as they are sure, clips are joined by their most."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import UserError
from streams.scoring.scoring import averaged
from streams.scoring.sparsity import fuse_by_sparsity, sparsity


def test_sparsity_is_one_for_a_sure_score_and_nought_for_an_even_one() -> None:
    sure, even = torch.eye(5)[:1], torch.full((1, 5), 0.2)
    assert sparsity(sure).item() == pytest.approx(1)
    assert sparsity(even).item() == pytest.approx(0, abs=1e-6)
    assert sparsity(torch.tensor([0.5, 0.5, 0.0])).item() == pytest.approx((3 * 0.5 - 1) / 2)
    with pytest.raises(UserError, match="two classes"):
        sparsity(torch.ones(3, 1))


@given(logits=st.lists(st.lists(st.floats(-5, 5), min_size=4, max_size=4), min_size=6, max_size=6))
def test_fusion_by_sparsity_stays_within_the_crops(logits: list[list[float]]) -> None:
    probabilities = torch.tensor(logits).softmax(-1).reshape(2, 3, 4)
    fused = fuse_by_sparsity(probabilities)
    assert fused.shape == (4,)
    assert bool((fused <= probabilities.amax(dim=(0, 1)) + 1e-6).all())
    assert bool((fused >= probabilities.amin(dim=(0, 1)) - 1e-6).all())


def test_a_sure_crop_drowns_an_unsure_one_and_clips_are_joined_by_their_most() -> None:
    sure, even = torch.tensor([0.0, 1.0, 0.0]), torch.full((3,), 1 / 3)
    fused = fuse_by_sparsity(torch.stack([torch.stack([sure, even])]))
    torch.testing.assert_close(fused, sure, atol=1e-6, rtol=0)
    torch.testing.assert_close(fuse_by_sparsity(even.expand(2, 2, 3)), even)
    other = torch.tensor([1.0, 0.0, 0.0])
    both = fuse_by_sparsity(torch.stack([sure, other]).unsqueeze(1))
    assert both.tolist() == [1, 1, 0]


def test_scoring_joins_snapshots_and_crops_by_it() -> None:
    """(n, crops, clips, classes); the other ways average what stands there."""
    logits = torch.randn(2, 5, 3, 4)
    for row in range(2):
        wanted = fuse_by_sparsity(logits[row].softmax(-1).transpose(0, 1))
        torch.testing.assert_close(averaged(logits, "sparsity")[row], wanted)
    torch.testing.assert_close(averaged(logits, "logits"), logits.mean((1, 2)))
    torch.testing.assert_close(averaged(logits, "probabilities"), logits.softmax(-1).mean((1, 2)))
