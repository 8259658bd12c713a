"""Scores are what the network says of each view, averaged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from streams_tiny import Tiny

from storage.errors import UserError
from streams.inputs.contract import Input
from streams.inputs.flow import FlowStack
from streams.networks.options import NetworkOptions
from streams.samples.crops import Crop
from streams.samples.dataset import ClipDataset
from streams.samples.options import DataOptions
from streams.samples.sampling import Sampling
from streams.samples.source import open_source
from streams.samples.transforms import resized, test_crops
from streams.scoring.scoring import Views, score_table
from streams.scoring.sparsity import fuse_by_sparsity
from streams.training.options import LoopOptions
from streams.training.recipes import Recipe
from streams.training.stream_task import stream_net

test_crops.__test__ = False  # type: ignore[attr-defined]


class Tower:
    """A scorer around an untrained network."""

    def __init__(self, consensus: str = "average") -> None:
        torch.manual_seed(0)
        network = NetworkOptions(depth=18, weights="none", dropout=0.5, consensus=consensus)  # type: ignore[arg-type]
        self.recipe = Recipe(FlowStack(3), Sampling(3), Crop(size=24), network)
        self.inputs: dict[str, Input] = {"temporal": FlowStack(3)}
        self.sampling, self.crop = self.recipe.sampling, self.recipe.crop
        self.net = stream_net(self.recipe, 4).eval()
        self.provenance: dict[str, Any] = {"by": "a tower"}

    def score(self, views: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.net.features(views["temporal"])
        return self.net.classify(features), features.mean(1)


@pytest.mark.slow
@pytest.mark.parametrize("consensus", ["average", "max", "learned"])
def test_scores_are_the_mean_over_views(tiny: Tiny, consensus: str) -> None:
    tower = Tower(consensus)
    source = open_source(DataOptions(tiny.store, tiny.labels), tower.inputs, ("test",))
    views = Views(6, 10)
    cpu, options = torch.device("cpu"), LoopOptions(workers=0)
    table = score_table(
        tower, source, "test", views, cpu, options, stream="temporal", provenance={"run": "r"}
    )
    assert table.videos == tuple(clip.video for clip in source.parts["test"])
    assert table.groups[0] == "RedLeft_g01"
    costs = {"parameters", "flops", "seconds_per_video", "device", "precision"}
    assert table.provenance.keys() == {"views", "run", "by", *costs}
    assert (table.provenance["views"], table.provenance["run"], table.provenance["by"]) == (
        "6x10",
        "r",
        "a tower",
    )
    # one video by hand: every crop is a video of 6 snapshots
    clip = source.parts["test"][3]
    data = ClipDataset(
        tiny.store,
        [clip],
        tower.inputs,
        sampling=Sampling(3),
        crop=tower.crop,
        snapshots=6,
        whole=True,
    )
    planes = torch.from_numpy(np.stack(data[0].planes["temporal"]))
    quantizer = source.config.quantizer
    decoded = tower.inputs["temporal"].decode(planes, torch.from_numpy(quantizer.table.copy()))
    crops = test_crops(decoded, tower.inputs["temporal"], 0.875, 24, 10)
    with torch.inference_mode():
        logits = torch.stack([tower.net(crops[:, i][None])[0] for i in range(10)])
        features = tower.net.features(crops.transpose(0, 1)).mean((0, 1))
    np.testing.assert_allclose(table.scores[3], logits.mean(0).numpy(), rtol=2e-4, atol=2e-6)
    assert table.features is not None
    np.testing.assert_allclose(table.features[3], features.numpy(), rtol=2e-4, atol=2e-5)
    soft, sure = (
        score_table(
            *(tower, source, "test", views, cpu, options),
            stream="t",
            provenance={},
            average=average,  # type: ignore[arg-type]
        )
        for average in ("probabilities", "sparsity")
    )
    np.testing.assert_allclose(soft.scores[3], logits.softmax(1).mean(0).numpy(), rtol=2e-4)
    with torch.inference_mode():
        each = torch.stack([tower.net(crops[t][:, None]) for t in range(6)])
    wanted = fuse_by_sparsity(each.softmax(-1)).numpy()
    np.testing.assert_allclose(sure.scores[3], wanted, rtol=2e-4)
    assert (soft.kind, sure.kind) == ("probabilities", "scores")


def test_broken_weights_are_not_scored(tiny: Tiny) -> None:
    tower = Tower()
    with torch.no_grad():
        tower.net.head.bias.fill_(float("nan"))
    source = open_source(DataOptions(tiny.store, tiny.labels), tower.inputs, ("test",))
    with pytest.raises(UserError, match=r"scores of RedLeft/.* are not finite"):
        score_table(
            tower,
            source,
            "test",
            Views(1, 1),
            torch.device("cpu"),
            LoopOptions(workers=0),
            stream="t",
            provenance={},
        )


@pytest.mark.parametrize(
    ("text", "mirrored", "views"),
    [
        ("25x10", True, (25, 10)),
        ("3x1", False, (3, 1)),
        ("auto", True, (25, 10)),
        ("auto", False, (25, 5)),
        ("wholex3", True, (0, 3)),
    ],
)
def test_views(text: str, mirrored: bool, views: tuple[int, int]) -> None:
    made = Views.parse(text, mirrored)
    assert (made.snapshots, made.crops) == views


@pytest.mark.parametrize(
    ("text", "mirrored", "said"),
    [
        ("25", True, "SNAPSHOTSxCROPS"),
        ("0x1", True, "SNAPSHOTSxCROPS"),
        ("5x4", True, "with 1, 2, 3, 5, 6, 10 crops"),
        ("0x3", True, "SNAPSHOTSxCROPS"),
        ("5x6", False, "use 5x3"),
        ("25x10", False, "use 25x5"),
        ("25x2", False, "use 25x1"),
    ],
)
def test_wrong_views(text: str, mirrored: bool, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Views.parse(text, mirrored)


def test_a_picture_of_the_right_size_is_not_touched() -> None:
    picture = torch.rand(1, 1, 2, 8, 8)
    assert resized(picture, 8) is picture
