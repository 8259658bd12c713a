"""A shard as a tar that webdataset reads: the files of a clip stand together under one key.

KEY.cls      the label, where there is one
KEY.forward  the clip's coded pairs; KEY.backward and KEY.warped likewise
KEY.frames   its coded frames
KEY.json     what the clip is
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from storage.shards.deal import ClipSpan

ENDING = ".tar"
Sample = tuple[ClipSpan, int | None, Mapping[str, bytes]]
"""A clip, its label, its members."""


def shard_name(number: int) -> str:
    return f"shard-{number:06d}{ENDING}"


def write_tar(path: Path, samples: Iterable[Sample]) -> None:
    """The same samples give the same bytes: time, owner and mode are constant."""
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for span, label, members in samples:
            files = dict(members)
            if label is not None:
                files = {"cls": str(label).encode(), **files}
            for ending, data in files.items():
                info = tarfile.TarInfo(f"{span.key}.{ending}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
