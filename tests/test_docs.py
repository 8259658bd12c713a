"""What README and docs say a person can type is really there."""

from __future__ import annotations

import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from scripts.cli import COMMANDS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def shell_lines(page: Path) -> list[tuple[int, str]]:
    """(line number, command) of every line in a ```sh block, continuations joined."""
    found: list[tuple[int, str]] = []
    inside, held = False, ""
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.strip().startswith("```"):
            inside = line.strip() in ("```sh", "```bash", "```console")
            continue
        if not inside:
            continue
        held += line.strip().removeprefix("$ ")
        if held.endswith("\\"):
            held = held[:-1]
            continue
        if held:
            found.append((number, held))
        held = ""
    return found


def calls() -> list[tuple[str, list[str]]]:
    """(where, words) of every `twostream ...` that the pages show."""
    found = []
    for page in PAGES:
        for number, line in shell_lines(page):
            line = re.sub(r"\s#\s.*$", "", line)
            for piece in re.split(r"&&|\|\||;|(?<!\S)\|(?!\S)", line):
                try:
                    words = shlex.split(piece)
                except ValueError:
                    continue
                while words and (
                    "=" in words[0].split("/")[0] or words[0] in ("time", "nice", "srun")
                ):
                    words = words[1:]
                if "twostream" in words[:1]:
                    words = words[1:]
                elif words[:2] == ["python", "-m"] and words[2].startswith("scripts."):
                    words = [words[2].removeprefix("scripts."), *words[3:]]
                elif "-m" in words and "twostream" in words:  # torchrun ... -m twostream train ...
                    words = words[words.index("twostream") + 1 :]
                else:
                    continue
                for stop in (">", "2>&1", "<", "&"):
                    if stop in words:
                        words = words[: words.index(stop)]
                found.append((f"{page.name}:{number}", words))
    return found


@pytest.mark.parametrize(("where", "words"), calls(), ids=lambda v: v if isinstance(v, str) else "")
def test_a_documented_call_parses(
    where: str,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if not words or words[0].startswith("-"):
        return
    command, rest = words[0], words[1:]
    if "--help" in rest:
        rest = []
    module = import_module(f"scripts.{command}")
    if taken := {"--resume", "--config"} & set(rest):  # all else stands in a run that is not here
        assert module.main(["spatial", "--help"]) == 0
        assert taken <= set(capsys.readouterr().out.split())
        return
    parsed = []

    def only_parse(options_type: object, run: object, argv: list[str], **texts: object) -> int:
        import tyro

        config = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff)
        parsed.append(tyro.cli(options_type, args=argv, config=config))  # type: ignore[arg-type]
        return 0

    if not hasattr(module, "run_command"):  # a script that is no command
        return
    monkeypatch.setattr(module, "run_command", only_parse)
    try:
        module.main(rest)
    except SystemExit:
        pytest.fail(f"{where}: {' '.join(words)}\n{capsys.readouterr().err}")
    assert parsed


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_opens_with_examples(command: str) -> None:
    doc = import_module(f"scripts.{command}").__doc__ or ""
    assert re.search(rf"^\s+(\w+=\S+ )*twostream {command}\b", doc, re.MULTILINE), doc


def test_the_page_of_systems_is_the_table() -> None:
    from scripts.docs.systems import systems_page

    assert (ROOT / "docs" / "systems.md").read_text(encoding="utf-8") == systems_page(), (
        "run `make docs`"
    )


def test_the_command_pages_are_the_help() -> None:
    from scripts.docs.commands import pages

    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == pages(), "run `make docs`"
