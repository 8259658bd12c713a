from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from made_up_scores import made_up

import fusion
from fusion.judge.evaluation import evaluate
from fusion.judge.groups import group_names
from fusion.judge.metrics import judge
from fusion.judge.provenance import costs_of
from storage import UserError


def test_streams_and_fusion_of_one_split() -> None:
    tables = [made_up("spatial", videos=200), made_up("temporal", videos=200)]
    fused = fusion.average(tables)
    split = fusion.evaluate([fused, *tables], draws=200).splits[0]
    assert [f.name for f in split.figures] == [fused.stream, "spatial", "temporal"]
    assert split.best.name == fused.stream
    rights = {f.name: f.judged.right for f in split.figures}
    for f in split.figures:
        assert f.accuracy == rights[f.name].mean()
        top, low, high = f.top[1].value, f.top[1].low, f.top[1].high
        assert low is not None
        assert high is not None
        assert low < top < high
    assert 5 not in split.figures[0].top  # top-5 of 5 classes says nothing
    assert split.oracle is not None
    assert split.oracle.value == (rights["spatial"] | rights["temporal"]).mean()
    (test,) = split.tests
    better = max(("spatial", "temporal"), key=lambda n: rights[n].mean())
    assert (test.name, test.against) == (fused.stream, better)
    assert test.gain.value == pytest.approx(rights[fused.stream].mean() - rights[better].mean())
    assert test.won - test.lost == round(200 * test.gain.value)


def test_the_same_seed_gives_the_same_figures() -> None:
    tables = [made_up("a"), made_up("b")]
    one, two, other = (evaluate(tables, draws=200, seed=s).splits[0] for s in (1, 1, 2))
    assert one.figures[0].top[1] == two.figures[0].top[1]
    assert one.figures[0].top[1] != other.figures[0].top[1]


def test_a_fusion_is_tested_against_its_own_streams() -> None:
    strong = made_up("strong", skill=5.0)
    weak = [made_up("weak", skill=0.5), made_up("weaker", skill=0.2)]
    split = evaluate([strong, *weak, fusion.average(weak)], draws=100).splits[0]
    assert split.tests[0].against in ("weak", "weaker")


def test_a_fusion_fitted_on_test_is_never_the_best_while_there_is_an_honest_table() -> None:
    tables = [made_up("spatial", skill=0.5), made_up("temporal", skill=0.5)]
    leak = fusion.weighted(tables, fit_on_test=True)
    split = evaluate([*tables, leak], draws=100).splits[0]
    assert split[leak.stream].fitted_on_test
    assert split.best.name in ("spatial", "temporal")


def test_mean_over_splits() -> None:
    tables = [made_up(s, split=k, skill=k) for k in (1, 2, 3) for s in ("spatial", "temporal")]
    tables.append(made_up("only in one", split=1))
    evaluation = evaluate(tables[::-1], draws=300)
    assert [s.split for s in evaluation.splits] == [1, 2, 3]
    assert set(evaluation.mean) == {"spatial", "temporal"}
    accuracy = [np.mean(judge(t).right) for t in tables if t.stream == "spatial"]
    mean = evaluation.mean["spatial"]
    assert mean.value == pytest.approx(np.mean(accuracy))
    assert mean.low is not None
    assert mean.low < mean.value


def test_weights_that_differ_between_splits_still_have_a_mean() -> None:
    tables, found = [], set()
    for split, skill in ((1, 0.5), (2, 3.0)):
        streams, fit = (
            [made_up("spatial", split=split, part=part, skill=1.0),
             made_up("temporal", split=split, part=part, skill=skill)]
            for part in ("test", "validation")
        )  # fmt: skip
        fused = fusion.weighted(streams, fit)
        found.add(tuple(fused.provenance["fusion"]["weights"]))
        tables += [*streams, fused]
    assert len(found) == 2
    assert "weighted (softmax)" in evaluate(tables, draws=100).mean


def test_splits_that_test_the_same_videos_are_not_taken_for_independent() -> None:
    same = [made_up("spatial", split=1), replace(made_up("spatial", split=1), split=2)]
    split, mean = evaluate(same, draws=2000).splits[0], evaluate(same, draws=2000).mean["spatial"]
    one = split.figures[0].top[1]
    width = (one.high or 0) - (one.low or 0)
    assert (mean.high or 0) - (mean.low or 0) == pytest.approx(width, rel=0.1)


def test_parts_are_never_mixed() -> None:
    evaluation = evaluate([made_up("a"), made_up("a", part="validation")], draws=100)
    assert [(s.split, s.part) for s in evaluation.splits] == [(1, "test"), (1, "validation")]
    assert evaluation.mean == {}
    three = evaluate([made_up("a", split=k) for k in (1, 2)] + [made_up("a", part="train")])
    assert three.averaged == (1, 2)
    assert three.mean["a"].value == np.mean(
        [s.figures[0].accuracy for s in three.splits if s.part == "test"]
    )


def test_a_single_video_is_judged_without_intervals() -> None:
    tables = [made_up(s, videos=1, groups=1) for s in ("spatial", "temporal")]
    split = evaluate([*tables, fusion.average(tables)], draws=100).splits[0]
    top = split.figures[0].top[1]
    assert top.value in (0.0, 1.0)
    assert (top.low, top.method) == (None, "none: one group")
    assert split.tests[0].p == 1.0


def test_no_table_and_tables_of_one_name() -> None:
    with pytest.raises(UserError, match="at least one"):
        evaluate([])
    split = evaluate([made_up("spatial"), made_up("spatial", seed=5)], draws=100).splits[0]
    assert [f.name for f in split.figures] == ["spatial", "spatial (2)"]
    runs = [
        made_up("fusion", provenance={"run": f"runs/{name}"}) for name in ("sum", "conv", "conv")
    ]
    split = evaluate(runs, draws=100).splits[0]
    assert [f.name for f in split.figures] == ["fusion", "fusion (conv)", "fusion (2)"]
    assert all(f.fusion for f in split.figures)


