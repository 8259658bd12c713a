"""What is proved on pixels holds in the store that `twostream extract` makes of the videos."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scripts.samples.question import make_question
from scripts.samples.questions import question
from storage import open_store
from storage.store import Store

Command = Callable[..., subprocess.CompletedProcess[str]]


def stored(name: str, twostream: Command, folder: Path) -> tuple[Store, list[list[str]]]:
    """A store of one family, and its pairs of twins."""
    make_question(folder, replace(question(name), train=1, test=1))
    done = twostream("extract", folder / "videos", "--out", folder / "store", "--quiet")
    assert done.returncode == 0, done.stderr
    twins = json.loads((folder / "lists" / "twins.json").read_text())
    return open_store(folder / "store", "r"), twins["test"]["pairs"]


def flow_codes(store: Store, video: str) -> np.ndarray:
    return store.read_flow(video, 0, store.video(video).pairs)


def bag(planes: np.ndarray) -> Counter[bytes]:
    return Counter(plane.tobytes() for plane in planes)


@pytest.mark.slow
def test_the_colourings_of_binding_are_stored_as_one_flow(
    twostream: Command, tmp_path: Path
) -> None:
    store, ((a, b), (c, d)) = stored("binding", twostream, tmp_path)
    with store:
        for one, other in ((a, c), (b, d)):
            assert np.array_equal(flow_codes(store, one), flow_codes(store, other))
            frames = [store.read_frames(video, range(11)) for video in (one, other)]
            assert not np.array_equal(*frames)
        assert not np.array_equal(flow_codes(store, a), flow_codes(store, b))


@pytest.mark.slow
def test_the_twins_of_order_are_stored_as_one_bag_of_flow_and_of_frames(
    twostream: Command, tmp_path: Path
) -> None:
    store, ((a, b),) = stored("order", twostream, tmp_path)
    with store:
        flows = [flow_codes(store, video) for video in (a, b)]
        assert bag(flows[0]) == bag(flows[1])
        assert not np.array_equal(*flows)
        frames = [store.read_frames(video, range(85)) for video in (a, b)]
        assert bag(frames[0]) == bag(frames[1])
