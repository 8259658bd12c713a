"""The videos' rates beside exported pictures, which cannot say them: `frame_rates.csv`."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from storage import atomic
from storage.errors import UserError
from storage.store import Store
from storage.videos import FRAME_RATES


def write_rates(store: Store, exported: Iterable[str], out: Path) -> Path:
    """The rates of these videos, beside those that earlier exports into the folder wrote."""
    rates = read_rates([out]) | {video: store.video(video).fps for video in exported}
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["video", "fps"])
    rows.writerows([video, repr(float(rate))] for video, rate in sorted(rates.items()))
    atomic.write_text(out / FRAME_RATES, text.getvalue())
    return out / FRAME_RATES


def read_rates(sources: Sequence[Path]) -> dict[str, float]:
    """Video -> its rate, as far as folders of exported videos say it."""
    rates: dict[str, float] = {}
    for source in sources:
        path = Path(source) / FRAME_RATES
        if not path.is_file():
            continue
        with path.open(encoding="utf-8", newline="") as file:
            for number, row in enumerate(csv.DictReader(file), 2):
                try:
                    rate = float(row["fps"])
                    if not (math.isfinite(rate) and rate > 0):
                        raise ValueError
                    rates[row["video"]] = rate
                except (KeyError, TypeError, ValueError):
                    raise UserError(f"{path}, line {number}, is not `video,fps`") from None
    return rates
