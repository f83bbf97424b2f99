"""Alerts of the whole application, on a clock that a test steps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alerting import AlertSources, open_alerts
from api.alert_handlers import watch_alerts
from application import World
from errors import NotFound, StoreUnavailable
from monitoring.alerts.alerts import Alerts
from monitoring.alerts.causes import Cause, Condition
from monitoring.alerts.drift_conditions import drift_conditions, overdue_check
from monitoring.alerts.episodes import Acknowledgement
from monitoring.observer import AlertAcknowledged, AlertTold
from risk.drift import record_drift_alarm
from risk.events import timestamp
from stores.documents import Documents, MemoryDocuments
from tests.alerting import FakeSender, eventually
from tests.fakes import RecordingObserver
from tests.integration.running import Running, running


@dataclass(frozen=True)
class Sources(AlertSources):
    """What alerts are about, with drift that a test makes."""

    watched: Watched | None = None

    def drift_conditions(self) -> tuple[Condition, ...]:
        return tuple(self._watched.drift)

    def on_acknowledged(self, causes: frozenset[Cause], actor: str) -> None:
        self._watched.hear(causes, actor)

    @property
    def _watched(self) -> Watched:
        assert self.watched is not None
        return self.watched


@dataclass
class Watched:
    """An application, and alerts about it that a test ticks."""

    service: Running
    documents: Documents | None = field(default_factory=MemoryDocuments)
    sender: FakeSender = field(default_factory=FakeSender)
    observer: RecordingObserver = field(default_factory=RecordingObserver)
    acknowledged: list[tuple[frozenset[Cause], str]] = field(default_factory=list)
    drift: list[Condition] = field(default_factory=list)
    hook_fails: bool = False

    def open(self) -> Alerts:
        application = self.service.application
        sources = Sources(
            replace(application.desk, observer=self.observer),
            application.cache,
            application.feed,
            application.drift,
            application.started_at,
            watched=self,
        )
        world = World(clock=self.service.clock)
        return open_alerts(application.settings, world, sources, self.documents, sender=self.sender)

    def hear(self, causes: frozenset[Cause], actor: str) -> None:
        if self.hook_fails:
            raise StoreUnavailable("away")
        self.acknowledged.append((causes, actor))

    @property
    def told(self) -> list[str]:
        return [seen.title for seen in self.observer.seen if isinstance(seen, AlertTold)]


@pytest.fixture
def watched() -> Iterator[Watched]:
    with running() as service:
        yield Watched(service)


def test_a_breaker_that_trips_reaches_the_target_once_whichever_worker_sees_it(
    watched: Watched,
) -> None:
    workers = [watched.open(), watched.open()]
    for worker in workers:
        worker.tick()
    assert watched.told == []
    watched.service.report("loss", -0.03)
    for _ in range(3):
        watched.service.clock.advance(seconds=1)
        for worker in workers:
            worker.tick()
    eventually(lambda: len(watched.sender.arrived) == 1)
    assert watched.told == ["PAGE: breaker daily_loss (book default)"]
    for worker in workers:
        worker.close()


def test_what_was_told_before_a_restart_is_not_told_again_and_what_was_not_is(
    watched: Watched,
) -> None:
    watched.sender.refuses.add("aaaa")
    first = watched.open()
    watched.service.report("loss", -0.03)
    first.tick()
    first.close()
    assert watched.sender.arrived == []
    watched.sender.refuses.clear()
    watched.service.clock.advance(minutes=1)
    second = watched.open()
    second.tick()
    eventually(lambda: len(watched.sender.arrived) == 1)
    second.close()
    third = watched.open()
    third.tick()
    third.close()
    assert len(watched.sender.arrived) == 1
    assert len(watched.told) == 1


def test_an_acknowledgement_is_passed_on_also_when_it_is_repeated(watched: Watched) -> None:
    alerts = watched.open()
    watched.drift.append(Condition(Cause.DRIFT, "vectors", "strayed"))
    alerts.tick()
    watched.hook_fails = True
    with pytest.raises(StoreUnavailable):
        alerts.acknowledge(Acknowledgement("desk", note="seen"))
    watched.hook_fails = False
    (episode,) = alerts.acknowledge(Acknowledgement("desk"))
    assert (episode.acknowledged_by, episode.note) == ("desk", "seen")
    assert watched.acknowledged == [(frozenset({Cause.DRIFT}), "desk")]
    alerts.acknowledge(Acknowledgement("desk", cause=Cause.COLLAPSE))
    assert watched.acknowledged[-1] == (frozenset({Cause.COLLAPSE}), "desk")
    with pytest.raises(NotFound):
        alerts.acknowledge(Acknowledgement("desk", episode_id="nothing"))
    assert len(watched.acknowledged) == 2
    heard = [seen for seen in watched.observer.seen if isinstance(seen, AlertAcknowledged)]
    assert heard[0].causes == ("drift",)
    alerts.close()


def test_alerts_are_listed_without_any_target(watched: Watched) -> None:
    service = watched.service
    assert service.get("/v1/alerts") == (200, {"alerts": [], "degraded": None})
    service.post("/v1/risk/halt", reason="look at it")
    service.application.alerts.tick()
    status, content = service.get("/v1/alerts")
    (alert,) = content["alerts"]
    assert (status, alert["state"], alert["severity"]) == (200, "open", "page")
    assert alert["message"] == "trading is HALTED by local: look at it"
    assert alert["messages"][0]["deliveries"] == []


def test_a_board_whose_file_cannot_be_made_is_kept_in_memory_and_says_so(
    tmp_path: Path,
) -> None:
    variables = {"MLOPS__STATE_PATH": str(tmp_path / "nowhere" / "state.db")}
    with running(variables) as service:
        watched = Watched(service, documents=None)
        alerts = watched.open()
        service.post("/v1/risk/halt", reason="look at it")
        alerts.tick()
        eventually(lambda: len(watched.sender.arrived) == 1)
        alerts.tick()
        assert alerts.degraded
        assert len(watched.told) == 1
        (tmp_path / "nowhere").mkdir()
        alerts.tick()
        assert not alerts.degraded
        alerts.close()
        alerts.close()
        again = watched.open()
        again.tick()
        assert len(again.recent()) == len(watched.told) == 1
        again.close()


def test_a_look_that_fails_is_logged_and_followed_by_the_next_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("api.alert_handlers._SECONDS", 0.01)
    looks: list[int] = []

    def tick() -> None:
        looks.append(1)
        raise ValueError("nobody foresaw this")

    asyncio.run(_until(tick, lambda: len(looks) > 3))

    assert len(looks) > 3
    assert caplog.text.count("a look at what alerts are about failed") >= 3
    assert "nobody foresaw this" in caplog.text


async def _until(tick: Callable[[], None], condition: Callable[[], bool]) -> None:
    task = asyncio.create_task(watch_alerts(tick))
    while not condition():  # noqa: ASYNC110 - it is a thread that counts
        await asyncio.sleep(0.01)
    task.cancel()


def test_a_drift_alarm_on_record_is_told_and_an_acknowledgement_of_it_is_on_record(
    watched: Watched,
) -> None:
    application = watched.service.application
    desk = replace(application.desk, observer=watched.observer)
    sources = AlertSources(
        desk, application.cache, application.feed, application.drift, application.started_at
    )
    world = World(clock=watched.service.clock)
    alerts = open_alerts(
        application.settings, world, sources, watched.documents, sender=watched.sender
    )
    act = desk.act(watched.service.clock(), "service:drift")
    record_drift_alarm(act.now, ["rsi_14: it is 900 where the returns make it 9"], act)
    alerts.tick()
    alerts.acknowledge(Acknowledgement("desk"))
    state = desk.ledger.head().state
    alerts.close()

    assert watched.told == ["REPORT: drift features (book default)"]
    assert state.drift is not None
    assert state.drift.acknowledged_by == "desk"


def test_a_collapse_of_the_actions_stands_until_a_check_finds_none() -> None:
    reasons = ["HOLD is 95% of the last 200 decisions"]
    entry = {"tick": "1", "actions": {"reasons": reasons}}
    found = drift_conditions(None, entry)

    assert [(one.cause, one.message) for one in found] == [
        (Cause.COLLAPSE, f"the models' actions: {reasons[0]}")
    ]
    assert drift_conditions(None, {"tick": "2", "actions": {"reasons": []}}) == ()
    assert drift_conditions(None, None) == ()


@pytest.mark.parametrize(
    ("minutes", "made", "started", "missing"),
    [
        (5, None, -60, False),
        (11, None, -60, True),
        (11, -1, -60, True),
        (11, 1, -60, False),
        (59, None, -60, True),
        (61, None, -60, False),
        (45, None, 40, False),
        (55, None, 40, True),
    ],
)
def test_a_check_that_was_due_and_is_missing_is_told_while_it_could_still_be_made(
    minutes: int, made: int | None, started: int, missing: bool
) -> None:
    due = datetime(2026, 3, 2, 14, 1, tzinfo=UTC)
    entry = None if made is None else {"at": timestamp(due + timedelta(minutes=made))}

    since, hour = due + timedelta(minutes=started), timedelta(hours=1)
    now = due + timedelta(minutes=minutes)
    found = overdue_check(due, entry, now, started=since, grace=hour)

    assert bool(found) is missing
    assert overdue_check(None, None, due, started=since, grace=hour) == ()
