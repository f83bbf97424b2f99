"""Replay runs live's code: the same days through the service's routes, and through replay.

One router trades on days that the project simulates: once over HTTP, through the application
that `bentoml serve` serves, on SQLite and on Redis, by a caller of this machine and by one with a
key; and once in this process, as a replay does. Whatever is answered and whatever goes on record
has to be the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

import orjson
import pytest

from api.access import LOCAL, digest_of
from bootstrap import build
from config.load import load_settings
from config.settings import Settings
from examples.trading_data import simulated_series
from features.bars import BarSeries
from features.macro import MacroSeries
from replay import CALLER, DeskService, Plan, SimulatedClock, replay
from risk.events import EventKind
from risk.ledger.memory import MemoryLedger
from risk.ledger.protocol import Ledger, Record
from runners.signal import Signal
from simulation.fills import Costs
from simulation.history import History
from simulation.inputs import between, history_of_bars
from simulation.router import Router, Rules, Step
from simulation.trades import Trade
from stores.documents import MemoryDocuments
from tests.integration.asgi_service import AsgiService
from tests.integration.running import SteppedClock
from tests.integration.serving import served, stepped_world
from tests.redis_server import new_book, shared_server

FIRST_DAY, LAST_DAY = date(2022, 1, 14), date(2022, 1, 18)
"""A Friday, a Monday that is a holiday in the United States, and the Tuesday after it."""

LIMITS = {
    "MAX_DAILY_LOSS": "-0.002",
    "MIN_CONFIDENCE": "0.45",
    "MLOPS__RISK_LIMITS__HIGH_CONFIDENCE_THRESHOLD": "1.0",
    "MLOPS__RISK_LIMITS__MAX_CONSECUTIVE_LOSSES": "2",
    "MLOPS__RISK_LIMITS__COOLDOWN_AFTER_CIRCUIT_BREAK": "600",
}
"""So low that these days reach them."""

KEY = "usdcop_of-the-router"
RULES = Rules(Costs(), capital_usd=100_000.0, marks=True)


@dataclass(frozen=True, eq=False)
class Traded:
    """What became of the days.

    Attributes:
        steps: of the router, with every answer as JSON values.
        trades: closed.
        records: the whole ledger, oldest first.
        store: the kind of it.
    """

    steps: list[Step]
    trades: list[Trade]
    records: list[Record]
    store: str


@cache
def market() -> tuple[BarSeries, MacroSeries, History]:
    """Bars, macro values, and the days that are traded."""
    bars, macro, vectors = simulated_series(14, seed=4)
    hours = settings().trading_hours
    history = history_of_bars(bars, macro, vectors, hours)
    return bars, macro, between(history, FIRST_DAY, LAST_DAY, hours.zone)


@cache
def settings() -> Settings:
    return load_settings({"MLOPS_ENVIRONMENT": "development", **LIMITS}).settings


def first_known() -> datetime:
    """When the first bar of these days is complete."""
    return datetime.fromtimestamp(int(market()[2].known_at[0]), UTC)


def traded(router: Router, ledger: Ledger) -> Traded:
    """Let a router trade on the days."""
    steps = [
        replace(step, answer=orjson.loads(orjson.dumps(step.answer)))
        for step in router.run(market()[2])
    ]
    return Traded(steps, router.trades, records_of(ledger), ledger.name)


def records_of(ledger: Ledger) -> list[Record]:
    records: list[Record] = []
    while page := ledger.scan(after=len(records)):
        records += page
    return records


def traded_live(folder: Path, variables: Mapping[str, str], key: str | None) -> Traded:
    """Over the routes of the service."""
    bars, macro, history = market()
    clock = SteppedClock(first_known())
    with served(folder, clock, {**LIMITS, **variables}, key) as running:
        routes = AsgiService(running, macro)
        routes.warm_up(bars, int(history.starts[0]))
        application = running.application
        return traded(Router(routes, application.desk.calendar, RULES), application.ledger)


@cache
def traded_in_process(caller: str) -> Traded:
    """As a replay does."""
    clock = SimulatedClock(first_known())
    application = build(
        settings(),
        MemoryLedger(),
        world=stepped_world(clock),
        documents=MemoryDocuments(),
    )
    try:
        desk = application.desk
        return traded(Router(DeskService(desk, clock, caller), desk.calendar, RULES), desk.ledger)
    finally:
        application.close()


@dataclass(frozen=True, eq=False)
class Live:
    """What the service did, by which name its caller is known, and where its ledger was."""

    traded: Traded
    caller: str
    store: str


def variables_of(store: str) -> dict[str, str]:
    if store == "sqlite":
        return {}
    server = shared_server()
    return {"REDIS_HOST": server.host, "REDIS_PORT": str(server.port), "MLOPS__BOOK": new_book()}


@pytest.fixture(scope="module", params=["sqlite", "redis", "sqlite with a key", "redis with a key"])
def live(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Live:
    store, _, with_key = request.param.partition(" ")
    variables, folder = variables_of(store), tmp_path_factory.mktemp(store)
    if not with_key:
        return Live(traded_live(folder, variables, None), LOCAL.name, store)
    keys = {"MLOPS_API_KEYS": f"{CALLER}:trader:{digest_of(KEY)}"}
    return Live(traded_live(folder, {**variables, **keys}, KEY), CALLER, store)


def test_every_decision_is_the_same_field_for_field(live: Live) -> None:
    replayed = traded_in_process(live.caller)

    assert len(live.traded.steps) == len(replayed.steps) == len(market()[2])
    for lived, simulated in zip(live.traded.steps, replayed.steps, strict=True):
        assert lived == simulated
    assert live.traded.trades == replayed.trades


def test_the_ledgers_are_the_same_event_for_event(live: Live) -> None:
    replayed = traded_in_process(live.caller)

    for lived, simulated in zip(live.traded.records, replayed.records, strict=False):
        assert lived.kind == simulated.kind
        assert orjson.loads(lived.body) == orjson.loads(simulated.body)
        assert lived == simulated
    assert len(live.traded.records) == len(replayed.records)
    assert (live.traded.store, replayed.store) == (live.store, "memory")


@pytest.mark.parametrize("live", ["sqlite with a key", "redis with a key"], indirect=True)
def test_a_whole_replay_ends_at_the_same_hash_as_the_service(live: Live) -> None:
    run = replay(Plan(settings(), market()[2], RULES, live={}, description={}))

    assert run.events == len(live.traded.records)
    assert run.ledger_head == live.traded.records[-1].hash


def test_the_days_hold_what_a_desk_meets() -> None:
    days = traded_in_process(LOCAL.name)
    answers = [step.answer for step in days.steps if step.answer is not None]
    statuses = Counter(answer["risk_status"] for answer in answers)
    bodies = [orjson.loads(record.body) for record in days.records]
    results = {body["id"] for body in bodies if body["kind"] == EventKind.TRADE_RESULT}

    assert len({record.body for record in days.records}) == len(days.records) > 300
    assert sum(answer["approved"] and not answer["reduces"] for answer in answers) >= 5
    assert sum(answer["approved"] and answer["reduces"] for answer in answers) >= 3
    assert any(answer["probe"] for answer in answers)
    assert {"CIRCUIT_BREAKER_ACTIVE", "MARKET_HOLIDAY", "LOW_CONFIDENCE"} <= set(statuses)
    tripped = [body["payload"] for body in bodies if body["kind"] == EventKind.BREAKER_TRIPPED]
    assert {payload["by"] for payload in tripped} <= results
    assert tripped
    assert any(body["kind"] == EventKind.BREAKER_RELEASED for body in bodies)
    closed = [body["payload"] for body in bodies if body["kind"] == EventKind.ORDER_CLOSED]
    assert {payload["outcome"] for payload in closed} == {"result", "cancelled"}


def test_the_bar_that_closes_with_the_session_comes_too_late_to_trade_on(live: Live) -> None:
    last = {
        answer["timestamp"]: answer
        for step in live.traded.steps
        if (answer := step.answer) is not None and answer["timestamp"][11:19] == "17:55:00"
    }

    assert list(last) == [f"2022-01-{day}T17:55:00.500000+00:00" for day in (14, 17, 18)]
    assert [answer["risk_status"] for answer in last.values()] == [
        "OUTSIDE_TRADING_HOURS", "MARKET_HOLIDAY", "OUTSIDE_TRADING_HOURS",
    ]  # fmt: skip
    assert [answer["raw_signal"] for answer in last.values()] == [
        Signal.BUY, Signal.SELL, Signal.SELL,
    ]  # fmt: skip
