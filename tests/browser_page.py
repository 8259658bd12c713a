"""A page in a real browser, with all that it complains of or asks for noted down."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from surroundings import missing_system_part


def opened_browser() -> Iterator[Any]:
    """Chromium, until the generator goes on."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        missing_system_part("Chromium", "apt-get install --no-install-recommends chromium")
    from playwright.sync_api import sync_playwright

    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=quiet)
        yield opened
        opened.close()


def open_page(browser: Any, path: Path, **settings: Any) -> Any:
    """The page of a file; `complaints` holds its messages, errors, dialogs and requests."""
    opened = browser.new_page(**({"viewport": {"width": 1280, "height": 900}} | settings))
    complaints: list[str] = []
    opened.complaints = complaints
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
    opened.on(
        "request",
        lambda request: (
            None if request.url.startswith(("file:", "data:")) else complaints.append(request.url)
        ),
    )
    opened.goto(path.as_uri())
    opened.wait_for_selector("html[data-ready=yes]")
    opened.add_style_tag(content="html { scroll-behavior: auto !important }")
    return opened
