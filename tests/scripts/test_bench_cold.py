"""`bench store --cold` on a small store: all read the same items, and the disk is counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.bench import cold
from storage.errors import UserError, WorkFailed


def flow() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2, (8, 2, 48, 64)).astype(np.float32)


def test_all_ways_are_asked_for_the_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        rows = cold.cold_table(flow(), tmp_path, turns=3, seed=0)
    except UserError:
        pytest.skip("temporary files do not lie on a disk that is counted")
    assert [(row.what, row.reader) for row in rows] == [
        (what, reader)
        for what in ("10 pairs", "1 frame")
        for reader in ("store", "files", "one read")
    ]
    for row in rows:
        same = {other.wanted for other in rows if other.what == row.what}
        assert same == {row.wanted}
        assert len(row.clock) == 3
        assert row.disk > 0
    cold.show_cold(rows)
    assert len(capsys.readouterr().out.splitlines()) == 3 + 2 + len(rows)


def test_ways_that_differ_are_not_timed(tmp_path: Path) -> None:
    store = cold.write_store(tmp_path / "store", flow())
    files = cold.write_files(tmp_path / "frames", store, "frames")
    for path in files.rglob("*.jpg"):
        path.write_bytes(b"another")
    with pytest.raises(WorkFailed, match="differ"):
        cold.take_turns(store, "frames", files, tmp_path, 1, np.random.default_rng(0))
    store.close()


def test_memory_is_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold, "bytes_read", lambda: 0)
    with pytest.raises(UserError, match=r"not on a disk.*--folder"):
        cold.cold_table(flow(), tmp_path, turns=1, seed=0)
