"""A page in the chromium of this machine, and everything that goes wrong in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

__all__ = ["chromium", "opened"]

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OF_THE_NETWORK = "Failed to load resource"
"""What a browser says of each answer of 400 and above, and of each connection that is refused."""


def executable() -> str:
    """The browser; without one the tests are skipped, but not where everything must be tested."""
    for name in _NAMES:
        found = shutil.which(name)
        if found is not None:
            return found
    complaint = f"there is no browser: none of {', '.join(_NAMES)} is on PATH"
    if os.environ.get("CI") == "true":
        pytest.fail(complaint)
    pytest.skip(complaint)


@contextmanager
def chromium() -> Iterator[Browser]:
    """The browser, without its sandbox: a container may not give it one."""
    path = executable()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def opened(browser: Browser, url: str, **context: Any) -> Iterator[Page]:
    """The dashboard in a tab of its own.

    At the end there must have been no error of a script, no violation of the policy, and no
    request to anybody else.
    """
    faults: list[str] = []
    hosts: set[str] = set()

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_OF_THE_NETWORK):
            faults.append(message.text)

    def note(request: Request) -> None:
        if not request.url.startswith("data:"):
            hosts.add(urlsplit(request.url).netloc)

    tab = browser.new_context(**context)
    try:
        page = tab.new_page()
        page.set_default_timeout(15_000)
        page.on("console", hear)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", note)
        page.goto(f"{url}/dashboard")
        yield page
        assert faults == []
        assert hosts == {urlsplit(url).netloc}
    finally:
        tab.close()
