"""One torch thread a test process, and the tiny data set."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from streams_tiny import Tiny, write_tiny

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    folder: Path = tmp_path_factory.mktemp("tiny")
    return write_tiny(folder)