def test_groups_come_from_the_tables_or_from_the_names_of_known_data_sets() -> None:
    ucf = [f"Archery/v_Archery_g{g:02d}_c{c:02d}" for g in (1, 2, 10) for c in (1, 2)]
    table = made_up(videos=6, groups=3)
    assert group_names([table])[0] == ("g0", "g0", "g1", "g1", "g2", "g2")
    names, source = group_names([replace(table, videos=tuple(ucf), groups=())])
    assert names == tuple(f"Archery_g{g:02d}" for g in (1, 1, 2, 2, 10, 10))
    assert "the videos' names" in source
    hmdb = [f"wave/{film}_wave_f_nm_np1_fr_med_{k}" for film in ("A", "B", "C") for k in (0, 1)]
    assert group_names([replace(table, videos=tuple(hmdb), groups=())])[0] == tuple("AABBCC")
    names, source = group_names([replace(table, groups=())])
    assert names == table.videos
    assert "each video" in source


def test_a_film_that_two_splits_test_is_one_group_though_its_clips_differ() -> None:
    """Thirty films, of which each split tests other clips: what one split says of a film, the other
    repeats, so two splits know no more than one."""
    generator = np.random.default_rng(0)
    known = generator.random(30) < 0.6  # a film is right or wrong as a whole
    films = [f"film{i // 4:02d}" for i in range(120)]
    labels = np.arange(120) % 5
    answers = np.where(np.repeat(known, 4), labels, (labels + 1) % 5)
    tables = [
        made_up(
            videos=120,
            split=split,
            scores=np.eye(5)[answers],
            labels=labels,
        )
        for split in (1, 2)
    ]
    tables = [
        replace(
            t,
            videos=tuple(f"split{t.split}/clip{i:03d}" for i in range(120)),
            groups=tuple(films),
        )
        for t in tables
    ]
    evaluation = evaluate(tables, draws=2000)
    one, mean = evaluation.splits[0].figures[0].top[1], evaluation.mean["spatial"]
    assert (mean.high or 0) - (mean.low or 0) == pytest.approx(
        (one.high or 0) - (one.low or 0), rel=0.1
    )


def test_averages_of_neither_kind_have_no_calibration_and_no_log_loss() -> None:
    streams = [made_up("spatial"), made_up("temporal")]
    for how in ("l2", "zscore"):
        fused = fusion.average(streams, normalise=how)
        figures = evaluate([fused], draws=100).splits[0].figures[0]
        assert (fused.kind, figures.calibration, figures.log_loss) == ("scores", None, None)
        assert figures.accuracy == np.mean(fused.scores.argmax(1) == fused.labels)
    calibrated = evaluate([fusion.average(streams)], draws=100).splits[0].figures[0]
    assert calibrated.calibration is not None
    assert calibrated.log_loss is not None


def test_scores_of_lists_that_were_not_learned_from_are_doubtful() -> None:
    for made in ({"other_lists": True}, {"trained_on_split": 2}):
        strange = made_up("spatial", skill=9, provenance=made)
        fused = fusion.average([strange, made_up("temporal")])
        split = evaluate([strange, made_up("temporal"), fused], draws=100).splits[0]
        assert [f.doubtful for f in split.figures] == [True, False, True]
        assert split.best.name == "temporal"
    honest = made_up(provenance={"other_lists": False, "trained_on_split": 1})
    assert not evaluate([honest], draws=100).splits[0].figures[0].doubtful


def test_intervals_know_the_groups() -> None:
    """Ten sources whose ten videos are right or wrong together say as much as ten videos."""
    generator = np.random.default_rng(0)
    labels = np.arange(100) % 4
    hit = np.repeat([1, 0] * 5, 10)
    scores = generator.random((100, 4))
    scores[np.arange(100), labels] = 2.0 * hit - 0.5
    grouped = made_up(videos=100, classes=4, groups=10, labels=labels, scores=scores)
    alone = replace(grouped, groups=tuple(grouped.videos))
    widths = []
    for table in (grouped, alone):
        split = evaluate([table], draws=500).splits[0]
        top = split.figures[0].top[1]
        assert split.groups == len(set(table.groups))
        widths.append((top.high or 0) - (top.low or 0))
    assert widths[0] > 2 * widths[1]


def test_a_late_fusion_costs_what_its_streams_cost() -> None:
    made = {"parameters": 10, "flops": 2e9, "seconds_per_video": 0.5}
    tables = [made_up("a", provenance=made), made_up("b", provenance=made | {"parameters": 30})]
    assert costs_of(fusion.average(tables).provenance) == {
        "parameters": 40.0, "flops": 4e9, "seconds_per_video": 1.0,
    }  # fmt: skip
    assert costs_of(fusion.average([tables[0], made_up("c")]).provenance) == {}
    conv = {"fusion": {"method": "conv", "streams": ["a", "b"]}, "parameters": 7}
    assert costs_of(conv) == {"parameters": 7.0}


def test_known_ceilings() -> None:
    stated = {"spatial": 0.25, "temporal": 0.5, "fused": 1.0}
    tables = [made_up(s, provenance={"ceiling": stated}) for s in ("spatial", "temporal")]
    fused = fusion.average(tables)
    split = evaluate([*tables, fused], draws=100).splits[0]
    assert split.ceilings == {"spatial": 0.25, "temporal": 0.5, fused.stream: 1.0}
    alone = evaluate([made_up("x", provenance={"ceiling": 0.3}), made_up("y")], draws=100).splits[0]
    assert alone.ceilings == {"x": 0.3}
