"""No setting, header, parameter or field of the service changes its clock."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from api.access import digest_of
from application import World
from bootstrap import build
from config.environment import API_KEYS, CONFIG_PATH, SHORT_NAMES
from config.load import load_settings
from config.shape import locate, setting_keys
from risk.ledger.memory import MemoryLedger
from stores.documents import MemoryDocuments
from tests.book import MONDAY_NOON_UTC
from tests.integration.running import CONFIDENT, ROOT, SteppedClock
from tests.integration.serving import Served, served

KEY = "usdcop_of-the-desk"
NOW = MONDAY_NOON_UTC
TODAY = NOW.date()
SATURDAY = NOW - timedelta(days=2)

ABOUT_A_CLOCK = {
    "ahead", "as", "behind", "clock", "current", "date", "day", "epoch", "fake", "freeze", "frozen",
    "instant", "moment", "now", "offset", "replay", "shift", "simulate", "simulated", "skew",
    "speed", "step", "test", "time", "timestamp", "today", "travel", "warp", "world",
}  # fmt: skip
"""Words in the name of a setting that would be about what time it is."""

HOW_LONG = re.compile(r"time_limit_seconds|time_limit_mb|per_day")
"""Durations and rates: they say how long, and not when."""

SHIPPED = (
    "api", "commands", "config", "features", "models", "monitoring", "risk", "runners",
    "simulation", "stores",
)  # fmt: skip

HEADERS = {
    "Date": "Sat, 28 Feb 2026 14:00:00 GMT",
    "X-Time": SATURDAY.isoformat(),
    "X-Now": SATURDAY.isoformat(),
    "X-Clock": SATURDAY.isoformat(),
    "X-Date": SATURDAY.isoformat(),
    "X-Timestamp": str(SATURDAY.timestamp()),
    "X-Request-Start": f"t={SATURDAY.timestamp()}",
    "X-Timezone": "Asia/Tokyo",
    "X-Forwarded-For": "10.0.0.7",
    "X-Forwarded-Time": SATURDAY.isoformat(),
    "X-Forwarded-Date": SATURDAY.isoformat(),
    "Forwarded": f"for=10.0.0.7;time={int(SATURDAY.timestamp())}",
    "If-Modified-Since": "Sat, 28 Feb 2026 14:00:00 GMT",
    "Age": "172800",
    "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
"""What a caller or a proxy might tell a time with: a Saturday, on which nothing is traded."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service on a Monday at nine in Bogotá, and a caller with a key."""
    keys = {API_KEYS: f"desk:admin:{digest_of(KEY)}"}
    with served(tmp_path_factory.mktemp("clock"), SteppedClock(NOW), keys, KEY) as started:
        yield started


