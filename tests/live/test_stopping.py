"""Being asked to stop, and being started before the store: nothing acknowledged is lost."""

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil  # type: ignore[import-untyped]  # it ships no types
import pytest

from api.access import digest_of
from benchmarks import rolling_restart
from benchmarks.journal import Journal
from benchmarks.router import Router
from benchmarks.stores import WIDE, RedisStore, SqliteStore, service_on, store_of
from risk.verification import examine, records_of
from stores.lease_body import LeaseBody
from stores.redis_documents import RedisDocuments
from stores.redis_link import RedisLink
from tests.live.server import ALL_DAY, Server, post
from tests.live.test_drift import finished, until
from tests.live.test_routes import CONFIDENT
from tests.live.test_shared_book import on_redis
from tests.redis_server import RedisServer

pytestmark = pytest.mark.live

Store = SqliteStore | RedisStore


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with closing(store_of(request.param, tmp_path)) as opened:
        yield opened


class Halves:
    """A request whose second half is held back: it is under way for as long as one likes."""

    def __init__(self, server: Server, path: str, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        self._socket = socket.create_connection(("127.0.0.1", server.port), timeout=20)
        self._rest = content[-10:]
        self._socket.sendall(head.encode() + content[:-10])

    def answer(self) -> tuple[int, str, Any]:
        """Send the rest: status, `Connection` and content of the answer."""
        self._socket.sendall(self._rest)
        with closing(self._socket), self._socket.makefile("rb") as file:
            told = file.read()  # to the end: the server closes it
        head, _, content = told.partition(b"\r\n\r\n")
        pairs = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
        headers = httpx.Headers([(name, value) for name, _, value in pairs])
        return int(head.split()[1]), headers.get("connection", ""), json.loads(content)


def bars() -> dict[str, Any]:
    newest = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=10)
    newest -= timedelta(minutes=newest.minute % 5)
    row = {"open": 4000.0, "high": 4001.0, "low": 3999.0, "close": 4000.5}
    return {"bars": [{"time": newest.isoformat(), **row}]}


def test_what_is_under_way_at_sigterm_is_answered_and_on_record(
    store: Store, tmp_path: Path
) -> None:
    with service_on(store, tmp_path, variables=WIDE) as server:
        workers = server.workers()
        order = {"observation": CONFIDENT, "order_id": "o1"}
        trade = {"trade_id": "t1", "pnl": 1.0, "pnl_percent": 0.00001}
        asked = {
            "order": Halves(server, "/v1/inference", order),
            "trade": Halves(server, "/v1/risk/trade-result", trade),
            "batch": Halves(server, "/v1/inference/batch", {"observations": [CONFIDENT] * 512}),
            "bars": Halves(server, "/v1/market/bars", bars()),
        }
        time.sleep(0.5)  # until all of them have been read so far
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)  # by now it closes what is not under way
        answers = {name: halves.answer() for name, halves in asked.items()}
        assert {status for status, _, _ in answers.values()} == {200}, answers
        assert {connection for _, connection, _ in answers.values()} == {"close"}
        assert answers["order"][2]["approved"] is True
        assert answers["batch"][2]["total"] == 512
        assert server.process.wait(20) == 0
        assert not [worker for worker in workers if psutil.pid_exists(worker)]
    with closing(store.opened()) as ledger:
        assert ledger.by_key("order:o1") is not None
        assert ledger.by_key("trade:t1") is not None
        assert examine(ledger).is_intact


def test_under_load_callers_are_answered_until_they_are_refused_and_all_is_on_record(
    store: Store, tmp_path: Path
) -> None:
    unlimited = {"MLOPS__RISK_LIMITS__MAX_UNRESOLVED_ORDERS": "1000000"}
    draining = {**WIDE, **unlimited, "MLOPS__DRAIN_SECONDS": "1"}

    async def driven(server: Server) -> Router:
        router = Router(server.port, 100, lines=8)
        load = asyncio.create_task(router.run())
        await asyncio.sleep(1)
        server.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(server.process.wait, 20) == 0
        router.over = True
        await load
        return router

    with service_on(store, tmp_path, variables=draining) as server:
        router = asyncio.run(driven(server))
    assert len(router.seconds) > 50
    assert all("Refused" in line for line in router.failed), router.failed
    assert router.journal.violations == []
    with closing(store.opened()) as ledger:
        assert_on_record_once(ledger, router.journal)


def assert_on_record_once(ledger: Any, journal: Journal) -> None:
    told = [
        record.event_id
        for record in records_of(ledger)
        if record.kind in {"decision", "trade_result"}
    ]
    assert sorted(told) == sorted(journal.told)
    assert journal.missing(ledger, set(journal.told), set(journal.bound)) == []
    assert examine(ledger).is_intact


