"""A run's options as plain values: run.yaml, and what a run's config.json says of them.

Names are those of the command line, without dashes in front: `short-side`, and `flip: false` for
what is said there as `--no-flip`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from storage.errors import UserError

OF_THE_CALL = ("out", "restart", "resume", "config", "json", "quiet", "verbose")
"""Options of one call, not of a run."""


def option_values(options: Any) -> dict[str, Any]:
    """Name -> value of a dataclass of options, those of its parts among them."""
    values: dict[str, Any] = {}
    for one in fields(options):
        value = getattr(options, one.name)
        if is_dataclass(value):
            values |= option_values(value)
        elif value is not None:
            values[one.name.replace("_", "-")] = plain(value)
    return {name: value for name, value in values.items() if name not in OF_THE_CALL}


def plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.resolve())
    return [plain(one) for one in value] if isinstance(value, tuple) else value


def yaml_text(kind: str, values: Mapping[str, Any]) -> str:
    import yaml

    text: str = yaml.safe_dump({"kind": kind, **values}, sort_keys=False, allow_unicode=True)
    return text


def read_options(path: Path) -> dict[str, Any]:
    """`kind` and options of a file that a run wrote, or that somebody edited."""
    import yaml

    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"--config {path} does not exist; runs keep theirs as run.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"--config {path} is not readable YAML: {reason}") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise UserError(f"--config {path} does not hold lines `option: value`")
    return {name.replace("_", "-"): value for name, value in values.items()}


def options_of_run(path: Path) -> dict[str, Any]:
    """`kind` and options of a run: as config.json has them, the rest (device, policies) from
    run.yaml, which older runs lack and a user may have edited."""
    from streams.training import RunFolder

    folder = RunFolder(path)
    config = folder.read()
    settings, origin = config["settings"], config["made"]
    data = settings["data"]
    if "adopted" in data:
        raise UserError(
            f"--resume {path} holds somebody else's weights; `twostream train {settings['kind']} "
            f"--weights {path}` with another --out trains them further"
        )
    values = read_options(folder.options) if folder.options.exists() else {}
    named = ("store", "features", "labels", "spatial", "temporal", "pictures", "recipe", "name")
    values |= {name: origin[name] for name in named if origin.get(name)}
    for part in settings["recipe"].values():
        values |= {name.replace("_", "-"): value for name, value in part.items() if name != "kind"}
    values |= {"seed": settings["seed"], "split": data["split"], "validation": data["validation"]}
    return {"kind": settings["kind"], **values}


def default_values(options_type: Any) -> dict[str, Any]:
    """Name -> default of every option of a dataclass; MISSING where there is none."""
    types = get_type_hints(options_type)
    values: dict[str, Any] = {}
    for one in fields(options_type):
        default = one.default_factory() if one.default_factory is not MISSING else one.default
        if is_dataclass(default):
            values |= {
                inner.name.replace("_", "-"): plain(getattr(default, inner.name))
                for inner in fields(default)
            }
        elif default is MISSING and is_dataclass(types[one.name]):
            values |= default_values(types[one.name])
        else:
            values[one.name.replace("_", "-")] = plain(default)
    return values


def as_words(values: Mapping[str, Any], defaults: Mapping[str, Any], given: set[str]) -> list[str]:
    """Values as they are said on the command line, without those in `given` and the defaults."""
    words: list[str] = []
    for name, value in values.items():
        if name in given or value is None or (name in defaults and defaults[name] == value):
            continue
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no-{name}")
        elif isinstance(value, list):
            words += [f"--{name}", *map(str, value)]
        else:
            words += [f"--{name}={value}"]
    return words


def without_defaults(argv: list[str], defaults: Mapping[str, Any]) -> list[str]:
    """A command line without flags that say what holds anyway: the parser knows only the other one
    of `--flip` and `--no-flip`, but beside a file that says the other, both mean something."""
    said = {
        f"--{name}" if value else f"--no-{name}"
        for name, value in defaults.items()
        if isinstance(value, bool)
    }
    return [word for word in argv if word not in said]


def given_names(argv: list[str]) -> set[str]:
    """The options that a command line names."""
    names = {word[2:].partition("=")[0].replace("_", "-") for word in argv if word[:2] == "--"}
    return names | {name.removeprefix("no-") for name in names}