@pytest.fixture(autouse=True)
def everything_is_of_now(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test did: on record it happened now, in today's session."""
    yield
    if "service" not in request.fixturenames:
        return
    running: Served = request.getfixturevalue("service")
    assert running.http.get("/v1/risk/summary")["daily_stats"]["date"] == TODAY.isoformat()
    for record in running.application.ledger.scan():
        body = orjson.loads(record.body)
        assert datetime.fromisoformat(body["at"]) == NOW
        assert date.fromisoformat(body["day"]) == TODAY


def test_no_setting_is_about_the_clock() -> None:
    names = [*setting_keys(), *SHORT_NAMES, API_KEYS, CONFIG_PATH]
    about = [
        name
        for name in names
        if ABOUT_A_CLOCK & set(re.split(r"[._]", HOW_LONG.sub("", name.lower())))
    ]
    assert len(names) > 80
    assert about == []
    for name in setting_keys():
        place = locate(tuple(name.split(".")))
        assert place is not None, name
        assert place.kind is not datetime, name


def test_an_application_that_is_given_no_world_is_on_the_time_of_this_machine() -> None:
    settings = load_settings({"MLOPS_ENVIRONMENT": "development"}).settings
    application = build(settings, MemoryLedger(), documents=MemoryDocuments())
    before = datetime.now(UTC)
    try:
        assert application.desk.clock is World().clock
        assert before <= application.desk.clock() <= datetime.now(UTC)
    finally:
        application.close()


def test_only_a_replay_brings_a_time_of_its_own() -> None:
    given = {
        str(path.relative_to(ROOT))
        for path in _shipped_files()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _is_world(node) and (node.args or node.keywords)
    }
    assert given == {"replay.py"}


def test_the_service_knows_nothing_of_replays() -> None:
    served_by = [ROOT / "service.py", ROOT / "bootstrap.py", *(ROOT / "api").glob("*.py")]
    for path in served_by:
        imported = {
            name.partition(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            for name in _imported(node)
        }
        assert not imported & {"replay", "simulation"}, path


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_does_not_change_when_a_decision_is_made(service: Served, name: str) -> None:
    response = service.http.request(
        "POST", "/v1/inference", json={"observation": CONFIDENT}, headers={name: HEADERS[name]}
    )
    assert response.status_code == 200, response.text
    _is_of_now(response.json())


def test_all_headers_together_do_not_either(service: Served) -> None:
    response = service.http.request(
        "POST", "/v1/inference", json={"observation": CONFIDENT}, headers=HEADERS
    )
    _is_of_now(response.json())


@pytest.mark.parametrize("name", ["now", "clock", "timestamp", "time", "as_of", "date"])
def test_a_parameter_of_the_address_does_not_either(service: Served, name: str) -> None:
    response = service.http.request(
        "POST",
        "/v1/inference",
        json={"observation": CONFIDENT},
        params={name: SATURDAY.isoformat()},
    )
    _is_of_now(response.json())


@pytest.mark.parametrize("hours", [-48, -1, 0, 48])
def test_the_time_of_an_observation_is_not_the_time_of_its_decision(
    service: Served, hours: int
) -> None:
    told = NOW + timedelta(hours=hours)
    answer = service.http.post("/v1/inference", observation=CONFIDENT, timestamp=told.isoformat())

    assert answer["timestamp"] == NOW.isoformat(timespec="microseconds")
    assert answer["risk_status"] == ("APPROVED" if hours == 0 else "STALE_DATA")


@pytest.mark.parametrize("days", [0, -3, -400])
def test_a_trade_is_of_today_whenever_it_was_closed(service: Served, days: int) -> None:
    before = service.http.get("/v1/risk/summary")["daily_stats"]["trades_today"]
    closed_at = (NOW + timedelta(days=days)).isoformat()
    service.http.post(
        "/v1/risk/trade-result",
        trade_id=f"T{days}",
        pnl=10.0,
        pnl_percent=0.0001,
        closed_at=closed_at,
    )

    assert service.http.get("/v1/risk/summary")["daily_stats"]["trades_today"] == before + 1


@pytest.mark.parametrize(
    ("path", "value"),
    [("/v1/risk/position", "position"), ("/v1/risk/mark", "unrealized_pnl_percent")],
)
def test_a_report_of_another_time_leaves_the_time_as_it_is(
    service: Served, path: str, value: str
) -> None:
    for days in (-400, -3):
        as_of = (NOW + timedelta(days=days)).isoformat()
        service.http.post(path, **{value: 0.0, "as_of": as_of})
    _is_of_now(service.http.post("/v1/inference", observation=CONFIDENT))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/risk/position", {"position": 0.0, "as_of": "LATER"}),
        ("/v1/risk/mark", {"unrealized_pnl_percent": 0.0, "as_of": "LATER"}),
        (
            "/v1/risk/trade-result",
            {"trade_id": "later", "pnl": 1.0, "pnl_percent": 1e-5, "closed_at": "LATER"},
        ),
        ("/v1/market/bars", {"bars": [{"time": "LATER", "close": 4000.0}]}),
        ("/v1/market/macro", {"values": [{"date": "TOMORROW", "vix": 17.0}]}),
    ],
)
def test_what_is_of_a_time_to_come_is_refused(
    service: Served, path: str, body: dict[str, Any]
) -> None:
    later = NOW + timedelta(days=1)
    text = orjson.dumps(body).decode()
    text = text.replace("LATER", later.isoformat()).replace("TOMORROW", str(later.date()))

    response = service.http.request(
        "POST", path, content=text, headers={"Content-Type": "application/json"}
    )

    assert response.status_code == 400, response.text


@pytest.mark.parametrize("field", ["now", "clock", "time", "as_of", "decided_at", "today"])
def test_a_field_for_the_time_is_refused_as_unknown(service: Served, field: str) -> None:
    body = {"observation": CONFIDENT, field: SATURDAY.isoformat()}
    response = service.http.request("POST", "/v1/inference", json=body)

    assert response.status_code == 400
    assert field in response.json()["error"]["message"]


def _is_of_now(answer: dict[str, Any]) -> None:
    """A Monday's approval, and no Saturday's refusal."""
    assert answer["timestamp"] == NOW.isoformat(timespec="microseconds")
    assert answer["risk_status"] == "APPROVED", answer["reasons"]


def _shipped_files() -> Iterator[Path]:
    yield from ROOT.glob("*.py")
    for name in SHIPPED:
        yield from (ROOT / name).rglob("*.py")


def _is_world(call: ast.Call) -> bool:
    name = call.func
    return (isinstance(name, ast.Name) and name.id == "World") or (
        isinstance(name, ast.Attribute) and name.attr == "World"
    )


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
