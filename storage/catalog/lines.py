"""Lines of a label list, whatever wrote them: LF or CRLF, a BOM, blank lines at the end."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from storage.errors import UserError


def lines(path: Path) -> list[tuple[int, str]]:
    """(line number from 1, stripped text) of each line that is not empty."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not a text file in UTF-8: {error.reason}") from None
    rows = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in rows if line]


VIDEO_ENDINGS = frozenset(
    f".{end}"
    for end in "avi mp4 mkv webm mov mpg mpeg m4v wmv flv 3gp ts ogv gif".split()  # noqa: SIM905
)


def video_id(path: str) -> str:
    """A listed path without its extension, with forward slashes: what the store calls a video.

    Only a video's extension goes, since names hold dots of their own.
    """
    clean = PurePosixPath(path.replace("\\", "/"))
    text = str(clean.with_suffix("")) if clean.suffix.lower() in VIDEO_ENDINGS else str(clean)
    return text.removeprefix("./")
