"""Numbers for TensorBoard, written where they come up: its own writer is a thread, whose errors
(a full disk) nobody catches, and a thread makes it unsafe to fork reading processes."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

from storage.atomic import naming


class Board:
    """One event file, of one sitting."""

    def __init__(self, folder: Path, first_step: int) -> None:
        """`first_step`: what earlier sittings wrote from there on is not to be shown."""
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog
        from tensorboard.summary.writer.record_writer import RecordWriter

        name = f"events.out.tfevents.{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        self.path = folder / name
        with naming(self.path):
            folder.mkdir(parents=True, exist_ok=True)
            self._records = RecordWriter(self.path.open("wb"))
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))
        start = SessionLog(status=SessionLog.START)
        self._write(Event(wall_time=time.time(), step=first_step, session_log=start))

    def add(self, part: str, step: int, row: dict[str, float]) -> None:
        """One line of metrics.jsonl as curves `part/name`."""
        from tensorboard.compat.proto.event_pb2 import Event
        from torch.utils.tensorboard.summary import scalar

        for name, value in row.items():
            summary = scalar(f"{part}/{name}", value)
            self._write(Event(wall_time=time.time(), step=step, summary=summary))
        with naming(self.path):
            self._records.flush()

    def close(self) -> None:
        with naming(self.path):
            self._records.close()

    def _write(self, event) -> None:  # type: ignore[no-untyped-def]
        with naming(self.path):
            self._records.write(event.SerializeToString())
