"""The commands that lead from nothing to a score table, each once, in an order that works."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.common import Step
from scripts.exam.budget import BATCH
from scripts.exam.sitting import LENGTH, Sitting

VALIDATION = "0.2"
"""Of the training videos, by families."""
MILLISECONDS = {
    "resnet18": 38.0,
    "c3d": 65.0,
    "3d-convnet": 50.0,
    "i3d": 95.0,
    "karpathy-early": 25.0,
    "karpathy-late": 25.0,
    "karpathy-slow": 38.0,
    "fusion": 90.0,
    "sequence": 2.6,
}
"""Of one core, to learn from one sample at the size of the recipe `small`. ResNet-18 and LSTM were
measured, on a machine that was busy; the others follow by docs/systems.md, fusion as two."""
UNKNOWN = 65.0
"""Of a network that is not named above."""
SCORING = 0.3
"""Looking costs this much of learning."""
START = 2.0
"""Seconds that any command takes."""
DRAWING = 0.0008
"""Seconds to draw and write one frame of 64 px."""
PAIR = 0.004
"""Seconds to compute and store one pair of frames of 64 px."""
TRAJECTORIES = 0.02
"""Seconds a pair of frames, to track points and describe them."""


@dataclass(frozen=True)
class ExamStep(Step):
    """A command, what it rests on, and how long it takes, about."""

    needs: tuple[Path, ...] = ()
    cost: float = START
    """Seconds of one core of the machine of docs/exam.md."""
    question: str = ""
    seed: int = 0


class Way:
    """Steps in the order in which they can be done. What is asked for twice is done once."""

    def __init__(self) -> None:
        self.steps: dict[Path, ExamStep] = {}

    def __iter__(self) -> Iterator[ExamStep]:
        return iter(self.steps.values())

    def add(
        self,
        sitting: Sitting,
        title: str,
        words: tuple[str, ...],
        makes: Path,
        needs: tuple[Path, ...],
        seconds: float,
    ) -> Path:
        if makes not in self.steps:
            self.steps[makes] = ExamStep(
                title, words, makes, needs, START + seconds, sitting.name, sitting.seed
            )
        return makes

    def videos(self, sitting: Sitting) -> Path:
        question = sitting.question
        sizes = ("--train", str(question.train), "--test", str(question.test))
        words = (
            *("samples.exam_data", str(sitting.out), "--questions", sitting.name),
            *("--seed", str(sitting.seed), "--within", f"seed-{sitting.seed}", *sizes),
        )
        seconds = sitting.pairs * DRAWING
        return self.add(sitting, "make the videos", words, sitting.lists, (), seconds)

    def store(self, sitting: Sitting, codes: str = "") -> Path:
        lists = self.videos(sitting)
        folder = sitting.store.with_name(f"store-{codes}") if codes else sitting.store
        quantiser = ("--quantizer", codes) if codes else ()
        words = (
            *("extract", str(sitting.folder / "videos"), "--out", str(folder)),
            *sitting.setting.extract,
            *quantiser,
        )
        title = f"extract flow and frames{', ' + codes + ' codes' if codes else ''}"
        return self.add(sitting, title, words, folder, (lists,), sitting.pairs * PAIR)

    def train(
        self,
        sitting: Sitting,
        name: str,
        words: tuple[str, ...],
        needs: tuple[Path, ...],
        *,
        network: str,
        store: Path | None = None,
        steps: int | None = None,
        samples: int = 1,
    ) -> Path:
        """A run on the store: `words` are its kind and its options."""
        store = store or self.store(sitting)
        budget, run = sitting.budget, sitting.run(name)
        count = budget.steps if steps is None else steps
        epoch = max(1, round(sitting.videos["train"] * 0.8 / BATCH))
        seldom = max(1, round(count / epoch / 8))
        words = (
            *("train", *words, "--store", str(store), "--labels", str(sitting.lists)),
            *("--validation", VALIDATION, "--out", str(run), "--name", name),
            *("--steps", str(count), "--batch", str(BATCH), "--validate-every", str(seldom)),
            *("--seed", str(sitting.seed), "--workers", "0"),
        )
        each = MILLISECONDS.get(network, UNKNOWN) / 1000
        seconds = count * BATCH * samples * each * 1.3
        return self.add(sitting, f"train {name}", words, run, (store, *needs), seconds)

    def school(self, sitting: Sitting, kind: str) -> Path:
        """The run of the spatial or temporal stream whose network sees what matters here."""
        return self.stream(sitting.at_school(), kind, kind)

    def stream(
        self, sitting: Sitting, name: str, kind: str, *more: str, samples: int = 1, codes: str = ""
    ) -> Path:
        """A ResNet-18 on frames or on stacks of flow."""
        needs: tuple[Path, ...] = ()
        start: tuple[str, ...] = ()
        if sitting.setting.school:
            needs = (self.school(sitting, kind),)
            start = ("--weights", str(needs[0]))
        length = ("--length", str(LENGTH)) if kind == "temporal" else ()
        store = self.store(sitting, codes)
        words = (kind, "--recipe", "small", *length, *start, *more)
        return self.train(
            sitting, name, words, needs, network="resnet18", store=store, samples=samples
        )

    def score(
        self,
        sitting: Sitting,
        name: str,
        run: Path,
        views: str,
        *,
        part: str = "test",
        network: str = "resnet18",
        store: Path | None = None,
    ) -> Path:
        store = store or self.store(sitting)
        table = sitting.scores(name, part)
        words = (
            *("score", str(run), "--store", str(store), "--labels", str(sitting.lists)),
            *("--part", part, "--views", views, "--workers", "0", "--out", str(table)),
        )
        count = sitting.videos["test"] if part == "test" else 0.2 * sitting.videos["train"]
        snapshots = int(views.partition("x")[0]) if views[0].isdigit() else 1
        seconds = count * snapshots * MILLISECONDS.get(network, UNKNOWN) / 1000 * SCORING
        return self.add(sitting, f"score {name}, {part} part", words, table, (run, store), seconds)

    def views(self, sitting: Sitting, kind: str) -> str:
        setting = sitting.setting
        return f"{setting.flow if kind == 'temporal' else setting.frames}x1"

    def scored_stream(self, sitting: Sitting, kind: str, part: str = "test") -> Path:
        """The table of the plain stream, which fusions share."""
        run = self.stream(sitting, kind, kind)
        return self.score(sitting, kind, run, self.views(sitting, kind), part=part)

    def tower(self, sitting: Sitting, kind: str) -> Path:
        """A network that can be fused: the stream's own, or the school's with these classes."""
        if not sitting.setting.school:
            return self.stream(sitting, kind, kind)
        school = self.school(sitting, kind)
        length = ("--length", str(LENGTH)) if kind == "temporal" else ()
        words = (
            *(kind, "--recipe", "small", *length, "--weights", str(school)),
            *("--learn", "top", "--batch-norm", "frozen"),
        )
        name = f"tower-{kind}"
        return self.train(sitting, name, words, (school,), network="resnet18", steps=10)

    def flow_features(self, sitting: Sitting) -> Path:
        """One row a snapshot, of the temporal stream that sees what matters here."""
        run, store = self.school(sitting, "temporal"), self.store(sitting)
        folder = sitting.features("flow")
        words = (
            *("features", str(run), "--store", str(store), "--labels", str(sitting.lists)),
            *("--validation", VALIDATION, "--snapshots", str(sitting.setting.flow)),
            *("--workers", "0", "--out", str(folder)),
        )
        rows = sum(sitting.videos.values()) * sitting.setting.flow
        seconds = rows * MILLISECONDS["resnet18"] / 1000 * SCORING
        title = "write the features of flow"
        return self.add(sitting, title, words, folder, (run, store), seconds)

    def sequence(self, sitting: Sitting, name: str, network: str, *more: str) -> Path:
        """A network over the features of all snapshots, and its table."""
        features, run = self.flow_features(sitting), sitting.run(name)
        at = ("--features", str(features), "--labels", str(sitting.lists))
        steps = sitting.budget.sequence_steps
        words = (
            *("train", "sequence", *at, "--validation", VALIDATION, "--out", str(run)),
            *("--network", network, "--recipe", "small", "--length", "0", "--steps", str(steps)),
            *("--name", name, "--seed", str(sitting.seed), "--workers", "0", *more),
        )
        seconds = steps * BATCH * MILLISECONDS["sequence"] / 1000
        self.add(sitting, f"train {name}", words, run, (features,), seconds)
        table = sitting.scores(name)
        words = ("score", str(run), *at, "--windows", "1", "--workers", "0", "--out", str(table))
        return self.add(sitting, f"score {name}, test part", words, table, (run, features), 1.0)

    def fuse(self, sitting: Sitting, name: str, method: str) -> Path:
        """Late fusion of both plain streams."""
        kinds = ("spatial", "temporal")
        tables = tuple(self.scored_stream(sitting, kind) for kind in kinds)
        fit: tuple[Path, ...] = ()
        if method != "average":
            fit = tuple(self.scored_stream(sitting, kind, "validation") for kind in kinds)
        table = sitting.scores(name)
        words = (
            *("fuse", *map(str, tables), "--method", method, "--normalise", "logits"),
            *(("--fit", *map(str, fit)) if fit else ()),
            *("--name", name, "--out", str(table)),
        )
        return self.add(sitting, f"fuse: {name}", words, table, (*tables, *fit), 1.0)

    def trajectories(self, sitting: Sitting, name: str) -> Path:
        """Improved trajectories, their Fisher vectors, and a linear SVM."""
        store, folder = self.store(sitting), sitting.features("idt")
        at = ("--labels", str(sitting.lists), "--validation", VALIDATION)
        words = (
            *("features", "idt", "--store", str(store), *at, "--gaussians", "16"),
            *("--fit-videos", "100", "--workers", "0", "--out", str(folder)),
        )
        title = "track points, write Fisher vectors"
        self.add(sitting, title, words, folder, (store,), sitting.pairs * TRAJECTORIES)
        table = sitting.scores(name)
        machine = ("svm", str(folder), *at, "--name", name, "--out", str(table))
        return self.add(sitting, "a linear SVM on Fisher vectors", machine, table, (folder,), 5.0)
