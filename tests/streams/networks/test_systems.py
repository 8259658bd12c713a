"""The table of systems: nothing is missing, nothing is invented."""

from __future__ import annotations

import json

import pytest

from scripts.canon import SYSTEMS, parameters_here, sequence_module
from scripts.cli import main
from storage.errors import UserError
from streams.aggregators import Aggregator, Recurrent
from streams.networks.systems import NETWORK_SYSTEMS
from streams.networks.table import NETWORKS
from streams.sequences import SEQUENCES
from streams.training.published import PUBLISHED
from streams.training.recipes import recipe, recipe_from


def test_every_network_has_one_row() -> None:
    assert sorted(system.name for system in NETWORK_SYSTEMS) == sorted(NETWORKS)
    assert len({system.name for system in SYSTEMS}) == len(SYSTEMS)


STORE = "--store none --labels none --out out"
PATHS = {
    "fuse": "none.npz none2.npz --out out.npz",
    "train fusion": f"--spatial none --temporal none {STORE}",
    "train transfer": f"--pictures none {STORE}",
    "train sequence": "--features none --labels none --out out",
    "svm": "none none2 --labels none --out out.npz",
    "features": f"none {STORE}",
    "features idt": STORE,
}
"""Command -> the files that it is given, of which none is there."""


@pytest.mark.parametrize(
    "words",
    sorted({words for system in SYSTEMS for words in (system.first, system.train) if words}),
)
def test_a_command_of_the_table_is_understood(
    words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what is left out, it would go to work: only the files are not there."""
    known = [command for command in PATHS if words.startswith(command)]
    rest = PATHS[max(known, key=len)] if known else STORE
    if words.startswith("features --at"):  # the run stands first
        words, rest = "features", f"none {words.removeprefix('features')} {STORE}"
    assert main([*words.split(), *rest.split(), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "none" in said, said
    assert "nrecognized" not in said, said


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("i3d", 12_697_264),
        ("3d-convnet", 79_656_464),
        ("convnet-lstm", 8_954_928),
        ("densenet3d-121", 11_658_896),
        ("motionnet", 42_319_860),
        ("3d-fused", 39_770_384),
        ("lrcn", 65_499_152),
        ("lstm", 4 * 512 * (1024 + 512 + 2) + 513 * 400),
        ("deep-lstm", 11_554_816 + 513 * 400),
        ("conv-pooling", (49 * 1024 + 1) * 4096 + (4096 + 1) * 4096 + 4097 * 400),
    ],
)
def test_parameters_are_counted_without_memory_for_them(name: str, parameters: int) -> None:
    assert parameters_here(name) == parameters


def test_every_network_on_features_has_a_row_and_is_what_its_command_builds() -> None:
    assert set(SEQUENCES) <= {system.name for system in SYSTEMS}
    for name in SEQUENCES:
        assert isinstance(sequence_module(name), Aggregator)


def test_on_features_lrcn_and_convnet_lstm_are_what_stands_behind_the_frames() -> None:
    lrcn, convnet = sequence_module("lrcn"), sequence_module("convnet-lstm")
    assert isinstance(lrcn, Recurrent)
    assert isinstance(convnet, Recurrent)
    assert (lrcn.hidden, lrcn.prediction, lrcn.loss, len(lrcn.norms)) == (256, "mean", "mean", 0)
    whole = 4 * 512 * (1024 + 512 + 2) + 513 * 400
    assert sum(p.numel() for p in convnet.parameters()) == whole
    assert (convnet.prediction, convnet.loss, len(convnet.norms)) == ("last", "mean", 1)


def test_the_list_is_printed_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["systems", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert len(rows) == len(SYSTEMS)
    assert rows["i3d"]["train"] == "twostream train spatial --network i3d"
    assert rows["i3d"]["parameters"] == 12_697_264
    assert rows["actionvlad"]["train"] == "twostream train sequence --network actionvlad"
    assert rows["actionvlad"]["first"] == "twostream features"
    assert all(row["train"] for row in rows.values())


@pytest.mark.parametrize("name", ["published", "small", "modern"])
@pytest.mark.parametrize("network", NETWORKS)
def test_a_recipe_of_a_network_can_be_written_down(network: str, name: str) -> None:
    """For every stream that it is trained as, and read again."""
    if name == "published" and network not in PUBLISHED:
        return
    for kind in NETWORKS[network].streams:
        chosen = recipe(name, kind, network)
        assert chosen.network.network == network
        assert recipe_from(chosen.settings()) == chosen


def test_c3d_is_published_with_a_rate_that_is_halved() -> None:
    optim = recipe("published", "spatial", "c3d").optim
    assert (optim.lr, optim.batch, optim.steps, optim.factor) == (3e-3, 30, 1_900_000, 0.5)
    assert [round(m * optim.steps) for m in optim.milestones] == [150_000 * k for k in range(1, 13)]


def test_what_has_no_published_recipe_says_so() -> None:
    with pytest.raises(UserError, match="that of vgg-m is --recipe 2014"):
        recipe("published", "spatial", "vgg-m")
    with pytest.raises(UserError, match="not a ResNet"):
        recipe("published", "spatial")


def test_a_network_is_trained_as_what_it_is() -> None:
    with pytest.raises(UserError, match="trained by `twostream train motion`, not as the spatial"):
        recipe("small", "spatial", "motionnet")
    with pytest.raises(UserError, match="`twostream train spatial`, not as the temporal stream"):
        recipe("small", "temporal", "hidden-two-stream")
    with pytest.raises(UserError, match="--recipe tsn trains streams"):
        recipe("tsn", "motion")
