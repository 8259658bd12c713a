"""What each section of a report says of what it was given."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from html_page import Page
from made_up_scores import made_up
from report_inputs import HOSTILE, run, streams, two_classes

import fusion
from fusion.report.report import ReportInputs, Written, write_report
from fusion.report.runs import with_parameters
from fusion.report.split_page import calibration_words
from storage import StoreConfig, open_store
from streams.training import RunFolder, save_weights


def test_other_lists_are_red_and_scores_of_neither_kind_have_no_calibration(tmp_path: Path) -> None:
    """And what the networks computed in is said."""
    strange = made_up("spatial", provenance={"other_lists": True, "precision": "bf16"})
    plain = made_up("temporal", provenance={"precision": "float32"})
    ranked = fusion.average([made_up("a"), made_up("b")], normalise="zscore")
    inputs = ReportInputs([strange, plain, ranked], draws=100, map_method="none")
    written = write_report(inputs, tmp_path / "report.html", latex=True)
    page = Page(written.paths[0].read_text("utf-8"))
    text = " ".join(" ".join(page.text).split())
    assert "Scored on other lists than were learned from (--other-lists): spatial" in text
    reds = [a for tag, a in page.tags if tag == "tr" and "is-leak" in (a.get("class") or "")]
    assert len(reds) == 1
    assert "bf16" in text
    assert "float32" in text
    tables = {t["name"]: t for t in written.data["splits"][0]["tables"]}
    assert tables["spatial"]["learned_lists"]
    for key in ("log_loss", "ece", "overconfidence", "reliability"):
        assert tables[ranked.stream][key] is None
        assert tables["temporal"][key] is not None
    with (tmp_path / "report.videos.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["table"] == ranked.stream]
    assert {row["probability"] for row in rows} == {""}
    assert "spatial$^\\dagger$" in (tmp_path / "report.tex").read_text("utf-8")


def test_small_data_is_not_praised(tmp_path: Path) -> None:
    """A chance line; one answer for all videos; nothing is the best where intervals overlap; a
    calibration that says nothing says so; what was not trained to its end is marked."""
    inputs = two_classes()
    done = write_report(inputs, tmp_path / "r.html")
    split = done.data["splits"][0]
    assert split["chance"] == {"uniform": 0.5, "most_frequent": 40 / 60, "class": "walk"}
    tables = {t["name"]: t for t in split["tables"]}
    assert tables["constant"]["only_class"] == "walk"
    assert tables["constant"]["top1"]["value"] == pytest.approx(40 / 60)
    assert tables["good"]["only_class"] is None
    assert [n for n, t in tables.items() if t["unfinished"]] == ["weak"]
    assert "top5" not in tables["good"]
    assert split["best"] == "good"
    assert split["best_is_clear"]
    text = " ".join(" ".join(Page(done.paths[0].read_text("utf-8")).text).split())
    for words in (
        "always answering walk is right in 66.7 %, guessing in 50.0 %",
        "one answer for every video: walk", "chance is within its interval",
        "one answer for every video: says nothing of how sure it may be",
        "Not trained to its end (score --unfinished): weak", "best",
    ):  # fmt: skip
        assert words in text, words
    near = replace(inputs, tables=[inputs.tables[1], inputs.tables[2]])
    again = write_report(near, tmp_path / "near.html")
    assert not again.data["splits"][0]["best_is_clear"]
    page = again.paths[0].read_text("utf-8")
    assert "none is called the best" in page
    assert 'badge best">best' not in page


def test_calibration_is_judged_by_what_so_few_videos_give() -> None:
    base = {
        "only_class": None, "confidence_range": [0.3, 0.9], "ece": 0.05, "overconfidence": 0.05,
        "ece_if_calibrated": 0.06,
    }  # fmt: skip
    assert "no worse than a calibrated system's: 6.0 % is usual" in calibration_words(base)
    assert calibration_words(base | {"ece_if_calibrated": 0.01}) == "too sure by 5.0 points"
    unsure = {"ece_if_calibrated": 0.01, "overconfidence": -0.05}
    assert calibration_words(base | unsure) == "too unsure by 5.0 points"
    assert "same confidence" in calibration_words(base | {"confidence_range": [0.5, 0.51]})


def test_many_systems_are_told_of_in_the_json(written: Written) -> None:
    split = written.data["splits"][0]
    assert (
        split["ranking"]["systems"][0]["name"]
        == max(split["tables"], key=lambda t: t["top1"]["value"])["name"]
    )
    assert len(split["pairs"]) == 6
    assert {p["p_holm"] >= p["p"] for p in split["pairs"]} == {True}
    tested = next(t["test"] for t in split["tables"] if t["test"])
    pair = next(
        p
        for p in split["pairs"]
        if {p["name"], p["against"]} == {tested["name"], tested["against"]}
    )
    assert pair["p"] == tested["p"]  # one pair, one p, wherever it is told
    assert len(written.data["pairs_over_splits"]) == 6
    assert split["ensemble"]["fit"]["part"] == "validation"
    second = written.data["splits"][1]
    assert second["ensemble"] is None
    assert "spatial, temporal by --fit" in second["no_ensemble"]
    assert second["no_ensemble"] in written.paths[0].read_text("utf-8")
    assert split["frontier"]["parameters"]


def test_the_store_tells_under_which_conditions_systems_are_right(tmp_path: Path) -> None:
    tables = streams()
    names = [v for v in tables[0].videos if HOSTILE not in v]
    with open_store(tmp_path / "s", "w", StoreConfig(codec="raw", frame_codec="none")) as store:
        for i, video in enumerate(names):
            with store.write(video) as writer:
                writer.flow(np.full((1 + i % 40, 2, 8, 8), 128, np.uint8))
                writer.finish(fps=10.0, quality={"zero_share": i / 100})
        done = write_report(
            ReportInputs(tables, store=store, draws=100, map_method="none"), tmp_path / "r.html"
        )
    found = {c["name"]: c for c in done.data["splits"][0]["conditions"]}
    assert list(found) == ["Length", "Motion"]
    assert found["Length"]["low"][0] == 0.1
    assert found["Motion"]["high"][-1] == 1.0
    assert found["Motion"]["unknown"] == 1
    weighted = np.average(
        [m["value"] for m in found["Motion"]["accuracy"]["spatial"]],
        weights=found["Motion"]["videos"],
    )
    known = [v in names for v in tables[0].videos]
    right = done.evaluation.splits[0]["spatial"].judged.right
    assert weighted == pytest.approx(right[known].mean())
    assert "conditions.csv" in [p.name.removeprefix("r.") for p in done.paths]


def test_what_classes_share_is_told_by_a_file(tmp_path: Path) -> None:
    path = tmp_path / "parts.csv"
    path.write_text("class,object,motion\nwalk,person,slow\nfall,person,fast\n")
    done = write_report(replace(two_classes(), parts=path), tmp_path / "r.html")
    errors = done.data["splits"][0]["errors"]
    assert errors["parts"] == ["object", "motion"]
    share = dict(zip(errors["kinds"], errors["share"]["constant"], strict=True))
    assert share["object right, motion wrong"] == pytest.approx(20 / 60)
    assert "object right, motion wrong" in done.paths[0].read_text("utf-8")


def test_pictures_of_cost_hold_every_system_that_states_it(tmp_path: Path) -> None:
    costs = {"a": 1e6, "b": 4e6, "c": 3e7}
    tables = [
        made_up(n, skill=s, provenance={"parameters": costs[n]})
        for n, s in zip("abc", (0.5, 1.5, 1.0), strict=True)
    ]
    done = write_report(ReportInputs(tables, draws=100), tmp_path / "r.html")
    page = Page(done.paths[0].read_text("utf-8"))
    words = [a["data-words"] or "" for tag, a in page.tags if tag == "g" and "data-words" in a]
    assert len(words) == 3
    assert any(w.startswith("c\n") and w.endswith("30 M") for w in words)
    leads = [a["class"] for tag, a in page.tags if tag == "g" and "data-words" in a]
    assert leads.count("spot leads") == len(done.data["splits"][0]["frontier"]["parameters"]) == 2


def test_parameters_are_counted_in_the_weights_of_a_run_that_is_given(tmp_path: Path) -> None:
    """Where the table does not state them, and only of the weights that were scored."""
    folder = RunFolder(run(tmp_path / "spatial"))
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    folder.best.parent.mkdir()
    save_weights(folder.best, net.state_dict(), {})
    known = {"run": str(folder.path)}
    counted = with_parameters(made_up(provenance=known), [folder.path])
    assert counted.provenance["parameters"] == 4 * 3 * 9 + 4 + 2 * 4
    for provenance, runs in [
        ({"run": "elsewhere"}, [folder.path]),
        (known | {"weights": "of another state"}, [folder.path]),
        (known | {"parameters": 5}, [folder.path]),
        (known, []),
    ]:
        table = made_up(provenance=provenance)
        assert with_parameters(table, runs) is table
