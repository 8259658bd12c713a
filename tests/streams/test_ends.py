"""What breaks a training or a scoring ends it: one line, exit code 1, the last checkpoint whole."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from streams_tiny import Tiny, start
from surroundings import ROOT, missing_system_part

from streams.training import checkpoint
from streams.training.run_folder import RunFolder

LONG = [
    "--recipe",
    "small",
    "--size",
    "24",
    "--batch",
    "4",
    "--length",
    "2",
    "--steps",
    "100000",
    "--quiet",
    "--device",
    "cpu",
]
MOST = 90
"""Seconds that an end may take on a busy machine; loaders that ignore it never end."""


def train(tiny: Tiny, out: Path, *more: str) -> list[str]:
    words = ["train", "temporal", "--store", str(tiny.store), "--labels", str(tiny.labels)]
    return [*words, "--out", str(out), *LONG, *more]


def loaders(process: subprocess.Popen[str], out: Path, count: int) -> list[psutil.Process]:
    """The reading processes, once there is a checkpoint."""
    last = RunFolder(out).last
    for _ in range(2000):
        if process.poll() is not None:
            pytest.fail(f"ended early: {process.communicate()[0]}")
        children = psutil.Process(process.pid).children()
        if last.exists() and len(children) >= count:
            return children
        time.sleep(0.05)
    pytest.fail("no checkpoint came")


def ended(process: subprocess.Popen[str]) -> str:
    """What a process said until its end."""
    try:
        return process.communicate(timeout=MOST)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"it did not end: {process.communicate()[0]}")


def gone(processes: list[psutil.Process], seconds: float) -> bool:
    return not psutil.wait_procs(processes, timeout=seconds)[1]


@pytest.mark.slow
def test_a_killed_loader_ends_the_training_in_one_line(tiny: Tiny, tmp_path: Path) -> None:
    """As the kernel does it where memory is short."""
    process = start(train(tiny, tmp_path / "run", "--workers", "2", "--save-every", "2"))
    children = loaders(process, tmp_path / "run", 2)
    children[0].kill()
    said = ended(process)
    assert process.returncode == 1, said
    (line,) = said.strip().splitlines()
    assert "a reading process ended" in line
    assert "--workers 0 reads without" in line
    step = checkpoint.load(RunFolder(tmp_path / "run").last)["state"]["step"]
    assert f"last.pt holds the state after step {step}" in line
    assert gone(children, 5)


@pytest.mark.slow
def test_loaders_end_with_a_training_that_is_killed(tiny: Tiny, tmp_path: Path) -> None:
    process = start(train(tiny, tmp_path / "run", "--workers", "2", "--save-every", "2"))
    children = loaders(process, tmp_path / "run", 2)
    process.kill()
    process.communicate()
    assert gone(children, 10)


@pytest.mark.slow
def test_a_killed_loader_ends_the_scoring_in_one_line(tiny: Tiny, tmp_path: Path) -> None:
    out = tmp_path / "run"
    once = start(train(tiny, out, "--workers", "0", "--steps", "1"))
    assert "Traceback" not in ended(once)
    words = ["score", str(out), "--store", str(tiny.store), "--labels", str(tiny.labels)]
    words += ["--part", "train", "--views", "25x5", "--workers", "1", "--quiet"]
    process = start([*words, "--out", str(tmp_path / "s.npz")])
    while process.poll() is None and not (found := psutil.Process(process.pid).children()):
        time.sleep(0.005)
    assert process.poll() is None, process.communicate()
    found[0].kill()
    said = ended(process)
    assert process.returncode == 1, said
    (line,) = said.strip().splitlines()
    assert line.startswith("twostream score: a reading process ended")
    assert not list(tmp_path.glob("*s.npz*"))


WATCHED = """
import os, signal, sys, time
from streams.samples import loader_end
loader_end.GRACE = 0.5
start = loader_end.WorkerStart()
child = os.fork()
if child == 0:
    start(0)
    while True:
        time.sleep(60)
time.sleep(0.5)
began = time.monotonic()
if sys.argv[1] == "ours":
    loader_end.GRACE = 60
    os.kill(child, signal.SIGTERM)
else:
    os.system(f"kill -TERM {child}")
os.waitpid(child, 0)
"""


@pytest.mark.parametrize("sender", ["ours", "theirs"])
def test_a_loader_ends_on_sigterm(sender: str) -> None:
    """At once where its parent sends it, some time later where a scheduler sends it to all."""
    command = [sys.executable, "-c", WATCHED, sender]
    assert subprocess.run(command, cwd=ROOT, timeout=MOST).returncode == 0


SMALL_DISK = """
set -e
mount -t tmpfs -o size=30m tmpfs "$1"
shift
set +e
"$@"
code=$?
ls -la "$PLACE" "$PLACE"/run "$PLACE"/run/checkpoints >&2
cp -r "$PLACE"/run/. "$KEPT"
exit $code
"""


def on_small_disk(place: Path, kept: Path, words: list[str]) -> subprocess.CompletedProcess[str]:
    """`twostream WORDS` where `place` is a disk of 30 MB; its run is copied to `kept`."""
    place.mkdir()
    kept.mkdir()
    unshare = shutil.which("unshare")
    flags = ["-m"] if os.geteuid() == 0 else ["-rm"]
    can = unshare and subprocess.run([unshare, *flags, "mount", "-t", "tmpfs", "t", str(place)])
    if not can or can.returncode:
        missing_system_part("a disk of one's own", "run as root or allow user namespaces")
    inside = [str(unshare), *flags, "sh", "-c", SMALL_DISK, "sh", str(place)]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PLACE": str(place), "KEPT": str(kept)}
    return subprocess.run(
        [*inside, sys.executable, "-m", "scripts", *words],
        cwd=ROOT,
        env=env | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=MOST,
    )


@pytest.mark.slow
def test_a_full_disk_ends_the_training_in_one_line(tiny: Tiny, tmp_path: Path) -> None:
    """The weights are 9 MB, with their momentum 18: a second checkpoint beside the first is too
    much for 30."""
    place, kept = tmp_path / "disk", tmp_path / "kept"
    words = train(tiny, place / "run", "--workers", "1", "--save-every", "1", "--steps", "20")
    words += ["--ema", "0", "--network", "torchvision:mobilenet_v2"]
    done = on_small_disk(place, kept, words)
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("twostream")]
    assert len(lines) == 1, done.stderr
    assert "No space left on device" in lines[0]
    assert str(place / "run") in lines[0]
    assert "Traceback" not in done.stderr
    assert [file.name for file in (kept / "checkpoints").iterdir()] == ["last.pt"]
    assert checkpoint.load(RunFolder(kept).last)["state"]["step"] == 1
    assert f"{place / 'run' / 'checkpoints' / 'last.pt'} cannot be written" in lines[0]
