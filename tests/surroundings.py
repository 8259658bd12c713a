"""Where the tests run: the project, real data beside it, and what only the system can give.

A module of its own, since every folder's conftest.py is imported under the one name `conftest`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared" / "data"


def missing_system_part(what: str, remedy: str) -> None:
    """Skip for want of something that only the system can give; in CI that is a failure."""
    message = f"{what} is not here; {remedy}"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)
