"""One call of every command that works, on material small enough for seconds.

In a call, a word such as STORE or OUT.npz stands for a path: `Place.words` puts it in. The kind of
the word tells what else could stand there by mistake.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flow.algorithms.table import algorithm
from flow.extraction.extract import extract_video
from flow.extraction.recipe import Recipe
from scripts.samples.sample_videos import SampleData, make_sample_data
from storage.scores.table import ScoreTable
from storage.store.store import open_store

SIZE = "--recipe small --size 24 --epochs 1 --batch 4 --ema 0 --workers 0"
CALLS = {
    "demo": "--out OUTFOLDER --quick",
    "exam": "--out OUTFOLDER --quick",
    "doctor": "",
    "extract": "VIDEOS --out OUTSTORE --flow dis --preset ultrafast --workers 1",
    "inspect": "STORE",
    "verify": "STORE",
    "preview": "VIDEO --out OUT.png --flow dis --short-side 24 --columns 2",
    "compact": "STORE",
    "merge": "STORE --out OUTSTORE",
    "systems": "",
    "train spatial": f"--store STORE --labels LISTS --out OUTRUN {SIZE}",
    "train temporal": f"--store STORE --labels LISTS --out OUTRUN {SIZE} --length 2",
    "train difference": f"--store STORE --labels LISTS --out OUTRUN {SIZE}",
    "train motion": f"--store STORE --labels LISTS --out OUTRUN {SIZE}",
    "train transfer": f"--pictures RUN --store STORE --labels LISTS --out OUTRUN {SIZE} "
    "--network karpathy-late --length 4",
    "train fusion": "--spatial RUN --temporal RUN2 --store STORE --labels LISTS --out OUTRUN "
    "--recipe small --epochs 1 --batch 4 --ema 0 --workers 0",
    "adopt": "WEIGHTS --network resnet18 --input rgb --classes CLASSES --out OUTRUN",
    "train sequence": "--features FEATURES --labels LISTS --out OUTRUN --recipe small --length 4 "
    "--hidden 8 --epochs 1 --batch 4 --workers 0",
    "features": "RUN --store STORE --labels LISTS --out OUTFEATURES --snapshots 2 --workers 0",
    "svm": "FEATURES --labels LISTS --out OUT.npz",
    "score": "RUN --store STORE --labels LISTS --out OUT.npz --views 1x1 --workers 0",
    "fuse": "SCORES SCORES2 --method weighted --fit FIT FIT2 --out OUT.npz",
    "report": "SCORES SCORES2 --out OUT.html --draws 100 --map none --store STORE --runs RUN",
    "explain": "RUN --store STORE --labels LISTS --out OUTFOLDER --count 1 --search 2 --filters 1 "
    "--best 1 --parts layer1",
    "predict": "VIDEO --spatial RUN --temporal RUN2 --views 1x1",
    "import": "IMPORTED --out OUTSTORE --bound 20",
    "export": "STORE --to npy --out OUTFOLDER --labels LISTS",
    "bench flow": "--sizes 32x24 --rounds 1 --engine cpu",
    "bench store": "--videos 1 --pairs 2 --rounds 2 --index 20",
    "bench shards": "--shards 1 3 --writers 1 --rounds 2 --seconds 0.2 --failures 20",
    "bench codecs": "--clips VIDEOS --videos 1 --short-side 36 --pairs 1",
    "bench extract": "",
    "bench gpu-day": "--out OUTFOLDER",
    "bench train": "",
    "bench fusion": "",
}
TOO_LONG_HERE = {"demo", "exam", "bench extract", "bench gpu-day", "bench train", "bench fusion"}
"""Run whole by tests of their own."""

NUMBERS = [
    ("extract", "--step", "0"),
    ("extract", "--bound", "-1"),
    ("extract", "--bound", "nan"),
    ("extract", "--fps", "0"),
    ("extract", "--fps", "nan"),
    ("extract", "--short-side", "-5"),
    ("extract", "--workers", "0"),
    ("extract", "--size", "340"),
    ("extract", "--shard", "9/8"),
    ("extract", "--shard", "a/b"),
    ("train temporal", "--length", "0"),
    ("train temporal", "--size", "0"),
    ("train temporal", "--batch", "0"),
    ("train temporal", "--epochs", "-1"),
    ("train temporal", "--lr", "nan"),
    ("train temporal", "--lr", "-1"),
    ("train temporal", "--validation", "1.5"),
    ("train temporal", "--split", "9"),
    ("train temporal", "--segments", "0"),
    ("train temporal", "--dropout", "2"),
    ("train temporal", "--workers", "-9"),
    ("train temporal", "--depth", "19"),
    ("train sequence", "--length", "-1"),
    ("train sequence", "--hidden", "0"),
    ("train sequence", "--layers", "0"),
    ("train sequence", "--truncation", "-1"),
    ("train sequence", "--dropout", "1"),
    ("features", "--snapshots", "0"),
    ("features", "--every", "-1"),
    ("features", "--split", "9"),
    ("svm", "--c", "0"),
    ("svm", "--split", "9"),
    ("train fusion", "--snapshots", "0"),
    ("train fusion", "--gap", "0"),
    ("train fusion", "--two-towers", "-1"),
    ("adopt", "--size", "0"),
    ("adopt", "--length", "0"),
    ("adopt", "--test-share", "7"),
    ("adopt", "--dropout", "2"),
    ("adopt", "--short-side", "3"),
    ("score", "--views", "0x1"),
    ("score", "--views", "many"),
    ("score", "--split", "9"),
    ("fuse", "--max-gib", "0"),
    ("fuse", "--label-base", "7"),
    ("report", "--draws", "1"),
    ("explain", "--count", "0"),
    ("explain", "--filters", "-1"),
    ("explain", "--search", "-1"),
    ("explain", "--split", "9"),
    ("predict", "--top", "0"),
    ("predict", "--window", "nan"),
    ("predict", "--stride", "0"),
    ("predict", "--threads", "0"),
    ("predict", "--views", "x"),
    ("import", "--bound", "0"),
    ("import", "--bound", "nan"),
    ("import", "--jobs", "0"),
    ("import", "--step", "0"),
    ("import", "--fps", "-1"),
    ("export", "--bound", "-2"),
    ("export", "--videos-per-shard", "0"),
    ("export", "--clip-pairs", "0"),
    ("export", "--shard-mb", "-1"),
    ("export", "--jobs", "0"),
    ("preview", "--columns", "0"),
    ("preview", "--step", "0"),
    ("preview", "--short-side", "0"),
    ("preview", "--limit", "0"),
    ("preview", "--full", "nan"),
    ("bench flow", "--rounds", "0"),
    ("bench flow", "--threads", "0"),
    ("bench flow", "--sizes", "0x9"),
    ("bench store", "--rounds", "0"),
    ("bench store", "--videos", "0"),
    ("bench shards", "--rounds", "0"),
    ("bench train", "--steps", "0"),
    ("bench extract", "--frames", "0"),
    ("bench fusion", "--batch", "0"),
]
"""(command, option, value): numbers that make no sense."""
NAMES = [
    ("extract", "--engine", "abacus"),
    ("extract", "--preset", "best"),
    ("extract", "--codec", "gif"),
    ("extract", "--frame-codec", "jpeg:900"),
    ("extract", "--flow", "raft"),
    ("extract", "--cluster", "nowhere"),
    ("inspect", "--video", "nobody"),
    ("merge", "--on-conflict", "maybe"),
    ("train spatial", "--recipe", "secret"),
    ("train spatial", "--device", "tpu"),
    ("train spatial", "--weights", "nowhere.pt"),
    ("train sequence", "--network", "abacus"),
    ("train sequence", "--recipe", "secret"),
    ("train sequence", "--extra", "variant=magic"),
    ("features", "--at", "layer9"),
    ("features", "--videos", "nobody"),
    ("features", "--dtype", "int8"),
    ("svm", "--part", "train"),
    ("train fusion", "--stages", "layer9"),
    ("train fusion", "--join", "glue"),
    ("adopt", "--network", "resnet19"),
    ("adopt", "--input", "sound"),
    ("adopt", "--span", "wide"),
    ("adopt", "--extra", "width"),
    ("score", "--part", "exam"),
    ("score", "--device", "cuda:77"),
    ("fuse", "--method", "magic"),
    ("fuse", "--normalise", "l7"),
    ("report", "--map", "globe"),
    ("explain", "--at", "layer9"),
    ("explain", "--parts", "layer9"),
    ("explain", "--of", "nobody"),
    ("explain", "--videos", "nobody"),
    ("explain", "--part", "exam"),
    ("predict", "--engine", "abacus"),
    ("predict", "--device", "tpu"),
    ("import", "--codec", "gif"),
    ("import", "--size", "large"),
    ("export", "--to", "vhs"),
    ("export", "--pictures", "gif"),
    ("export", "--videos", "nobody"),
    ("preview", "--engine", "abacus"),
    ("bench flow", "--engine", "abacus"),
    ("bench extract", "--engine", "simulated:fast"),
    ("bench flow", "--preset", "best"),
]
"""(command, option, value): names of nothing."""


@dataclass(frozen=True)
class Place:
    """A folder that holds good and bad examples of everything that a command reads or writes."""

    home: Path

    def path(self, word: str) -> Path:
        return self.home / word

    def words(self, call: str, new: Path, **instead: Path) -> list[str]:
        """The words of CALLS[call]; outputs lie in `new`, `instead` names what replaces a word."""
        found = []
        for word in CALLS[call].split():
            if word in instead:
                found.append(str(instead[word]))
            elif word.startswith("OUT"):
                found.append(str(new / word))
            elif word.isupper() or word in ("RUN2", "SCORES2", "FIT2"):
                found.append(str(self.home / FILES.get(word, word)))
            else:
                found.append(word)
        return [*call.split(), *found]


FILES = {
    "VIDEO": "VIDEOS/AmberVeinsUp/v_AmberVeinsUp_g01_c01.avi",
    "SCORES": "SCORES.npz",
    "SCORES2": "SCORES2.npz",
    "FIT": "FIT.npz",
    "FIT2": "FIT2.npz",
    "WEIGHTS": "WEIGHTS.pt",
    "CLASSES": "CLASSES.txt",
}


def make_place(home: Path) -> Place:
    """Videos, lists, a store, two runs with random weights, scores; and what is none of these."""
    shape = SampleData(appearances=2, motions=2, groups=6, clips=1, frames=16, width=48, height=36)
    make_sample_data(home, shape)
    (home / "videos").rename(home / "VIDEOS")
    (home / "lists").rename(home / "LISTS")
    recipe = Recipe(flow=algorithm("dis", preset="ultrafast"))
    with open_store(home / "STORE", "w", recipe.config()) as store:
        for path in sorted((home / "VIDEOS").glob("*/*.avi")):
            video = path.relative_to(home / "VIDEOS").with_suffix("").as_posix()
            extract_video(path, video, store, recipe)
    write_runs(home)
    write_weights(home)
    write_features(home)
    write_scores(home)
    write_pictures(home / "IMPORTED" / "walk")
    write_nonsense(home)
    return Place(home)


def write_runs(home: Path) -> None:
    """RUN and RUN2, spatial and temporal, as training leaves them; random weights."""
    from streams.samples.options import DataOptions
    from streams.samples.source import open_source
    from streams.training.recipes import recipe
    from streams.training.run_folder import RunFolder
    from streams.training.stream_task import StreamTask
    from streams.training.weights_file import save_weights

    for name, kind in (("RUN", "spatial"), ("RUN2", "temporal")):
        chosen = recipe("small", kind)
        chosen = replace(chosen, crop=replace(chosen.crop, size=24))
        source = open_source(DataOptions(home / "STORE", home / "LISTS"), {kind: chosen.input})
        task = StreamTask(kind, chosen, source, seed=0)
        run = RunFolder(home / name)
        run.begin(task.settings(), {"recipe": "small"})
        weights = task.build_model(initial=False).state_dict()
        save_weights(run.best, weights, {"classes": list(task.classes)})


def write_weights(home: Path) -> None:
    """WEIGHTS, a state dict of torchvision's ResNet-18, and CLASSES, the names of its classes."""
    import torch

    from streams.networks.torchvision_compat import models

    net = models.resnet18(weights=None, num_classes=3)
    torch.save(net.half().state_dict(), home / "WEIGHTS.pt")
    (home / "CLASSES.txt").write_text("walk\nrun\nswim\n")


