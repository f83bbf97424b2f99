"""The page that a desk keeps open, in a real browser on a real service."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from api.access import digest_of
from risk.gate import RULES
from tests.live.browser import chromium, opened
from tests.live.server import ALL_DAY, Server, told
from tests.live.test_routes import CONFIDENT, ZEROS

pytestmark = pytest.mark.live

KEYS = {role: f"usdcop_page-{role}" for role in ("viewer", "trader", "admin")}
VARIABLES = {
    **ALL_DAY,
    "MLOPS_API_KEYS": ",".join(f"{role}-key:{role}:{digest_of(key)}" for role, key in KEYS.items()),
    "MLOPS__RISK_LIMITS__COOLDOWN_AFTER_LOSS": "0",
    "MLOPS__RISK_LIMITS__MAX_DAILY_RESETS": "1000",
}
NUMBER = count()
MINUS = "\N{MINUS SIGN}"
SHOWN = "#desk:not([hidden]) #trading-big.good, #desk:not([hidden]) #trading-big.bad"
PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def running(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("page"), VARIABLES) as started:
        yield started


@pytest.fixture
def desk(running: Server) -> Server:
    """The service, with a book that nothing stops."""
    with as_role(running, "admin") as admin:
        told(admin, "/v1/risk/reset", scope="all", reason="the next test begins")
        told(admin, "/v1/risk/resume", reason="the next test begins")
    return running


def as_role(server: Server, role: str) -> httpx.Client:
    return server.client(Authorization=f"Bearer {KEYS[role]}")


@contextmanager
def page_of(browser: Browser, server: Server, role: str, **context: Any) -> Iterator[Page]:
    """The page with the key of a role, once it shows something."""
    with opened(browser, server.url, **context) as page:
        give_key(page, KEYS[role])
        page.wait_for_selector(SHOWN)
        yield page


def give_key(page: Page, key: str) -> None:
    page.get_by_role("textbox", name="Key").fill(key)
    page.get_by_role("button", name="Open", exact=True).click()


def act(page: Page, button: str, reason: str, send: str) -> None:
    page.get_by_role("button", name=button).click()
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("dialog").get_by_role("button", name=send, exact=True).click()


def test_a_key_is_asked_for_once_and_kept_for_the_tab_alone(browser: Browser, desk: Server) -> None:
    with opened(browser, desk.url) as page:
        expect(page.locator("#desk")).to_be_hidden()
        give_key(page, "usdcop_wrong")
        expect(page.locator("#key-fault")).to_have_text("The service does not know this key.")
        give_key(page, KEYS["viewer"])
        expect(page.locator("#who")).to_contain_text("viewer-key, viewer")
        page.reload()
        expect(page.locator("#who")).to_contain_text("viewer-key, viewer")
        kept = page.evaluate("[document.cookie, location.href, Object.values({...localStorage})]")
        assert KEYS["viewer"] not in json.dumps(kept)
        other = page.context.new_page()
        other.goto(f"{desk.url}/dashboard")
        expect(other.locator("#key")).to_be_visible()
        other.close()
        page.get_by_role("button", name="Forget key").click()
        expect(page.locator("#key")).to_be_visible()
        expect(page.locator("#desk")).to_be_hidden()
        assert page.evaluate("sessionStorage.length") == 0


def test_without_keys_it_just_works_in_development(browser: Browser, server: Server) -> None:
    with opened(browser, server.url) as page:
        expect(page.locator("#who")).to_contain_text("local, admin")
        expect(page.locator("#key")).to_be_hidden()


def test_what_happens_elsewhere_appears_without_a_reload_and_without_asking(
    browser: Browser, desk: Server
) -> None:
    asked: list[str] = []
    with page_of(browser, desk, "viewer") as page, as_role(desk, "trader") as trader:
        page.on("request", lambda request: asked.append(request.url))
        decision = told(trader, "/v1/inference", observation=CONFIDENT)
        expect(page.locator("#signal-big")).to_have_text("▲BUY")
        expect(page.locator("#signal-verdict")).to_contain_text("Entry approved")
        expect(page.locator("#decisions-rows tr").first).to_contain_text("▲ BUY")
        key = page.locator("#decisions-rows tr").first.get_attribute("data-key")
        assert key == decision["decision_id"]
        told(trader, "/v1/risk/halt", reason="news")
        expect(page.locator("#trading-big")).to_contain_text("Halted")
        expect(page.locator("#signal-verdict")).to_have_text("Was approved; trading is halted now")
        expect(page.locator("#signal-big")).to_have_class("big past")
        expect(page.locator("#state-operator")).to_contain_text("by trader-key since")
        expect(page.locator("#announce")).to_have_text("Operator: halted.")
        told(trader, "/v1/risk/trade-result", trade_id=new("trade"), pnl=-500, pnl_percent=-0.005)
        expect(page.locator("#day-figures")).to_contain_text(f"{MINUS}0.50%")
        expect(page.locator("#gauges .meter").first).to_have_attribute("aria-valuenow", "25")
        expect(page.locator("#chart path.course").first).to_be_attached()
        assert asked == []


def test_a_refused_buy_is_shown_as_hold_with_what_the_models_said(
    browser: Browser, desk: Server
) -> None:
    with page_of(browser, desk, "viewer") as page, as_role(desk, "trader") as trader:
        told(trader, "/v1/risk/halt", mode="REDUCING", reason="lunch")
        told(trader, "/v1/inference", observation=CONFIDENT)
        expect(page.locator("#signal-big")).to_have_text("■HOLD")
        expect(page.locator("#signal-verdict")).to_have_text("▲ BUY refused: Reduce only")
        expect(page.locator("#signal-models")).to_contain_text("Models said ▲ BUY")
        rows = page.locator("#gate-checks tr")
        expect(rows).to_have_count(len(RULES))
        row = rows.filter(has_text="Operator allows it")
        expect(row.locator("td")).to_have_text(["✗ fail", "✗ fail", "○ exempt"])
        expect(row).to_contain_text("lunch")
        expect(page.locator("#trading-big")).to_contain_text("Exits only")


def test_a_tripped_breaker_is_said_with_its_causes(browser: Browser, desk: Server) -> None:
    with page_of(browser, desk, "viewer") as page, as_role(desk, "trader") as trader:
        told(trader, "/v1/inference", observation=CONFIDENT)
        expect(page.locator("#signal-verdict")).to_contain_text("Entry approved")
        told(trader, "/v1/risk/trade-result", trade_id=new("trade"), pnl=-2500, pnl_percent=-0.025)
        expect(page.locator("#signal-verdict")).to_have_text(
            "Was approved; the breaker is open now"
        )
        expect(page.locator("#trading-big")).to_contain_text("Breaker open")
        expect(page.locator("#state-breaker")).to_contain_text(
            f"Daily loss {MINUS}2.50% of {MINUS}2.00%"
        )
        expect(page.locator("#state-breaker")).to_contain_text("or a daily reset")
        expect(page.locator("#gauges li").first).to_contain_text("limit reached")
        expect(page.locator("#state-exits")).to_contain_text("Would pass now")


def test_each_act_is_done_by_who_may_do_it(browser: Browser, desk: Server) -> None:
    with page_of(browser, desk, "trader") as page:
        act(page, "Reduce only…", "lunch", "Allow exits only")
        expect(page.locator("#trading-big")).to_contain_text("Exits only")
        act(page, "Halt…", "news", "Halt trading")
        expect(page.locator("#trading-big")).to_contain_text("Halted")
        expect(page.locator("#acts-note")).to_have_text(
            "Resume and Reset need the role admin. Your key has the role trader."
        )
    with page_of(browser, desk, "admin") as page:
        act(page, "Resume…", "over", "Resume")
        expect(page.locator("#state-operator")).to_contain_text("by admin-key")
        expect(page.locator("#trading-big")).to_contain_text("Trading")
        with as_role(desk, "trader") as trader:
            told(trader, "/v1/risk/trade-result", trade_id=new("trade"), pnl=-9, pnl_percent=-0.001)
        expect(page.locator("#day-figures")).to_contain_text(f"{MINUS}0.10%")
        page.get_by_role("button", name="Reset…").click()
        page.get_by_label("the day, and the drawdown").check()
        page.get_by_label("Reason").fill("a new base")
        page.get_by_role("button", name="Reset", exact=True).click()
        expect(page.locator("#day-figures")).not_to_contain_text(f"{MINUS}0.10%")


@pytest.mark.parametrize(
    ("role", "locked"),
    [("viewer", ["halt", "reduce", "resume", "reset"]), ("trader", ["resume", "reset"])],
)
def test_an_act_that_a_role_may_not_do_says_so_and_does_nothing(
    browser: Browser, desk: Server, role: str, locked: list[str]
) -> None:
    with page_of(browser, desk, role) as page:
        for name in locked:
            button = page.locator(f"#act-{name}")
            expect(button).to_have_attribute("aria-disabled", "true")
            button.click(force=True)
            expect(page.locator("#ask")).to_be_hidden()
            expect(page.locator("#acts-said")).to_contain_text(f"this key has the role {role}")
        drift = page.locator("#drift-check")
        assert (drift.get_attribute("aria-disabled") == "true") is (role == "viewer")


def test_what_the_service_refuses_is_told_in_its_own_words(browser: Browser, desk: Server) -> None:
    file = desk.folder / "var" / "halt"
    with page_of(browser, desk, "admin") as page:
        file.touch()
        try:
            expect(page.locator("#state-operator")).to_contain_text("the halt file is there")
            act(page, "Resume…", "go on", "Resume")
            expect(page.locator("#ask-refusal")).to_contain_text("halt")
            expect(page.locator("#ask")).to_be_visible()
        finally:
            file.unlink()
        page.get_by_role("button", name="Cancel").click()


def test_words_of_others_are_text_whatever_they_say(browser: Browser, desk: Server) -> None:
    words = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>&amp;'
    with page_of(browser, desk, "viewer") as page, as_role(desk, "trader") as trader:
        told(trader, "/v1/inference", observation=CONFIDENT, order_id=f"<b>{new('order')}</b>")
        told(trader, "/v1/risk/halt", reason=words)
        for place in ("#state-operator", "#gate-checks"):
            expect(page.locator(place)).to_contain_text(words)
        expect(page.locator("#decisions-rows")).to_contain_text("<b>order-")
        assert page.locator("img, #desk script, #decisions-rows b").count() == 0
        assert page.evaluate("window.hit") is None


def test_trading_is_halted_with_the_keyboard_alone(browser: Browser, desk: Server) -> None:
    with page_of(browser, desk, "trader") as page:
        page.reload()
        page.wait_for_selector(SHOWN)
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.locator("#act-halt")).to_be_focused()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        expect(page.locator("#ask-reason")).to_be_focused()
        page.keyboard.type("by keyboard")
        page.keyboard.press("Enter")
        expect(page.locator("#state-operator")).to_contain_text("by keyboard")
        expect(page.locator("#ask")).to_be_hidden()


def test_an_alert_is_acknowledged_with_a_note(browser: Browser, desk: Server) -> None:
    with page_of(browser, desk, "trader") as page, as_role(desk, "trader") as trader:
        told(trader, "/v1/risk/halt", reason="to be noted")
        alert = page.locator("#alerts-list li.open", has_text="trading is HALTED").first
        alert.get_by_role("button", name="Acknowledge Halt").click()
        page.get_by_label("Note").fill("<i>I know</i>")
        page.get_by_role("dialog").get_by_role("button", name="Acknowledge", exact=True).click()
        noted = page.locator("#alerts-list li.acknowledged").first
        expect(noted).to_contain_text("Acknowledged by trader-key")
        expect(noted).to_contain_text("<i>I know</i>")


def test_a_drift_check_is_made_on_demand(browser: Browser, desk: Server) -> None:
    with page_of(browser, desk, "trader") as page:
        page.get_by_role("button", name="Check now").click()
        outcome = page.locator("#drift-outcome")
        expect(outcome).to_contain_text("heck", timeout=20_000)
        expect(page.locator("#drift-when")).to_contain_text("Last check", timeout=20_000)
        expect(page.locator("#drift-state")).to_have_text("Not enough data to judge")


def test_a_decision_opens_to_all_it_was_made_from(browser: Browser, desk: Server) -> None:
    with page_of(browser, desk, "viewer") as page, as_role(desk, "trader") as trader:
        decision = told(trader, "/v1/inference", observation=ZEROS)
        row = page.locator(f"[data-key='{decision['decision_id']}']")
        row.get_by_role("button").click()
        detail = page.locator("#detail")
        expect(detail.get_by_label("Decision id")).to_have_value(decision["decision_id"])
        expect(detail).to_contain_text("State sequence")
        for model in decision["models"]:
            expect(detail.get_by_role("row", name=model["name"])).to_be_visible()
        for reason in decision["reasons"]:
            expect(detail.locator("li", has_text=reason)).to_be_visible()
        expect(detail.locator("table").last.locator("tbody tr")).to_have_count(len(RULES))
        detail.get_by_role("button", name="Copy").click()
        expect(page.locator("#detail-copied")).not_to_be_empty()
        page.keyboard.press("Escape")
        expect(detail).to_be_hidden()
        expect(row.get_by_role("button")).to_be_focused()


def test_a_ledger_that_cannot_be_read_is_said_and_its_figures_are_not_shown_as_live(
    browser: Browser, desk: Server
) -> None:
    ledger = desk.folder / "var" / "state.db"
    away = ledger.with_suffix(".away")
    with page_of(browser, desk, "viewer") as page:
        ledger.rename(away)
        try:
            expect(page.locator("#sick")).to_contain_text("Service unhealthy")
            expect(page.locator("#trading .fault")).to_contain_text("Cannot be read now")
            expect(page.locator("#trading")).to_have_class("panel stale")
            expect(page.locator("#link")).to_have_text("● Live")
        finally:
            away.rename(ledger)
        expect(page.locator("#sick")).to_be_hidden()
        expect(page.locator("#trading .fault")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_all_text_stands_out_from_its_ground(browser: Browser, desk: Server, scheme: Any) -> None:
    with page_of(browser, desk, "viewer", color_scheme=scheme) as page:
        with as_role(desk, "trader") as trader:
            told(trader, "/v1/risk/halt", reason="stop")
        expect(page.locator("#trading-big")).to_contain_text("Halted")
        assert page.evaluate((Path(__file__).parent / "contrast.js").read_text()) == []
        other = "light" if scheme == "dark" else "dark"
        page.get_by_role("button", name=f"{other.capitalize()} colours").click()
        assert page.evaluate((Path(__file__).parent / "contrast.js").read_text()) == []


def test_a_phone_shows_it_without_scrolling_sideways(browser: Browser, desk: Server) -> None:
    with page_of(browser, desk, "admin", viewport=PHONE) as page:
        with as_role(desk, "trader") as trader:
            told(trader, "/v1/risk/halt", reason="a-long-word" * 20)
        expect(page.locator("#trading-big")).to_contain_text("Halted")
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.get_by_role("button", name="Resume…").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_whoever_cannot_see_it_finds_their_way(browser: Browser, desk: Server) -> None:
    with page_of(browser, desk, "admin") as page:
        assert page.locator("h1").count() == 1
        assert page.locator("html").get_attribute("lang") == "en"
        assert page.locator("main:visible").count() == page.locator("body > header").count() == 1
        nameless = page.evaluate(
            """() => [...document.querySelectorAll("button, input, dialog, section, table")]
            .filter((node) => node.checkVisibility())
            .filter((node) => !(node.ariaLabel || node.textContent.trim() || node.labels?.length
              || document.getElementById(node.getAttribute("aria-labelledby"))?.textContent))
            .map((node) => node.outerHTML)"""
        )
        assert nameless == []
        sections = page.locator("#desk > section")
        for section in sections.all():
            named = section.get_attribute("aria-labelledby")
            expect(section.locator(f"h2#{named}")).not_to_be_empty()
        meters = page.get_by_role("meter")
        expect(meters).to_have_count(6)
        for meter in meters.all():
            assert "limit" in (meter.get_attribute("aria-valuetext") or "")
        page.get_by_role("button", name="Halt…").click()
        expect(page.get_by_role("dialog", name="Halt trading")).to_be_visible()


def test_a_broken_stream_greys_the_figures_and_it_recovers_by_itself(
    browser: Browser, desk: Server
) -> None:
    with page_of(browser, desk, "viewer") as page:
        desk.stop()
        # The open stream has not held it up: nobody had to kill it.
        assert desk.process.returncode != -signal.SIGKILL
        stale = page.locator("#stale")
        expect(stale).to_contain_text("No live data.")
        expect(stale).to_contain_text("old.")
        expect(page.locator("html")).to_have_attribute("data-link", "lost")
        body = page.locator("#signal .body")
        assert "grayscale" in body.evaluate("node => getComputedStyle(node).filter")
        desk.start()
        expect(stale).to_be_hidden(timeout=20_000)
        expect(page.locator("#link")).to_have_text("● Live")
        with as_role(desk, "trader") as trader:
            told(trader, "/v1/risk/halt", reason="after the restart")
        expect(page.locator("#state-operator")).to_contain_text("after the restart")


def test_the_page_holds_no_data_and_runs_nothing_of_others(desk: Server) -> None:
    with desk.client() as nobody:
        page = nobody.get("/dashboard")
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(
            policy.split("; ")
        )
        script = nobody.get("/dashboard/main.js")
        assert script.headers["content-type"].startswith("text/javascript")
        again = {"If-None-Match": script.headers["etag"]}
        assert nobody.get("/dashboard/main.js", headers=again).status_code == 304
        for path in ("page.html", "__init__.py", "..%2Fapi%2Fweb.py", "%2e%2e"):
            assert nobody.get(f"/dashboard/{path}").status_code in {401, 404}, path
        assert nobody.get("/v1/live").status_code == 401


def new(kind: str) -> str:
    return f"{kind}-{datetime.now(UTC):%H%M%S}-{next(NUMBER)}"
