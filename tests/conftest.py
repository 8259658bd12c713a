"""What the tests share: where real data lies, and the command line as a real process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_page import opened_browser
from hypothesis import settings
from surroundings import ROOT, SHARED

settings.register_profile("no clock", deadline=None)  # others may be using the machine too
settings.load_profile("no clock")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real clips, flow truth, official lists and published scores; the test skips without them."""
    if not SHARED.is_dir():
        pytest.skip(f"real test data is not there: {SHARED}")
    return SHARED


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium; the test skips, or fails where everything must be there, without it."""
    yield from opened_browser()


@pytest.fixture(scope="session")
def twostream() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `twostream ARGS...` as a user does, in a process of its own; any folder will do."""

    def run(
        *args: object,
        cwd: Path | None = None,
        timeout: float = 240,
        env: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "scripts", *map(str, args)],
            cwd=cwd,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | (env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    return run