def write_features(home: Path) -> None:
    """FEATURES of the videos in STORE, random numbers."""
    from storage.features import FeatureConfig, open_features

    rng = np.random.default_rng(0)
    with (
        open_store(home / "STORE") as videos,
        open_features(home / "FEATURES", "w", FeatureConfig((5,), "pool")) as store,
    ):
        for video in videos.videos():
            with store.write(video) as writer:
                writer.add(rng.normal(size=(6, 5)))
                writer.finish(range(6))


def write_scores(home: Path) -> None:
    """SCORES, SCORES2 of a test part, FIT, FIT2 of the validation part."""
    rng = np.random.default_rng(0)
    for name, stream, part in (
        ("SCORES", "spatial", "test"),
        ("SCORES2", "temporal", "test"),
        ("FIT", "spatial", "validation"),
        ("FIT2", "temporal", "validation"),
    ):
        labels = np.arange(24) % 3
        scores = rng.normal(size=(24, 3)) + 2 * np.eye(3)[labels]
        videos = tuple(f"{part}/v_{part}_g{i:02d}_c01" for i in range(24))
        table = ScoreTable(videos, labels, ("a", "b", "c"), scores, stream=stream, part=part)
        table.save(home / f"{name}.npz")


def write_pictures(folder: Path) -> None:
    """Flow as denseflow leaves it."""
    import cv2

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(4):
        for component in "xy":
            picture = rng.integers(100, 150, (24, 32)).astype(np.uint8)
            cv2.imwrite(str(folder / f"flow_{component}_{number:05d}.jpg"), picture)
    for number in range(5):
        picture = rng.integers(0, 255, (24, 32, 3)).astype(np.uint8)
        cv2.imwrite(str(folder / f"img_{number:05d}.jpg"), picture)


def write_nonsense(home: Path) -> None:
    """What stands in the wrong place: every kind of file and folder that is something else."""
    (home / "empty folder").mkdir()
    (home / "empty file").touch()
    (home / "notes.txt").write_text("nothing of the kind\n")
    (home / "noise.npz").write_bytes(b"PK\x03\x04" + bytes(range(200)))
    np.savez(home / "other.npz", weights=np.zeros(3))
    (home / "other folder").mkdir()
    (home / "other folder" / "notes.txt").write_text("mine\n")
    broken = home / "broken run"
    (broken / "checkpoints").mkdir(parents=True)
    (broken / "config.json").write_text((home / "RUN" / "config.json").read_text())
    (broken / "checkpoints" / "best.safetensors").write_bytes(b"no checkpoint")
    torn = home / "torn run"
    torn.mkdir()
    (torn / "config.json").write_text('{"settings": ')
    (home / "strange run").mkdir()
    (home / "strange run" / "config.json").write_text(json.dumps({"settings": {}}))
    (home / "torn store").mkdir()
    for path in (home / "STORE").iterdir():
        if path.is_file():
            (home / "torn store" / path.name).write_bytes(path.read_bytes()[:40])
