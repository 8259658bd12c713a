"""One torch thread a test process, the tiny data set, and one report for all who read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from browser_page import open_page
from report_inputs import everything
from streams_tiny import Tiny, write_tiny

from fusion.report.report import Written, write_report

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder: Path = tmp_path_factory.mktemp("tiny")
    return write_tiny(folder)


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A report with everything in it."""
    folder = tmp_path_factory.mktemp("report")
    return write_report(everything(folder), folder / "report.html", latex=True)


@pytest.fixture
def page(browser: Any, written: Written) -> Iterator[Any]:
    """That report in a browser; at the end nothing may have gone wrong or out."""
    opened = open_page(browser, written.paths[0])
    yield opened
    assert opened.complaints == []
    opened.close()
