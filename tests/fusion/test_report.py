from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_scores import made_up
from report_inputs import HOSTILE, everything, run, streams, two_classes

import fusion
from fusion.report.examples import choose_examples
from fusion.report.files import latex_text
from fusion.report.pictures import moments, strip
from fusion.report.report import ReportInputs, Written, write_report
from fusion.report.runs import with_parameters
from fusion.report.split_page import calibration_words, example_cards
from storage import StoreConfig, UserError, open_store
from streams.training import RunFolder, save_weights

VOID = {"meta", "img", "input", "br", "link", "hr"}


class Page(HTMLParser):
    """Checks that elements are closed in order, and keeps tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text.append(data)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("report")
    return write_report(everything(folder), folder / "report.html", latex=True)


@pytest.fixture(scope="module")
def page(written: Written) -> str:
    return written.paths[0].read_text("utf-8")


def test_names_are_text_and_never_markup(page: str) -> None:
    parsed = Page(page)
    assert [t for t, _ in parsed.tags].count("script") == 3  # numbers, detail, program
    assert not any(t == "img" and (a["src"] or "")[:5] != "data:" for t, a in parsed.tags)
    assert not any(name.startswith("on") for _, a in parsed.tags for name in a)
    assert any(HOSTILE in text for text in parsed.text)
    assert "{{ 7 * 7 }}" in page  # shown as it is, not 49


def test_the_page_needs_nothing_from_anywhere(page: str) -> None:
    for tag, attributes in Page(page).tags:
        for name in ("src", "href", "srcset", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/")), (tag, value)
    assert not re.findall(r"@import|url\(", page)
    assert "default-src 'none'" in page


def embedded(page: str, name: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.S)
    assert found
    return json.loads(found[1])


def test_the_page_and_the_json_hold_the_same_numbers(page: str, written: Written) -> None:
    stored = json.loads(written.paths[1].read_text())
    assert embedded(page, "numbers") == stored == json.loads(json.dumps(written.data))
    split = written.evaluation.splits[0]
    for table, figures in zip(stored["splits"][0]["tables"], split.figures, strict=True):
        assert table["top1"]["value"] == figures.judged.right.mean()
        assert sum(n for _, _, n in table["confusion"]) == len(split.videos)


def rows_of(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_csv_files_hold_the_same_numbers(written: Written) -> None:
    files = {path.name.removeprefix("report."): path for path in written.paths}
    assert list(files) == [
        "html", "json", "summary.csv", "classes.csv", "confusions.csv", "curves.csv", "videos.csv",
        "pairs.csv", "additions.csv", "ensemble.csv", "tex",
    ]  # fmt: skip
    data = written.data["splits"][0]
    summary = rows_of(files["summary.csv"])
    assert len(summary) == 2 * 4 + 4
    for row, table in zip(summary, data["tables"], strict=False):
        assert row["table"] == table["name"]
        assert float(row["top1_low"]) == table["top1"]["low"]
        assert float(row["log_loss"]) == table["log_loss"]
        assert (row["fitted_on_test"] == "True") == (table["name"] == "weighted")
    classes = [r for r in rows_of(files["classes.csv"]) if r["split"] == "1"]
    assert [float(r["recall"]) for r in classes[:6]] == data["tables"][0]["per_class"]["recall"]
    assert classes[1]["class"] == HOSTILE
    confusions = [r for r in rows_of(files["confusions.csv"]) if r["split"] == "1"]
    assert sum(int(r["videos"]) for r in confusions) == 4 * 72
    videos = [
        r for r in rows_of(files["videos.csv"]) if (r["split"], r["table"]) == ("1", "spatial")
    ]
    assert np.mean([r["rank"] == "1" for r in videos]) == data["tables"][0]["top1"]["value"]
    curve = [r for r in rows_of(files["curves.csv"]) if r["part"] == "validation"]
    assert len(curve) == 3 * 101
    for row, table in zip(summary, data["tables"], strict=False):
        assert float(row["mean_average_precision"]) == table["mean_average_precision"]
    assert sorted(int(r["rank"]) for r in summary[:4]) == [1, 2, 3, 4]
    pairs = rows_of(files["pairs.csv"])
    assert [r["split"] for r in pairs] == ["1"] * 6 + ["2"] * 6 + ["mean"] * 6
    assert [float(r["p_holm"]) for r in pairs[:6]] == [p["p_holm"] for p in data["pairs"]]
    added = rows_of(files["additions.csv"])
    assert [r["table"] for r in added] == ["spatial", "temporal"] * 2
    steps = rows_of(files["ensemble.csv"])  # validation scores are of split 1 alone
    assert [r["split"] for r in steps] == ["1"] * 16
    assert [r["chosen"] for r in steps].count("True") == 1


def test_a_fusion_fitted_on_test_is_marked_in_red(page: str) -> None:
    assert '<span class="badge red">fitted on test</span>' in page
    assert 'class="leak" role="alert"' in page


@pytest.mark.parametrize(("part", "said"), [
    ("test", "on the test part</span> To look at, not to choose a weight by."),
    ("train", "on the train part</span> A weight may be chosen here only if"),
])  # fmt: skip
def test_no_part_but_validation_is_offered_for_choosing_a_weight(
    tmp_path: Path, part: str, said: str
) -> None:
    inputs = ReportInputs(streams(part="validation"), fit=streams(part=part), map_method="none")
    page = write_report(inputs, tmp_path / "report.html").paths[0].read_text("utf-8")
    assert said in page
    assert "Where a weight may be chosen." not in page


def test_an_honest_report_has_no_warning(tmp_path: Path) -> None:
    tables = streams()
    fused = fusion.weighted(tables, streams(part="validation"))
    write_report(ReportInputs([*tables, fused], map_method="pca", draws=100), tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert 'class="leak"' not in text
    assert 'badge red">fitted' not in text
    assert "fitted on validation" in text


def test_weight_curves_say_on_which_part_they_are(page: str) -> None:
    assert "on the test part</span> To look at, not to choose a weight by." in page
    assert "on the validation part</span> Where a weight may be chosen." in page


def test_everything_that_was_given_is_shown(page: str) -> None:
    text = " ".join(Page(page).text)
    for words in (
        "Mean over 2 splits", "Rescued by fusion", "Lost by fusion", "t-SNE", "Recipe",
        "Known ceiling of", "What it costs", "23.5 M", "47 M", "8.2 G", "oracle",
        "full colour: 2.0 px a step", "companded", "71 of 72",
    ):  # fmt: skip
        assert words in text, words
    assert page.count("data:image/jpeg;base64,") > 10


def test_latex_is_escaped_and_has_a_row_a_table(written: Written) -> None:
    text = written.paths[-1].read_text()
    assert len(re.findall(r"\\\\$", text, re.M)) == 1 + 2 * 4 + 4
    assert "weighted$^\\dagger$" in text
    assert latex_text("a_b & 50% {\\x}") == "a\\_b \\& 50\\% \\{\\textbackslash{}x\\}"


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


def test_one_table_of_one_video(tmp_path: Path) -> None:
    one = made_up(videos=1, groups=1)
    done = write_report(ReportInputs([one], draws=100), tmp_path / "one.html")
    assert "One group cannot give an interval" in done.paths[0].read_text()
    assert done.data["splits"][0]["oracle"] is None
    assert done.data["splits"][0]["tables"][0]["top1"]["low"] is None


def test_a_class_without_videos_is_null_in_json_and_not_nan(tmp_path: Path) -> None:
    tables = [t.rows(np.flatnonzero(t.labels != 2)) for t in streams()]
    done = write_report(ReportInputs(tables, draws=100, map_method="none"), tmp_path / "r.html")
    text = done.paths[1].read_text()
    assert "NaN" not in text
    assert json.loads(text)["splits"][0]["tables"][0]["per_class"]["recall"][2] is None


nonsense = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@pytest.mark.slow
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(said=nonsense, fit=nonsense, streams_=nonsense, cost=nonsense)
def test_whatever_a_table_says_of_its_making_the_report_stands(
    tmp_path: Path, said: Any, fit: Any, streams_: Any, cost: Any
) -> None:
    fusion_said = {"fit": fit, "streams": streams_, "method": said}
    tables = [
        made_up("spatial", provenance={"fusion": said, "ceiling": said, "parameters": cost}),
        made_up(
            "fused", provenance={"fusion": fusion_said, "ceiling": {"fused": fit}, "sources": said}
        ),
    ]
    done = write_report(ReportInputs(tables, draws=100), tmp_path / "r.html")
    Page(done.paths[0].read_text("utf-8"))
    json.loads(done.paths[1].read_text())


@pytest.mark.parametrize(("out", "message"), [("r.pdf", "end in .html"), ("no/r.html", "make it")])
def test_where_a_report_can_go(tmp_path: Path, out: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        write_report(ReportInputs(streams()), tmp_path / out)


SCALE = """
import re, sys
from pathlib import Path
import numpy as np
from storage import ScoreTable
from fusion.report import ReportInputs, write_report
generator = np.random.default_rng(0)
systems, classes = 20, 400

