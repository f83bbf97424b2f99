"""The page at `/`, in a browser."""

import os
import shutil
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, sync_playwright

from tests.live.server import Server

pytestmark = pytest.mark.live

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed")
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


def test_the_page_tells_every_route_and_loads_nothing_from_elsewhere(
    server: Server, page: Page
) -> None:
    asked: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{server.url}/")
    page.wait_for_selector("#operations-Risk-risk_halt")
    assert page.get_by_role("link", name="Dashboard").get_attribute("href") == "./dashboard"
    assert "risk-gated decision" in page.inner_text("body")
    assert [url for url in asked if not url.startswith(server.url)] == []
    assert complaints == []


def test_a_call_can_be_made_from_the_page(server: Server, page: Page) -> None:
    page.goto(f"{server.url}/")
    operation = page.locator("#operations-Service-health")
    operation.locator(".opblock-summary").click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response-col_status")
    answer.last.wait_for()
    assert "200" in answer.last.inner_text()


def test_a_browser_may_load_for_the_page_only_what_the_service_has(client: httpx.Client) -> None:
    policy = client.get("/").headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self' 'sha256-")
    assert "http" not in policy
