"""The command `twostream`: finds the command's file in this folder and hands the options over."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

COMMANDS = {
    "demo": "make sample videos and walk the whole way to a report",
    "doctor": "say what works here: versions, engines, GPUs, disk",
    "extract": "turn videos into a store of flow and frames",
    "inspect": "say what is in a store and how it was made",
    "verify": "read every record of a store, and drop what is damaged",
    "preview": "show frames beside their flow, as a video or a strip",
    "compact": "give back the space that deleted videos left in a store",
    "merge": "make one store of several, without copying",
    "systems": "list the systems: paper, command, size, what each is blind to",
    "exam": "let systems sit an exam whose ceilings are proved: which idea is for what",
    "features": "write the features of a trained network, or of trajectories",
    "train": "train a stream, the fusion of two, or a network on features",
    "svm": "train a linear SVM on features, and write its class scores",
    "adopt": "make a run of somebody else's weights",
    "score": "write the class scores of a trained run",
    "fuse": "combine the scores of several streams",
    "report": "judge streams and fusions in one page",
    "explain": "draw what a trained run looks at",
    "predict": "say what happens in a video of your own",
    "import": "take over flow that another tool computed",
    "export": "write a store in another tool's layout",
    "bench": "measure flow, storage, extraction or training",
}


def usage() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {text}" for name, text in COMMANDS.items())
    return (
        "usage: twostream COMMAND [OPTIONS]\n\n"
        f"commands:\n{rows}\n\n"
        "twostream COMMAND --help says what a command takes, with examples.\n"
        "Exit codes: 0 all done, 1 the work ran but part of it failed, 2 a mistake in the call."
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    try:
        code = dispatch(argv)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # `twostream --help | head`
        from scripts.common import pipe_closed

        return pipe_closed()


def dispatch(argv: list[str] | None) -> int:
    """Find the command and hand the other words to it."""
    if sys.version_info < (3, 11):  # noqa: UP036 - a checkout can be run by any interpreter
        print(f"twostream: Python 3.11 or newer is needed, this is {sys.version.split()[0]}")
        return 2
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"twostream {installed_version()}")
        return 0
    command, *rest = arguments
    if command not in COMMANDS or find_spec(f"scripts.{command}") is None:
        near = ", ".join(name for name in COMMANDS if name.startswith(command[:2]))
        print(
            f"twostream: no command {command!r}"
            + (f"; did you mean {near}?" if near else "; `twostream --help` lists them"),
            file=sys.stderr,
        )
        return 2
    return int(import_module(f"scripts.{command}").main(rest))


def installed_version() -> str:
    try:
        return version("twostream")
    except PackageNotFoundError:
        return "(not installed, run from a checkout)"
