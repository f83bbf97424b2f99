"""The day of a desk with the whole application, on a clock that a test steps."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from api.daily_runs import DailyRuns, DailyWork
from api.day import ACTOR, close_work, preflight_work
from close_reports import _Sources, send_close
from daily import close_schedule, preflight_schedule
from errors import StoreUnavailable
from monitoring.alerts.board import Message
from monitoring.day.close_page import close_page
from monitoring.day.preflight import Preflight, Readiness
from monitoring.schedule import Schedule
from preflights import Looker
from risk.events import EventKind
from risk.ledger.protocol import Ledger
from risk.ledger.sqlite import SqliteLedger
from runners.signal import Signal
from stores.documents import MemoryDocuments
from tests.alerting import FakeSender
from tests.fakes import TroubledLedger
from tests.integration.running import Running, SteppedClock, observation_that, running
from tests.integration.serving import Served, served

MONDAY = date(2026, 3, 2)
BEFORE = datetime(2026, 3, 2, 12, 45, tzinfo=UTC)  # 07:45 in Bogotá
AFTER = datetime(2026, 3, 2, 18, 5, tzinfo=UTC)  # ten minutes after the end


def look(service: Running, **more: Any) -> Preflight:
    return Looker(service.application, ACTOR, **more).look()


def state_of(found: Preflight, name: str) -> Readiness:
    return next(check.state for check in found.checks if check.name == name)


def test_a_book_before_its_session_is_armed_and_the_look_is_on_record_and_kept() -> None:
    with running(clock=SteppedClock(BEFORE)) as service:
        sequence = service.application.ledger.head().state.sequence
        assert service.get("/v1/preflight")[0] == 404
        found = look(service)
        assert found.named(Readiness.NOT_ARMED) == []
        assert found.may_begin
        head = service.application.ledger.head()
        assert head.state.sequence == sequence
        (event,) = service.application.ledger.recent([EventKind.PREFLIGHT], limit=5)
        assert (event.actor, event.payload["state"]) == (ACTOR, found.state.value)
        assert service.get("/v1/preflight") == (200, found.to_json())


def test_a_ledger_that_takes_no_event_is_not_armed() -> None:
    ledger = TroubledLedger()
    with running(ledger=ledger, clock=SteppedClock(BEFORE)) as service:
        ledger.unwritable = True
        found = look(service)
        assert found.named(Readiness.NOT_ARMED) == ["writing"]
        ledger.unreadable = True
        assert set(look(service).named(Readiness.NOT_ARMED)) == {
            "models", "ledger", "book", "writing",
        }  # fmt: skip


def test_what_nobody_foresaw_is_not_armed_and_stops_no_other_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running(clock=SteppedClock(BEFORE)) as service:
        monkeypatch.setattr("preflight_surroundings.disk_check", lambda *_: 1 / 0)
        found = look(service)
        assert found.named(Readiness.NOT_ARMED) == ["disk"]
        assert state_of(found, "writing") is Readiness.ARMED


def test_a_test_message_reaches_every_target_or_says_why_not() -> None:
    with running(clock=SteppedClock(BEFORE)) as service:
        sender = FakeSender()
        assert state_of(look(service, send=True, sender=sender), "alerts 1 (json)").value == "armed"
        assert sender.arrived == [("aaaa", "test")]
        sender.refuses.add("aaaa")
        found = look(service, send=True, sender=sender)
        assert state_of(found, "alerts 1 (json)") is Readiness.NOT_ARMED


def pages(service: Running) -> list[tuple[str, str]]:
    """What the alerts tell of the look before the session, after they were looked at."""
    for _ in range(2):
        service.application.alerts.tick()
        service.clock.advance(seconds=1)
    return [
        (alert["severity"], alert["state"])
        for alert in service.get("/v1/alerts")[1]["alerts"]
        if alert["cause"] == "preflight"
    ]


def test_a_book_that_is_not_armed_is_a_page_until_a_later_look_finds_it_armed(
    tmp_path: Path,
) -> None:
    halt = tmp_path / "halt"
    variables = {"MLOPS__HALT_FILE": str(halt), "MLOPS__ALERTS__QUIET_MINUTES": "0.01"}
    with running(variables, clock=SteppedClock(BEFORE)) as service:
        halt.touch()
        assert state_of(look(service), "halt file") is Readiness.NOT_ARMED
        assert pages(service) == [("page", "open")]
        halt.unlink()
        look(service)
        _let_time_pass(service)
        assert pages(service) == [("page", "resolved")]


def _let_time_pass(service: Running) -> None:
    """Alerts look at what others keep every few seconds of a real clock."""
    watcher = service.application.alerts._watcher
    watcher._next_feed = float("-inf")
    service.application.alerts.tick()
    service.clock.advance(minutes=1)
    watcher._next_feed = float("-inf")


@dataclass
class Replicas:
    """Services of one book on one store."""

    clock: SteppedClock
    documents: MemoryDocuments = field(default_factory=MemoryDocuments)

    def started(self, ledger: Ledger) -> Any:
        return running(ledger=ledger, clock=self.clock, documents=self.documents)


def catch_up(*works: DailyWork) -> None:
    async def all_of_them() -> None:
        await asyncio.gather(*(DailyRuns(work).catch_up() for work in works))

    asyncio.run(all_of_them())


def schedules(service: Running) -> tuple[Schedule, Schedule]:
    settings = service.application.settings
    before, after = preflight_schedule(settings), close_schedule(settings)
    assert before is not None
    assert after is not None
    return before, after


def closes(service: Running) -> list[str]:
    listed = service.get("/v1/alerts")[1]["alerts"]
    return [alert["key"] for alert in listed if alert["cause"] == "close"]


def test_all_replicas_together_look_once_before_a_session_and_report_once_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daily.LEASE_SECONDS", 2.0)
    replicas = Replicas(SteppedClock(BEFORE - timedelta(minutes=1)))
    path = tmp_path / "state.db"
    with (
        replicas.started(SqliteLedger(path)) as one,
        replicas.started(SqliteLedger(path)) as other,
    ):
        before, after = schedules(one)
        looks = [preflight_work(each.application, before) for each in (one, other)]
        reports = [close_work(each.application, after) for each in (one, other)]

        def looked() -> int:
            return len(one.application.ledger.recent([EventKind.PREFLIGHT], limit=50))

        catch_up(*looks, *reports)
        assert (looked(), closes(one)) == (0, [])
        replicas.clock.now = BEFORE
        catch_up(*looks, *reports)
        catch_up(*looks, *reports)
        assert (looked(), closes(one)) == (1, [])
        replicas.clock.now = AFTER
        catch_up(*looks, *reports)
        catch_up(*looks, *reports)
        assert (looked(), closes(other)) == (1, ["2026-03-02"])
        replicas.clock.advance(days=1)
        catch_up(*looks, *reports)
        # The session of the second day is over: a look before it would come too late.
        assert (looked(), closes(other)) == (1, ["2026-03-03", "2026-03-02"])


def test_a_report_that_was_missed_is_sent_at_the_next_start_and_an_old_one_is_not() -> None:
    late = {"MLOPS__DESK__CLOSE_REPORT_LATE_HOURS": "18"}
    for hours, sent in ((17, ["2026-03-02"]), (19, [])):
        with running(late, clock=SteppedClock(BEFORE)) as service:
            service.clock.now = AFTER + timedelta(hours=hours)
            catch_up(close_work(service.application, schedules(service)[1]))
            assert closes(service) == sent


def test_of_a_day_before_the_ledger_began_there_is_no_report() -> None:
    with running(clock=SteppedClock(AFTER + timedelta(hours=12))) as service:  # on Tuesday
        catch_up(close_work(service.application, schedules(service)[1]))
        assert closes(service) == []


def eventful(service: Running) -> None:
    """A morning with a bit of everything."""
    service.decide(order_id="left <open>")
    service.decide(observation_that(service, Signal.BUY, sure=False))
    service.decide(timestamp=(service.clock.now - timedelta(hours=1)).isoformat())
    service.decide(dry_run=True)
    service.report("T<1>", 0.004)
    service.report("T2", -0.025)
    service.post("/v1/risk/halt", reason="<b>look</b> at it")
    service.application.alerts.tick()


def message_of(service: Running) -> Message:
    send_close(service.application, MONDAY)
    send_close(service.application, MONDAY)
    (told,) = [
        message
        for listed in service.application.alerts.recent()
        for message in listed.messages
        if message.cause == "close"
    ]
    return told


def test_a_report_tells_what_was_decided_traded_done_and_told() -> None:
    with running() as service:
        eventful(service)
        service.clock.now = AFTER
        text = message_of(service).body
        head = service.application.ledger.head()
    for line in (
        "Profit and loss: -2.1000%, -2,100.00 USD",
        "Trades: 2, 1 won, 1 lost, 1 losses in a row",
        "By signal: BUY 3",
        "Approved: 1 entries, 0 exits",
        "Refused signals: LOW_CONFIDENCE 1, STALE_DATA 1",
        "Vetoed observations: 1",
        "Breaker: OPEN (daily_loss)",
        "Operator: HALTED",
        "Drawdown: -2.5000%",
        "High-water mark: +0.4000%",
        f"Newest record: {head.sequence}",
        f"Its hash: {head.hash}",
    ):
        assert line in text.splitlines()
    assert "left <open>: BUY of" in text
    assert "local: HALTED: <b>look</b> at it" in text
    assert "page breaker daily_loss: the circuit breaker is open" in text
    assert "the chain verifies" in text.splitlines()[0]


def test_a_day_with_nothing_says_so() -> None:
    with running() as service:
        service.clock.now = AFTER
        text = message_of(service).body
        assert "2026-03-02: nothing was decided and nothing was traded" in text.splitlines()[0]


def test_a_page_is_escaped_and_runs_and_loads_nothing() -> None:
    with running() as service:
        eventful(service)
        application = service.application
        sources = _Sources(
            application.settings,
            application.desk.calendar,
            application.ledger,
            checks=_away,
            alerts=_away,
            latency_ms=dict,
        )
        report = sources.report(MONDAY, AFTER)
    assert report is not None
    page = close_page(report, application.settings.trading_hours.zone)
    assert "&lt;b&gt;look&lt;/b&gt; at it" in page
    assert "<b>" not in page
    assert "<script" not in page
    assert "http" not in page
    assert page.count("they could not be read") == 2


def _away() -> list[Any]:
    raise StoreUnavailable("away")


def test_a_service_that_starts_does_what_its_day_has_missed_and_lists_it(tmp_path: Path) -> None:
    variables = {
        "MLOPS__DESK__PREFLIGHT_MINUTES": "15",
        "MLOPS__DESK__CLOSE_REPORT_MINUTES": "10",
        "MLOPS__ALERTS__QUIET_MINUTES": "0.01",
    }
    clock = SteppedClock()
    with served(tmp_path, clock, variables) as service:
        told = _once_there(service, "/v1/preflight")
        assert (told["by"], told["session"]) == (ACTOR, "2026-03-02")
    clock.now = AFTER
    with served(tmp_path, clock, variables) as service:
        while not (listed := _closes(service)):
            service.http.request("GET", "/livez")
        assert listed == ["2026-03-02"]
        assert len(service.application.ledger.recent([EventKind.PREFLIGHT], limit=5)) == 1
    with served(tmp_path, clock, variables) as service:
        service.http.request("GET", "/livez")
        assert _closes(service) == ["2026-03-02"]


def _once_there(service: Served, path: str) -> dict[str, Any]:
    """What a route tells once it knows; the event loop turns with every call."""
    while True:
        answer = service.http.request("GET", path)
        if answer.status_code == 200:
            told: dict[str, Any] = answer.json()
            return told


def _closes(service: Served) -> list[str]:
    listed = service.http.get("/v1/alerts")["alerts"]
    return [alert["key"] for alert in listed if alert["cause"] == "close"]