def test_a_service_that_drains_is_not_ready_and_answers_on_however_often_it_is_asked_to_stop(
    tmp_path: Path,
) -> None:
    with (
        Server(tmp_path, {**ALL_DAY, "MLOPS__DRAIN_SECONDS": "3"}) as server,
        server.client() as client,
    ):
        assert client.get("/readyz").status_code == 200
        for _ in range(2):
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            ready = client.get("/readyz")
            assert (ready.status_code, ready.headers["connection"]) == (503, "close")
            decision = post(client, "/v1/inference", observation=CONFIDENT)
            assert decision.headers["connection"] == "close"
            assert decision.json()["approved"] is True
            assert client.get("/livez").status_code == 200
        refused = 0
        while server.process.poll() is None:
            try:
                httpx.get(f"{server.url}/livez", timeout=5)
                assert refused == 0
            except httpx.ConnectError:
                refused += 1
            time.sleep(0.05)
        assert refused > 0
        assert server.process.wait() == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_whoever_connects_in_the_moment_of_a_stop_is_answered_or_refused_and_never_reset(
    workers: int, tmp_path: Path
) -> None:
    variables = {**ALL_DAY, "BENTOML_CONFIG_OPTIONS": f"services.usdcop.workers={workers}"}
    told: Counter[str] = Counter()

    def ask_again_and_again(server: Server) -> None:
        while server.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
                    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                    told[connection.recv(12).decode()] += 1
            except ConnectionRefusedError:
                told["refused"] += 1
                time.sleep(0.002)

    with Server(tmp_path, variables) as server, ThreadPoolExecutor(8) as callers:
        until(lambda: server.log.read_text().count("startup hook: settle") == 2 * workers)
        asking = [callers.submit(ask_again_and_again, server) for _ in range(8)]
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        for each in asking:
            each.result()
        assert server.process.wait() == 0
    assert set(told) == {"HTTP/1.1 200", "refused"}, told


def test_a_connection_that_begins_before_a_stop_may_ask_after_it(tmp_path: Path) -> None:
    with Server(tmp_path, ALL_DAY) as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.4)
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
        assert server.process.wait(20) == 0


def test_a_connection_that_asks_nothing_keeps_no_stop_waiting(tmp_path: Path) -> None:
    with (
        Server(tmp_path, ALL_DAY) as server,
        socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection,
    ):
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
        assert connection.recv(1) == b""


def test_a_drift_check_that_a_stop_breaks_off_is_made_by_another_service(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        servers = []
        for name in ("one", "other"):
            (tmp_path / name).mkdir()
            servers.append(Server(tmp_path / name, {**ALL_DAY, **on_redis(redis)}))
        one, other = servers
        one.launch()
        checks = until(lambda: programs(one, "drift_job"))
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(20) == 0
        assert not [check for check in checks if check.is_running()]
        lease = lease_on(redis)
        assert (lease.holder, lease.failures, lease.open) == ("", 0, True)
        with other:
            assert until(lambda: finished(other))["tick"] == lease.tick


def programs(server: Server, name: str) -> list[psutil.Process]:
    """What runs under a service and has this word on its command line."""
    found = []
    for child in psutil.Process(server.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if name in child.cmdline():
                found.append(child)
    return found


def lease_on(redis: RedisServer) -> LeaseBody:
    link = RedisLink(host=redis.host, port=redis.port, timeout_ms=2000)
    with closing(RedisDocuments("default", link)) as documents:
        return LeaseBody.decoded(documents.read("drift:lease").body)


PRODUCTION = {
    "MLOPS_ENVIRONMENT": "production",
    "MLOPS_API_KEYS": f"desk:admin:{digest_of('usdcop_test')}",
    "MLOPS__REDIS__START_WAIT_SECONDS": "60",
}


def test_a_service_that_is_started_before_its_redis_waits_for_it_and_then_serves(
    tmp_path: Path,
) -> None:
    redis = RedisServer(tmp_path / "redis")
    server = Server(tmp_path, {**ALL_DAY, **on_redis(redis), **PRODUCTION})
    server.launch()
    try:
        until(lambda: "the start waits" in server.log.read_text())
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/readyz")
        with redis:
            until(lambda: is_ready(server))
            with server.client(Authorization="Bearer usdcop_test") as client:
                assert post(client, "/v1/inference", observation=CONFIDENT).json()["approved"]
            server.stop()
    finally:
        server.kill()


def is_ready(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def test_a_redis_that_comes_late_is_examined_like_any_other(tmp_path: Path) -> None:
    redis = RedisServer(tmp_path / "redis", maxmemory_policy="allkeys-lru")
    server = Server(tmp_path, {**ALL_DAY, **on_redis(redis), **PRODUCTION})
    server.launch()
    try:
        until(lambda: "the start waits" in server.log.read_text())
        with redis:
            assert server.process.wait(30) == 2
        assert "maxmemory-policy" in server.log.read_text()
    finally:
        server.kill()


def test_a_start_that_waits_for_redis_ends_at_once_when_it_is_asked_to(tmp_path: Path) -> None:
    nowhere = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}
    server = Server(tmp_path, {**ALL_DAY, **nowhere, **PRODUCTION})
    server.launch()
    try:
        until(lambda: "the start waits" in server.log.read_text())
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(10) == 0
    finally:
        server.kill()


def test_both_replicas_are_replaced_under_load_and_no_request_fails(tmp_path: Path) -> None:
    replaced = rolling_restart.run(tmp_path, per_second=100)
    assert replaced.router.failed == []
    assert replaced.wrong == []
    assert replaced.unacknowledged == 0
    assert replaced.codes == [0, 0]
    assert len(replaced.router.seconds) > 1000


def test_replicas_that_are_killed_under_load_lose_nothing_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    replaced = rolling_restart.run(tmp_path, per_second=50, kill=True)
    assert replaced.wrong == []
    assert replaced.codes == [-9, -9]
    assert len(replaced.router.seconds) > 200
