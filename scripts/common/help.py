"""How `--help` reads: the command's own text as written, and no defaults that say nothing."""

from __future__ import annotations

import io
import re
import sys
import textwrap
from typing import Any

TEXT_HERE = "@the command's own text@"
"""Given to tyro instead of the text, whose lines it would join and whose gaps it would widen."""


class HelpText(io.StringIO):
    """Holds what tyro prints, and answers as the terminal would that it is meant for."""

    def isatty(self) -> bool:
        return sys.__stdout__ is not None and sys.__stdout__.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(sys.__stdout__, "encoding", None) or "utf-8"


def help_page(printed: str, description: str) -> str:
    """What tyro printed, with the command's description, and without empty defaults."""
    page = re.sub(r"\(default:[\s│]*(None|False)?\)", blanked, printed)
    # Only flags that turn something off are shown with it: `--no-flip`.
    page = page.replace("(default: True)", "(this stops it)")
    page = re.sub(r"\(default:([\s│]+)True\)", r"(stops   \1it)  ", page)
    page = re.sub(r"\n│ +│(?=\n)", "", page)  # lines that held nothing else
    return page.replace(TEXT_HERE, textwrap.dedent(description).strip())


def blanked(match: re.Match[str]) -> str:
    """The same length in spaces, so that the boxes stay whole."""
    return re.sub(r"[^\s│]", " ", match[0])


def tyro_config() -> tuple[Any, ...]:
    """How options are named and shown, in every command alike."""
    import tyro

    return (
        tyro.conf.OmitArgPrefixes,  # --quiet, not --talk.quiet
        tyro.conf.FlagCreatePairsOff,  # --json, without --no-json
        tyro.conf.DisallowNone,  # INT, not {None}|INT: an option that is left out is none
    )
