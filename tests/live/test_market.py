"""Bars in, decisions out: the vector of the offline build, on every worker, after anything."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from typing import Any

import bentoml
import numpy as np
import pytest
from numpy.typing import NDArray

from config.settings import TradingHours
from features.bars import BarSeries
from features.compute import compute_series
from features.macro import MACRO_COLUMNS, MacroSeries
from features.schema import USDCOP_M5
from tests.live.server import ALL_DAY, Server
from tests.live.test_shared_book import on_redis
from tests.redis_server import RedisServer

pytestmark = pytest.mark.live

HOURS = TradingHours(
    start_hour=0, end_hour=23, end_minute=59, end_second=59, trading_days=(0, 1, 2, 3, 4, 5, 6)
)
LEVELS = {
    "dxy": 104.0, "vix": 17.0, "embi_col": 320.0, "brent": 80.0, "ust10y": 4.2, "col10y": 10.5,
    "usdmxn": 18.5,
}  # fmt: skip
HISTORY = 300
STARTED = int(time.time()) // 300 * 300
Rows = list[dict[str, Any]]


def market(bars: int, macro_days: int = 90) -> tuple[BarSeries, MacroSeries]:
    """Bars of which the newest is complete, without a pause, and macro values up to yesterday."""
    rng = np.random.default_rng(3)
    closes = np.round(4000 * np.exp(np.cumsum(rng.normal(0, 6e-4, bars))), 2)
    starts = STARTED - 300 * np.arange(bars, 0, -1)
    last = (datetime.now(UTC) - timedelta(days=1)).date() - date(1970, 1, 1)
    days = np.arange(last.days - macro_days + 1, last.days + 1)
    steps = np.exp(np.cumsum(rng.normal(0, 4e-3, (macro_days, len(MACRO_COLUMNS))), axis=0))
    columns = {
        name: np.round(LEVELS[name] * steps[:, row], 4) for row, name in enumerate(MACRO_COLUMNS)
    }
    return BarSeries(starts, closes), MacroSeries.from_table(days, columns)


BARS, MACRO = market(HISTORY + 40)
OFFLINE = compute_series(BARS, MACRO, hours=HOURS)


def bar_rows(first: int, beyond: int) -> Rows:
    return [
        {"time": datetime.fromtimestamp(start, UTC).isoformat(), "close": close}
        for start, close in zip(
            BARS.starts[first:beyond].tolist(), BARS.closes[first:beyond].tolist(), strict=True
        )
    ]


def macro_rows() -> Rows:
    days = MACRO.columns["dxy"].days.tolist()
    return [
        {
            "date": (date(1970, 1, 1) + timedelta(days=day)).isoformat(),
            **{name: float(MACRO.columns[name].values[row]) for name in MACRO_COLUMNS},
        }
        for row, day in enumerate(days)
    ]


def offline_row(bar: int) -> NDArray[np.float32]:
    row: NDArray[np.float32] = OFFLINE.matrix[
        int(np.flatnonzero(OFFLINE.times == BARS.starts[bar])[0])
    ]
    return row


def ask(server: Server, path: str, **body: Any) -> dict[str, Any]:
    """POST over a connection of its own, so that any worker may answer."""
    with server.client() as client:
        answer = client.post(path, json=body)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def look(server: Server, path: str) -> dict[str, Any]:
    with server.client() as client:
        content: dict[str, Any] = client.get(path).json()
    return content


def observation_on_record(server: Server, decision_id: str) -> NDArray[np.float32]:
    record = look(server, f"/v1/decisions/{decision_id}")
    return np.array(record["observation"], dtype=np.float32)


def post_and_compare(server: Server, bar: int) -> dict[str, Any]:
    answer = ask(server, "/v1/market/bars", bars=bar_rows(bar, bar + 1), decide=True)
    assert answer["ready"], answer
    decided = observation_on_record(server, answer["decision"]["decision_id"])
    assert decided.tobytes() == offline_row(bar).tobytes()
    assert list(answer["features"]) == list(USDCOP_M5.names)
    return answer


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis") / "data") as started:
        yield started


@pytest.fixture(params=["sqlite", "redis"])
def servers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Server]]:
    """One service with two workers on a file; two services on one Redis."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            two = {"BENTOML_CONFIG_OPTIONS": "services.usdcop.workers=2"}
            started = [Server(tmp_path_factory.mktemp("both"), {**ALL_DAY, **two})]
        else:
            where = {**ALL_DAY, **on_redis(request.getfixturevalue("redis"))}
            started = [Server(tmp_path_factory.mktemp(name), where) for name in ("one", "other")]
        yield [stack.enter_context(server) for server in started]


