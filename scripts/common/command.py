"""What every command shares: options to a dataclass, mistakes to one line, exit codes."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import sys
import traceback
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any

from scripts.common.help import TEXT_HERE, HelpText, help_page, tyro_config
from storage.errors import UserError, WorkFailed

OK, FAILED, MISTAKE, INTERRUPTED = 0, 1, 2, 130

DISK_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Nothing that another call could put right: the work was going on."""


@dataclass(frozen=True)
class Talk:
    """How much is said."""

    quiet: bool = False
    """Print only the summary and the errors; no progress."""
    verbose: bool = False
    """Say more on the way, and show the traceback of an error."""


def run_command(
    options_type: Any,
    run: Callable[[Any], int | None],
    argv: list[str] | None,
    *,
    prog: str,
    description: str,
) -> int:
    """Parse `argv` into `options_type`, call `run`, and turn what happens into an exit code.

    `options_type` is a dataclass (or a union of them, for sub-commands) whose field docstrings
    are the help. Options that hold a `talk: Talk` field get `--quiet` and `--verbose`.
    """
    import tyro

    boxed, page = io.StringIO(), HelpText()
    try:
        with redirect_stderr(boxed), redirect_stdout(page):
            options = tyro.cli(
                options_type,
                args=sys.argv[1:] if argv is None else argv,
                prog=f"twostream {prog}",
                description=TEXT_HERE,
                config=tyro_config(),
            )
    except UserError as error:  # raised while a dataclass checks its own fields
        return mistake(prog, error)
    except SystemExit as stop:
        if stop.code:
            return mistake(prog, unboxed(boxed.getvalue()))
        try:
            print(help_page(page.getvalue(), description), end="", flush=True)
        except BrokenPipeError:  # `twostream extract --help | head`
            return pipe_closed()
        return OK
    talk = getattr(options, "talk", None) or Talk(
        getattr(options, "quiet", False), getattr(options, "verbose", False)
    )
    shown = logging.StreamHandler(sys.stderr)
    shown.setLevel(logging.ERROR if talk.quiet else logging.DEBUG)
    logging.basicConfig(  # a run's log file takes also what --quiet does not show
        level=logging.DEBUG if talk.verbose else logging.INFO,
        format="%(message)s",
        handlers=[shown],
        force=True,
    )
    for noisy in ("numba", "matplotlib", "PIL", "h5py", "asyncio", "distributed", "jax"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        code = run(options) or OK
        sys.stdout.flush()  # a reader that has gone away is noticed here, not at Python's end
        return code
    except WorkFailed as error:
        print(f"twostream {prog}: {error}", file=sys.stderr)
        return FAILED
    except BrokenPipeError:  # `twostream inspect ... | head`
        return pipe_closed()
    except (UserError, OSError, MemoryError) as error:
        if talk.verbose:
            traceback.print_exc()
        if isinstance(error, OSError) and error.errno in DISK_FAULTS:
            mistake(prog, f"{error.filename or 'a file'} cannot be written: {error.strerror}")
            return FAILED
        return mistake(prog, error)
    except KeyboardInterrupt:
        print(f"\ntwostream {prog}: stopped; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED


def pipe_closed() -> int:
    """Nobody reads on: end in peace, without Python's complaint when it flushes stdout."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return OK


def unboxed(text: str) -> str:
    """What tyro says in a box of several lines, as one line."""
    lines = [line.strip("│ ") for line in text.splitlines()[1:]]  # the first is the box's title
    inner = " ".join(line for line in lines if line.strip("╰╯─-")) or text
    return re.sub(r"^Error parsing \w+: |For full helptext, (see|run):? .*$", "", inner).strip()


def mistake(prog: str, error: BaseException | str) -> int:
    text = " ".join(str(error).split()) or type(error).__name__
    print(f"twostream {prog}: {text}", file=sys.stderr)
    return MISTAKE
