"""Every system's way to its score table is made of commands that parse, in an order that works."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from scripts.exam.budget import Budget
from scripts.exam.candidates import CANDIDATES, QUICK, QUICK_QUESTIONS
from scripts.exam.command import main
from scripts.exam.own import candidate
from scripts.exam.sitting import SETTINGS, Sitting
from scripts.exam.way import ExamStep, Way
from scripts.samples import FAMILIES, QUESTIONS
from storage.errors import UserError

OWN = {
    "network:r3d18": "clip3d_rgb",
    "network:resnet18": "frame",
    "network:resnet18@temporal": "bag_average",
    "network:i3d@temporal": "clip3d_flow",
    "network:gru": "sequence",
    "network:mean": "bag_average",
    "network:temporal-attention": "attention",
    "network:karpathy-late": "every_fifth_frame",
    "network:hidden-two-stream=dense_frames": "dense_frames",
    "network:lrcn": "dense_frames",
    "network:lrcn-caffenet": "frame",
    "network:convnet-lstm": "every_fifth_frame",
    "spatial:small": "frame",
    "temporal:tsn": "bag_average",
}


def whole_way(out: Path, names: list[str]) -> tuple[Way, dict[tuple[str, str], Path]]:
    way, tables = Way(), {}
    for question in SETTINGS:
        sitting = Sitting.of(out, question, 0, Budget())
        for name in names:
            system = candidate(name)
            if system.is_asked(question):
                tables[name, question] = system.leads(way, sitting)
    return way, tables


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> list[ExamStep]:
    way, _ = whole_way(tmp_path_factory.mktemp("exam"), [*CANDIDATES, *OWN])
    return list(way)


def test_what_a_step_needs_is_made_before(steps: list[ExamStep]) -> None:
    made: set[Path] = set()
    for step in steps:
        assert set(step.needs) <= made, step.title
        assert step.makes not in made
        made.add(step.makes)


def test_a_step_names_all_that_it_reads(steps: list[ExamStep]) -> None:
    """A path that an earlier step makes and that stands in the words is a need: else a step is not
    redone when what it was made of was."""
    makers = {str(step.makes): step.makes for step in steps}
    for step in steps:
        read = {makers[word] for word in step.words if word in makers} - {step.makes}
        lists = {path for path in read if path.name == "lists"}
        assert read - lists <= set(step.needs), step.title


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Commands only read their words."""
    import tyro

    seen: list[Any] = []

    def only_parse(options_type: Any, run: object, argv: list[str], **texts: Any) -> int:
        config = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)
        seen.append(tyro.cli(options_type, args=argv, config=config))
        return 0

    for name in ("extract", "train", "score", "features", "svm", "fuse", "samples.exam_data"):
        monkeypatch.setattr(import_module(f"scripts.{name}"), "run_command", only_parse)
    return seen


@pytest.mark.slow
def test_every_command_is_understood(steps: list[ExamStep], parsed: list[Any]) -> None:
    """One step of each kind: what differs between questions are paths and numbers."""
    kinds = {}
    for step in steps:
        seen = tuple(word for word in step.words if not word.startswith("/") and "seed" not in word)
        kinds[tuple(word for word in seen if not word.isdigit())] = step
    for step in kinds.values():
        command, *rest = step.words
        assert import_module(f"scripts.{command}").main(rest) == 0, step.typed
    assert len(parsed) == len(kinds)


def test_all_of_a_kind_get_the_same_budget(steps: list[ExamStep]) -> None:
    for step in steps:
        if step.words[0] == "train" and not step.makes.name.startswith("tower-"):
            kind = "sequence_steps" if step.words[1] == "sequence" else "steps"
            assert step.words[step.words.index("--steps") + 1] == str(getattr(Budget(), kind))


def test_the_table_holds_the_canon() -> None:
    assert len(CANDIDATES) >= 14
    assert {one.family for one in CANDIDATES.values()} <= set(FAMILIES)
    assert set(QUICK) <= set(CANDIDATES)
    assert set(QUICK_QUESTIONS) <= set(SETTINGS) <= set(QUESTIONS)
    for one in CANDIDATES.values():
        assert set(one.elsewhere) <= set(SETTINGS)
        assert set(one.elsewhere.values()) <= set(FAMILIES)


def test_snapshots_are_aligned_where_the_proof_needs_it() -> None:
    from scripts.exam.sitting import LENGTH

    order = QUESTIONS["order"].facts()
    assert SETTINGS["order"].flow in order["aligned"][str(LENGTH)]
    assert SETTINGS["order"].frames == order["whole_span"]
    assert QUESTIONS["variety"].facts() == {
        "longest_stack": LENGTH,
        "snapshots": SETTINGS["variety"].flow,
    }
    assert str(LENGTH) in QUESTIONS["needle"].facts()["snapshot_ceilings"]


@pytest.mark.parametrize(("text", "family"), OWN.items())
def test_systems_of_ones_own_are_of_the_family_that_their_network_is(
    text: str, family: str
) -> None:
    system = candidate(text)
    assert system.family == family
    assert candidate(f"{text.partition('=')[0]}=attention").family == "attention"


def test_names_may_stand_in_commas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    printed = []
    for words in (
        ["lstm,vlad", "--questions", "order,fine"],
        ["lstm", "vlad", "--questions", "order", "fine"],
    ):
        assert main(["--out", str(tmp_path), "--dry-run", "--systems", *words]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    assert "actionvlad" in printed[0]


def test_the_settings_of_a_run_take_part(tmp_path: Path, parsed: list[Any]) -> None:
    (tmp_path / "run.yaml").write_text("kind: temporal\nlength: 3\nlr: 0.03\nstore: elsewhere\n")
    system = candidate(f"run:{tmp_path}")
    assert system.family == "bag_average"
    way = Way()
    sitting = Sitting.of(tmp_path / "exam", "strobe", 1, Budget(steps=7))
    system.leads(way, sitting)
    training = next(step for step in way if step.words[0] == "train")
    assert import_module("scripts.train").main(list(training.words[1:])) == 0
    (options,) = parsed
    assert (options.input.length, options.optim.lr, options.optim.steps) == (3, 0.03, 7)
    assert options.data.store == sitting.store
    assert options.seed == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("spatiel", "is not one of spatial, temporal"),
        ("network:nothing", "--network 'nothing' is not known"),
        ("network:motionnet", "the network motionnet is trained as no stream"),
        ("network:r3d18=blue", "no family 'blue'"),
        ("temporal:large", "--recipe 'large' is not one of"),
        ("run:/nowhere", "does not exist"),
        ("frames:small", "is not network:NAME"),
    ],
)
def test_a_system_that_is_not_known_is_named(text: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        candidate(text)