def test_a_posted_bar_is_decided_on_with_the_vector_of_the_offline_build(
    servers: list[Server],
) -> None:
    ask(servers[0], "/v1/market/macro", values=macro_rows())
    first = ask(servers[-1], "/v1/market/bars", bars=bar_rows(0, HISTORY))
    assert first["received"]["stored"] == HISTORY
    assert first["decision"] is None

    for bar in range(HISTORY, HISTORY + 12):  # over new connections: either worker, either service
        post_and_compare(servers[bar % len(servers)], bar)

    again = ask(servers[0], "/v1/market/bars", bars=bar_rows(HISTORY, HISTORY + 12))
    assert again["received"]["duplicate"] == 12
    for server in servers:
        server.kill()
        server.start()
    for bar in range(HISTORY + 12, HISTORY + 18):
        post_and_compare(servers[bar % len(servers)], bar)
    for server in servers:
        for _ in range(6):
            latest = look(server, "/v1/features/latest")
            found = np.array(latest["observation"], dtype=np.float32)
            assert found.tobytes() == offline_row(HISTORY + 17).tobytes()
            by_time = ask(server, "/v1/inference", timestamp=latest["timestamp"])
            assert by_time["risk_status"] != "NOT_CHECKED"
            decided = observation_on_record(server, by_time["decision_id"])
            assert decided.tobytes() == found.tobytes()


def test_the_python_client_posts_bars(tmp_path: Any) -> None:
    with Server(tmp_path, ALL_DAY) as server, bentoml.SyncHTTPClient(server.url) as client:
        answer = client.market_bars(bars=bar_rows(0, 12), decide=True)
        macro = client.market_macro(values=macro_rows())

    assert (answer["ready"], answer["decision"], answer["bars"]) == (False, None, 12)
    assert answer["not_ready"].startswith("not ready: 12 of 240 bars")
    assert macro["added"] == 90 * len(MACRO_COLUMNS)


def wait_until_healthy(server: Server) -> None:
    deadline = time.monotonic() + 20
    while look(server, "/health")["status"] != "healthy":
        assert time.monotonic() < deadline, look(server, "/health")
        time.sleep(0.2)


def test_features_go_on_from_memory_while_redis_is_gone_and_are_shared_after_it(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folders = [tmp_path_factory.mktemp(name) for name in ("redis", "one", "other")]
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer(folders[0] / "data"))
        one, other = (
            stack.enter_context(Server(folder, {**ALL_DAY, **on_redis(redis)}))
            for folder in folders[1:]
        )
        ask(one, "/v1/market/macro", values=macro_rows())
        ask(one, "/v1/market/bars", bars=bar_rows(0, HISTORY))

        redis.kill()
        answer = ask(one, "/v1/market/bars", bars=bar_rows(HISTORY, HISTORY + 3), decide=True)
        told = look(one, "/health")

        assert list(answer["features"].values()) == offline_row(HISTORY + 2).tolist()
        assert answer["degraded"] is not None
        assert answer["decision"]["risk_status"] == "SYSTEM_ERROR"
        assert told["components"]["market"]["status"] == "degraded"
        assert told["components"]["cache"]["status"] == "degraded"
        latest = look(one, "/v1/features/latest")
        assert np.float32(latest["observation"]).tobytes() == offline_row(HISTORY + 2).tobytes()

        redis.start()
        wait_until_healthy(one)
        post_and_compare(other, HISTORY + 3)
        post_and_compare(one, HISTORY + 4)