def tables(part, videos):
    labels = np.arange(videos) % classes
    hard = generator.normal(size=videos)
    for k in range(systems):
        scores = generator.standard_normal((videos, classes), dtype=np.float32)
        scores[np.arange(videos), labels] += 2.5 + 0.06 * k + hard
        scores[np.arange(videos), (labels + 1) % classes] += 1.5
        features = generator.normal(size=(videos, 64)) if part == "test" and k < 3 else None
        yield ScoreTable(
            videos=tuple(f"class_{l:03d}/v_{part}_{i:06d}" for i, l in enumerate(labels)),
            labels=labels, classes=tuple(f"class_{c:03d}" for c in range(classes)), scores=scores,
            stream=f"system {k}", groups=tuple(f"{part}{i // 4}" for i in range(videos)), part=part,
            features=features, provenance={"parameters": 1_000_000 * (k + 1)},
        )
fit = list(tables("validation", 4000))
write_report(ReportInputs(list(tables("test", 20_000)), fit=fit), sys.argv[1])
# Of this program alone: ru_maxrss also holds what the process was before it became this one.
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)  # a minute of work, also where others are at work
def test_20_systems_400_classes_and_20000_videos_fit_in_3_gb_and_the_page_in_15_mb(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCALE, tmp_path / "big.html"],
        cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout) * 1024 < 3e9
    assert (tmp_path / "big.html").stat().st_size < 15e6
    split = json.loads((tmp_path / "big.json").read_text())["splits"][0]
    assert len(split["classes"]) == 400
    assert len(split["pairs"]) == 190
    assert split["ensemble"]["length"] > 1


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


def test_how_it_was_made_is_folded_and_last(page: str) -> None:
    parsed = Page(page)
    ids = [a["id"] for tag, a in parsed.tags if tag == "section" and a.get("id")]
    assert ids[-1] == "made"
    assert not any(tag == "details" and "open" in a for tag, a in parsed.tags)


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
    assert written.data["splits"][1]["ensemble"] is None
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
