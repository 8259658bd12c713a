from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from html_page import Page
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made_up_scores import made_up
from report_inputs import HOSTILE, streams

import fusion
from fusion.report.files import latex_text
from fusion.report.report import ReportInputs, Written, write_report
from storage import UserError


@pytest.fixture(scope="module")
def html(written: Written) -> str:
    return written.paths[0].read_text("utf-8")


def test_names_are_text_and_never_markup(html: str) -> None:
    parsed = Page(html)
    assert [t for t, _ in parsed.tags].count("script") == 3  # numbers, detail, program
    assert not any(t == "img" and (a["src"] or "")[:5] != "data:" for t, a in parsed.tags)
    assert not any(name.startswith("on") for _, a in parsed.tags for name in a)
    assert any(HOSTILE in text for text in parsed.text)
    assert "{{ 7 * 7 }}" in html  # shown as it is, not 49


def test_the_page_needs_nothing_from_anywhere(html: str) -> None:
    for tag, attributes in Page(html).tags:
        for name in ("src", "href", "srcset", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/")), (tag, value)
    assert not re.findall(r"@import|url\(", html)
    assert "default-src 'none'" in html


def embedded(html: str, name: str) -> Any:
    found = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', html, re.S)
    assert found
    return json.loads(found[1])


def test_the_page_and_the_json_hold_the_same_numbers(html: str, written: Written) -> None:
    stored = json.loads(written.paths[1].read_text())
    assert embedded(html, "numbers") == stored == json.loads(json.dumps(written.data))
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


def test_a_fusion_fitted_on_test_is_marked_in_red(html: str) -> None:
    assert '<span class="badge red">fitted on test</span>' in html
    assert 'class="leak" role="alert"' in html


@pytest.mark.parametrize(("part", "said"), [
    ("test", "on the test part</span> To look at, not to choose a weight by."),
    ("train", "on the train part</span> A weight may be chosen here only if"),
])  # fmt: skip
def test_no_part_but_validation_is_offered_for_choosing_a_weight(
    tmp_path: Path, part: str, said: str
) -> None:
    inputs = ReportInputs(streams(part="validation"), fit=streams(part=part), map_method="none")
    html = write_report(inputs, tmp_path / "report.html").paths[0].read_text("utf-8")
    assert said in html
    assert "Where a weight may be chosen." not in html


def test_an_honest_report_has_no_warning(tmp_path: Path) -> None:
    tables = streams()
    fused = fusion.weighted(tables, streams(part="validation"))
    write_report(ReportInputs([*tables, fused], map_method="pca", draws=100), tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    assert 'class="leak"' not in text
    assert 'badge red">fitted' not in text
    assert "fitted on validation" in text


def test_weight_curves_say_on_which_part_they_are(html: str) -> None:
    assert "on the test part</span> To look at, not to choose a weight by." in html
    assert "on the validation part</span> Where a weight may be chosen." in html


def test_everything_that_was_given_is_shown(html: str) -> None:
    text = " ".join(Page(html).text)
    for words in (
        "Mean over 2 splits", "Rescued by fusion", "Lost by fusion", "t-SNE", "Recipe",
        "Known ceiling of", "What it costs", "23.5 M", "47 M", "8.2 G", "oracle",
        "full colour: 2.0 px a step", "companded", "71 of 72",
    ):  # fmt: skip
        assert words in text, words
    assert html.count("data:image/jpeg;base64,") > 10


def test_latex_is_escaped_and_has_a_row_a_table(written: Written) -> None:
    text = written.paths[-1].read_text()
    assert len(re.findall(r"\\\\$", text, re.M)) == 1 + 2 * 4 + 4
    assert "weighted$^\\dagger$" in text
    assert latex_text("a_b & 50% {\\x}") == "a\\_b \\& 50\\% \\{\\textbackslash{}x\\}"


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


def test_how_it_was_made_is_folded_and_last(html: str) -> None:
    parsed = Page(html)
    ids = [a["id"] for tag, a in parsed.tags if tag == "section" and a.get("id")]
    assert ids[-1] == "made"
    assert not any(tag == "details" and "open" in a for tag, a in parsed.tags)
