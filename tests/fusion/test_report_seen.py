"""What a report shows of the networks of its runs: which videos, how much, and why not."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser_page import open_page
from explain_material import fusion_run, sequence_run, stream_run
from made_up_scores import made_up
from streams_tiny import Tiny

import fusion
from fusion.explanation import RunLooks, Section
from fusion.explanation.figures import still
from fusion.report import seen as seen_module
from fusion.report.report import ReportInputs, Written, write_report
from fusion.report.seen import SeenVideo, chosen_videos
from storage import ScoreTable, open_store
from streams.scoring import Run

CLASSES = ("RedLeft", "RedRight", "BlueLeft", "BlueRight")


def tables() -> list[ScoreTable]:
    """Of the tiny store's test part, by two streams and their average."""
    videos = tuple(f"{c}/v_{c}_g{g:02d}_c01" for c in CLASSES for g in (1, 2))
    given = {"videos": videos, "classes": CLASSES, "labels": np.arange(8) // 2}
    given["groups"] = tuple(video.rsplit("_", 1)[0] for video in videos)
    streams = [
        replace(made_up(name, classes=4, videos=8, groups=8), **given)  # type: ignore[arg-type]
        for name in ("spatial", "temporal")
    ]
    return [*streams, fusion.average(streams)]


@pytest.fixture(scope="module")
def runs(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("runs")
    stream_run(home / "single", tiny, "spatial", "karpathy-single", 1, "width=0.1", "grid=2")
    attention, features, _ = sequence_run(home / "sequence", "temporal-attention")
    return {
        "single": home / "single",
        "fusion": fusion_run(home / "fused", tiny),
        "attention": attention.rename(home / "attention"),
        "features": features,
    }


@pytest.fixture(scope="module")
def shown(tiny: Tiny, runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Written:
    inputs = ReportInputs(
        tables(),
        store=open_store(tiny.store),
        runs=[runs[name] for name in ("single", "fusion", "attention")],
        features=[runs["features"]],
        draws=100,
        map_method="none",
    )
    return write_report(inputs, tmp_path_factory.mktemp("seen") / "r.html")


def test_every_run_shows_what_it_saw_in_the_same_videos(shown: Written) -> None:
    looks = {look["run"]: look for look in shown.data["splits"][0]["seen"]}
    assert set(looks) == {"single", "run", "attention"}
    assert all(look["note"] == "" for look in looks.values())
    (videos,) = {tuple(look["videos"]) for look in looks.values()}
    assert 2 <= len(videos) <= 4
    html = shown.paths[0].read_text("utf-8")
    section = html[html.index('data-section="seen"') : html.index('id="training"')]
    pictures = re.findall(r"<img [^>]*>", section)
    assert all('loading="lazy" decoding="async"' in picture for picture in pictures)
    each = 2 + 5 + 1  # a stream's input and Grad-CAM; a fusion's two and three; a strip
    assert len(pictures) == each * len(videos) + 3  # and three first layers
    assert "Grad-CAM behind the join" in section


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
def test_the_pictures_fit_their_page(browser: Any, shown: Written, width: int) -> None:
    page = open_page(browser, shown.paths[0], viewport={"width": width, "height": 800})
    page.locator("#seen").scroll_into_view_if_needed()
    page.locator("#seen img").first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.complaints == []
    page.close()


def test_without_captum_the_report_says_what_to_install_and_goes_on(
    tiny: Tiny, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "captum", None)
    inputs = ReportInputs(tables(), store=open_store(tiny.store), runs=[runs["single"]], draws=100)
    done = write_report(inputs, tmp_path / "r.html")
    (look,) = done.data["splits"][0]["seen"]
    assert look["videos"] == []
    assert "pip install 'twostream[explain]'" in look["note"]
    html = done.paths[0].read_text("utf-8")
    assert "filters of the first layer" in html  # they need no captum


def test_what_cannot_be_shown_is_named_and_the_rest_is(
    tiny: Tiny, runs: dict[str, Path], tmp_path: Path
) -> None:
    inputs = ReportInputs(tables(), runs=[runs["single"], runs["attention"]], draws=100)
    done = write_report(inputs, tmp_path / "r.html")
    notes = {look["run"]: look["note"] for look in done.data["splits"][0]["seen"]}
    assert "takes the store of the videos: --store" in notes["single"]
    assert "--features names no store" in notes["attention"]


def test_the_most_telling_videos_come_first_and_each_once() -> None:
    found = chosen_videos(fusion.evaluate(tables(), draws=100).splits[0], 4)
    assert len({each.video for each in found}) == len(found) <= 4
    order = [seen_module.ORDER.index(each.why) for each in found]
    assert order[0] == min(order)


def test_so_many_runs_stay_within_the_size(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Videos are left out, the last ones first, and the page says how many."""
    noise = np.random.default_rng(0).integers(0, 255, (150, 150, 3), np.uint8)
    one = still("x", noise, "noise", "noise")

    def heavy(run: Run, clips: Any, store: Any, features: Any) -> RunLooks:
        return RunLooks("r", "", videos={c.video: Section(c.video, figures=[one]) for c in clips})

    monkeypatch.setattr("fusion.explanation.look_at_run", heavy)
    monkeypatch.setattr(seen_module, "BYTES", 10 * len(one.png))
    videos = tuple(SeenVideo(f"RedLeft/v_RedLeft_g0{i}_c01", "RedLeft", "right") for i in (1, 2))
    monkeypatch.setattr(seen_module, "chosen_videos", lambda split, most: videos * 2)
    split = fusion.evaluate(tables(), draws=100).splits[0]
    found = seen_module.look_at_split([Run.open(runs["single"])] * 7, split, None, [])
    assert sum(look.size for look in found.looks) <= 10 * len(one.png)
    assert found.left_out == 7 * 2 - sum(len(look.videos) for look in found.looks)
    assert all(look.videos for look in found.looks)
