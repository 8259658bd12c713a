"""Which videos a report shows, and their pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_scores import made_up
from report_inputs import everything, streams

import fusion
from fusion.report.examples import choose_examples
from fusion.report.pictures import moments, strip
from fusion.report.report import write_report
from fusion.report.split_page import example_cards
from storage import StoreConfig, UserError, open_store


def test_examples_are_what_their_heading_says() -> None:
    tables = streams()
    fused = fusion.average(tables)
    split = fusion.evaluate([*tables, fused], draws=100).splits[0]
    chosen = choose_examples(split, split[fused.stream])
    right = split[fused.stream].judged.right
    single = split.best_single(split[fused.stream])
    assert single is not None
    before = single.judged.right
    wanted = {
        "right": right, "wrong": ~right, "rescued": right & ~before, "lost": ~right & before,
    }  # fmt: skip
    assert set(chosen) == set(wanted)
    for kind, examples in chosen.items():
        assert all(wanted[kind][e.row] for e in examples)
        assert len({e.row for e in examples}) == len(examples) <= 6
    surest = split[fused.stream].judged.confidence[right].max()
    assert split[fused.stream].judged.confidence[chosen["right"][0].row] == surest


def test_pictures_of_what_the_store_holds(tmp_path: Path) -> None:
    with open_store(tmp_path / "s", "w", StoreConfig(codec="raw", frame_codec="none")) as store:
        with store.write("short") as writer:
            writer.flow(np.full((1, 2, 8, 8), 128, np.uint8))
            writer.finish(fps=25.0)
        assert strip(store, "short").alt == "optical flow at 3 moments"
        with pytest.raises(UserError, match="absent is not in the store"):
            strip(store, "absent")
    assert moments(1) == [0, 0, 0]
    assert moments(9) == [1, 4, 7]


def test_a_video_without_a_picture_is_said_and_does_not_stop_the_report(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inputs = everything(tmp_path)
    store = inputs.store
    assert store is not None
    for record in (tmp_path / "store").rglob("data.mdb"):
        body = record.read_bytes()
        cut = body.replace(b"\xff\xd8\xff", b"\x00\xd8\xff")  # no frame is a JPEG any more
        assert cut != body
        record.write_bytes(cut)
    with caplog.at_level("WARNING"):  # commands of other tests may have been told to be quiet
        done = write_report(inputs, tmp_path / "r.html")
    page = done.paths[0].read_text("utf-8")
    assert "examples have no picture" in page
    assert "is damaged in" in page
    assert "examples have no picture" in caplog.text


def test_of_many_systems_a_card_shows_a_few_and_counts_all() -> None:
    tables = [made_up(f"s{i}", skill=0.2 * i) for i in range(9)]
    split = fusion.evaluate(tables, draws=100).splits[0]
    places = {f"s{i}": 9 - i for i in range(9)}
    cards, _ = example_cards(split, None, places)
    assert set(cards) == {"right", "wrong", "nobody"}
    for card in cards["right"]:
        assert len(card["answers"]) == 6
        assert card["of"] == 9
    nobody = [split.videos.index(card["video"]) for card in cards["nobody"]]
    assert not any(f.judged.right[nobody].any() for f in split.figures)
