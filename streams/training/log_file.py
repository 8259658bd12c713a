"""What a training says, kept beside the run: log.txt, of all its sittings."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OURS = ("flow", "fusion", "scripts", "storage", "streams")


class LogFile(logging.FileHandler):
    """A log that cannot be written stops nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", delay=True)
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        self.addFilter(lambda record: record.name.partition(".")[0] in OURS)

    def handleError(self, record: logging.LogRecord) -> None:
        pass

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # of opening the file
            super().emit(record)

    def line(self, text: str) -> None:
        """One line that is not shown to the user as well."""
        self.handle(logging.makeLogRecord({"name": __name__, "msg": text, "args": ()}))


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Whatever the packages here log inside the block, and how the block ended, goes to `path`."""
    handler, root = LogFile(path), logging.getLogger()
    root.addHandler(handler)
    try:
        handler.line(f"begins: {' '.join(sys.argv)}")
        yield
        handler.line("ends")
    except BaseException as error:
        handler.line(f"ends early: {' '.join(str(error).split()) or type(error).__name__}")
        raise
    finally:
        root.removeHandler(handler)
        with suppress(OSError):
            handler.close()
