"""Runs that predictions are made by."""

from __future__ import annotations

from pathlib import Path

import pytest
from predict_material import make_house


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_house(tmp_path_factory.mktemp("predict"))
