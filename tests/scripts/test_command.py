"""What every command shares: mistakes in one line, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from surroundings import ROOT

from scripts.common.command import FAILED, INTERRUPTED, MISTAKE, OK, Talk, run_command
from storage.errors import UserError, WorkFailed


@dataclass(frozen=True)
class Part:
    size: int = 3
    """How big."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UserError(f"--size is {self.size}; it must be at least 1")


@dataclass(frozen=True)
class Options:
    out: Path
    """Where."""
    part: Part = field(default_factory=Part)
    talk: Talk = field(default_factory=Talk)


def call(*argv: str, error: BaseException | None = None) -> int:
    def run(options: Options) -> None:
        if error:
            raise error
        print(json.dumps([str(options.out), options.part.size, options.talk.quiet]))

    return run_command(Options, run, [*argv], prog="try", description="Try it.\n\n    try --out a")


def test_options_reach_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--out", "a", "--size", "5", "--quiet") == OK
    assert json.loads(capsys.readouterr().out) == ["a", 5, True]


def test_help_shows_the_examples_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == OK
    said = capsys.readouterr()
    assert "    try --out a" in said.out.splitlines()
    assert "How big." in said.out
    assert said.err == ""


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["--out", "a", "--size", "0"], "--size is 0; it must be at least 1"),
        (["--out", "a", "--size", "x"], "'x'"),
        (["--out", "a", "--sice", "4"], "--sice"),
        ([], "--out"),
    ],
)
def test_a_mistake_in_the_call_is_one_line(
    argv: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*argv) == MISTAKE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("twostream try: ")
    assert told in line
    assert not set("│╭╰─") & set(line)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("no such\nclip"), MISTAKE),
        (FileNotFoundError(2, "No such file", "a.avi"), MISTAKE),
        (WorkFailed("2 of 3 failed"), FAILED),
        (KeyboardInterrupt(), INTERRUPTED),
    ],
)
def test_what_goes_wrong_becomes_an_exit_code_and_a_line(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("--out", "a", error=error) == code
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        call("--out", "a", error=ZeroDivisionError())


def test_verbose_shows_where_a_mistake_was_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--out", "a", "--verbose", error=UserError("no such clip")) == MISTAKE
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert said.splitlines()[-1] == "twostream try: no such clip"


def test_a_mistake_found_while_the_options_are_put_together(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def put_together(out: Path) -> Options:
        raise UserError(f"--out {out} is taken")

    code = run_command(put_together, lambda options: OK, ["--out", "a"], prog="try", description="")
    assert code == MISTAKE
    assert capsys.readouterr().err == "twostream try: --out a is taken\n"


@pytest.mark.parametrize("words", [[], ["--help"], ["train", "--help"], ["doctor", "--help"]])
def test_every_text_can_be_cut_by_head(words: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "scripts", *words],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_flag_that_turns_something_off_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    @dataclass(frozen=True)
    class Negated:
        frames: bool = True
        """Write frames too."""

    assert run_command(Negated, lambda _: OK, ["--help"], prog="try", description="Try.") == OK
    said = capsys.readouterr().out
    assert "--no-frames" in said
    assert "(this stops it)" in said
    assert "True" not in said


@pytest.mark.parametrize("flush", [True, False])
@pytest.mark.parametrize("arguments", [["--out", "a"], ["--help"]])
def test_a_reader_that_goes_away_is_no_fault(arguments: list[str], flush: bool) -> None:
    """As `twostream inspect STORE | head -1`; the pipe is closed before anything is written."""
    program = (
        "import sys, test_command as t\n"
        "t.run_command(t.Options, lambda o: print('x' * LENGTH, flush=FLUSH), sys.argv[1:],"
        " prog='try', description='y' * 100000)"
    )
    program = program.replace("FLUSH", str(flush)).replace("LENGTH", "100000" if flush else "10")
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}:{Path(__file__).parent}"},
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
