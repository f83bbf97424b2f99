"""What the page shows of a drift alarm: a real check of a session with broken features."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.integration.test_drift_checks import (
    NOW,
    break_the_last_rows,
    opened_at,
    settings_of,
    tick,
    write_decisions,
)
from tests.live.browser import chromium, opened
from tests.live.server import ALL_DAY, Server, told
from tests.live.test_routes import ZEROS

pytestmark = pytest.mark.live

SHOWN_DECISIONS = 20
VARIABLES = {
    **ALL_DAY,
    "MLOPS__MONITORING__ENABLE_DRIFT_DETECTION": "false",  # else a check may be due just now
    "MLOPS__RISK_LIMITS__ON_DRIFT": "halve",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def entry(tmp_path: Path) -> dict[str, Any]:
    """What a check said of two wrong features: the one that is certain is wrong by less."""
    (tmp_path / "var").mkdir()
    write_decisions(tmp_path / "var" / "state.db")
    settings = settings_of(tmp_path / "var")
    break_the_last_rows(settings, rsi_14=1.01, dxy_z=100.0)
    checks = opened_at(settings, NOW)
    try:
        return checks.judge(tick(NOW))[1]
    finally:
        checks.close()


@pytest.fixture
def desk(entry: dict[str, Any], tmp_path: Path) -> Iterator[Server]:
    """A service whose book has that alarm."""
    assert entry["state"] == "alarm"
    with Server(tmp_path, VARIABLES) as started:
        yield started


def test_an_alarm_is_said_with_what_to_look_at_first(
    browser: Browser, desk: Server, entry: dict[str, Any]
) -> None:
    suspects = entry["suspects"]
    assert [suspect["name"] for suspect in suspects] == ["rsi_14", "dxy_z"]
    assert suspects[0]["score"] < suspects[1]["score"]
    with desk.client() as client:
        for _ in range(SHOWN_DECISIONS):
            told(client, "/v1/inference", observation=ZEROS)
    with opened(browser, desk.url) as page:
        expect(page.locator("#drift-state")).to_have_text("Drift alarm")
        listed = page.locator("#drift-suspects li")
        expect(listed).to_have_count(len(suspects))
        for item, suspect in zip(listed.all(), suspects, strict=True):
            expect(item).to_contain_text(suspect["name"])
            expect(item).to_contain_text(suspect["reason"])
        reasons = page.locator("#drift-reasons li")
        expect(reasons).to_have_count(2)
        expect(reasons.first).to_contain_text("Entries are of half size")
        expect(reasons.last).to_contain_text("2% of 45 features drifted; above 15%")
        expect(page.locator("#alerts-list")).to_contain_text("rsi_14")


def test_a_panel_that_cannot_be_shown_says_so_and_takes_no_other_with_it(
    browser: Browser, desk: Server
) -> None:
    # The decisions that the check was made from have no more of an answer than it needs.
    page = browser.new_page()
    page.goto(f"{desk.url}/dashboard")
    for panel in ("signal", "decisions"):
        expect(page.locator(f"#{panel} .fault")).to_contain_text("Cannot be shown whole")
    for panel in ("trading", "gate", "limits", "day", "alerts", "drift", "models", "health"):
        expect(page.locator(f"#{panel} .fault")).to_have_count(0)
    expect(page.locator("#trading-big")).to_contain_text("Trading")
    expect(page.locator("#drift-state")).to_contain_text("Drift alarm")
    expect(page.locator("#link")).to_have_text("● Live")
    with desk.client() as client:
        for _ in range(SHOWN_DECISIONS):
            told(client, "/v1/inference", observation=ZEROS)
    expect(page.locator("#signal-big")).to_contain_text("HOLD")
    expect(page.locator(".fault")).to_have_count(0)
    page.close()
