"""The templates of every page that twostream writes: one head, one style, one way to escape."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

OWN = "fusion.page"


def page_environment(filters: dict[str, Callable[..., Any]], *packages: str) -> Environment:
    """Finds the templates of this package and of others, which all have a folder `templates`; a
    page extends `base.html`, and is given `style`, and `script` if it has one."""
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package) for package in (OWN, *packages)]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment


def page_part(name: str, package: str = OWN) -> str:
    """The text of a style sheet or a script."""
    return files(f"{package}.templates").joinpath(name).read_text("utf-8")
