"""In a log file progress is a line now and then, with what is done and what is left."""

from __future__ import annotations

import io
import sys

import pytest

from storage.progress import Lines, minutes, progress_bar, watched


def test_a_line_every_quarter_of_a_minute_without_carriage_returns() -> None:
    now, file = [0.0], io.StringIO()
    with Lines(100, "video", "import", file=file, clock=lambda: now[0]) as bar:
        for _ in range(100):
            now[0] += 0.5
            bar.update()
    lines = file.getvalue().splitlines()
    assert lines == [
        "import: 30 of 100 videos after 0:15, about 0:35 to go",
        "import: 60 of 100 videos after 0:30, about 0:20 to go",
        "import: 90 of 100 videos after 0:45, about 0:05 to go",
    ]
    assert "\r" not in file.getvalue()


def test_what_an_earlier_sitting_did_is_not_counted_as_speed() -> None:
    now = [0.0]
    bar = Lines(100, "step", "train", start=50, clock=lambda: now[0], file=io.StringIO())
    bar.set_postfix_str("loss 0.5")
    bar.update(25)
    assert bar.text(60.0) == "train: 75 of 100 steps after 1:00, about 1:00 to go; loss 0.5"


def test_minutes() -> None:
    assert [minutes(s) for s in (0, 59.6, 750, 10950)] == ["0:00", "1:00", "12:30", "3:02:30"]


def test_a_terminal_has_a_bar_and_a_file_has_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for stream, lines in ((Terminal(), False), (io.StringIO(), True)):
        monkeypatch.setattr(sys, "stderr", stream)
        bar = progress_bar(3, "video", "score")
        assert isinstance(bar, Lines) is lines
        assert list(watched("abc", bar)) == ["a", "b", "c"]
        assert bar.n == 3
        assert ("\r" in stream.getvalue()) is not lines
