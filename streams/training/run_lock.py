"""One training at a time in a run folder.

A POSIX record lock on the file `lock`: the system drops it when its process ends, however it ends,
and the reading processes that are forked from it do not inherit it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.errors import UserError

NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}
"""From file systems that know none; there nothing is checked."""


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock file `path` inside the block; UserError where another process holds it. At the
    end the file is gone."""
    descriptor = take(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: nobody locks a file without a name
        os.close(descriptor)


def take(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 200).decode(errors="replace").strip()
            if error.errno not in NO_LOCKS:
                os.close(descriptor)
                raise UserError(
                    f"{path.parent} is being trained by {holder or 'another process'}; wait for "
                    "it, stop it, or give another --out"
                ) from None
        if same_file(descriptor, path):
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            return descriptor
        os.close(descriptor)  # its holder removed it in between


def same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
