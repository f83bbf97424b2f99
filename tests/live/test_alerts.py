"""Alerts of a running service: one message per cause, whoever is down or killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.alerting import Listener, eventually
from tests.live.program import usdcop
from tests.live.server import ALL_DAY, Server, post
from tests.redis_server import RedisServer

pytestmark = pytest.mark.live

FAST = {
    "BENTOML_CONFIG_OPTIONS": "services.usdcop.workers=2",
    **ALL_DAY,
    "MLOPS__ALERTS__RETRY_SECONDS": "1",
    "MLOPS__ALERTS__TIMEOUT_SECONDS": "2",
    "MLOPS__ALERTS__ESCALATE_MINUTES": "60",
}
TRIPPED = "PAGE: breaker daily_loss (book default)"
HALTED = "PAGE: halt HALTED (book default)"
SECRET = "secret-token"


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as started:
        yield started


def served(folder: Path, listener: Listener, **more: str) -> Server:
    folder.mkdir(exist_ok=True)
    return Server(folder, {**FAST, "MLOPS__ALERTS__URLS": json.dumps([listener.url]), **more})


def lose(client: httpx.Client, trade_id: str = "loss") -> None:
    answer = post(client, "/v1/risk/trade-result", trade_id=trade_id, pnl=-3000, pnl_percent=-0.03)
    assert answer.json()["tripped"] == ["daily_loss"]


def listed(client: httpx.Client) -> list[dict[str, Any]]:
    alerts: list[dict[str, Any]] = client.get("/v1/alerts").json()["alerts"]
    return alerts


def waiting(client: httpx.Client) -> list[dict[str, Any]]:
    return [
        delivery
        for alert in listed(client)
        for message in alert["messages"]
        for delivery in message["deliveries"]
        if delivery["state"] == "pending"
    ]


def test_a_breaker_that_trips_is_told_once_listed_and_acknowledged(
    tmp_path: Path, listener: Listener
) -> None:
    with served(tmp_path, listener) as server, server.client() as client:
        lose(client)
        eventually(lambda: listener.titles == [TRIPPED])
        post(client, "/v1/risk/halt", reason="look at it")
        eventually(lambda: listener.titles == [TRIPPED, HALTED])
        eventually(lambda: not waiting(client))
        halt, breaker = listed(client)
        assert (halt["cause"], breaker["cause"]) == ("halt", "breaker")
        assert breaker["state"] == "open"
        assert breaker["messages"][0]["deliveries"] == [
            {
                "target": "1 (json)",
                "state": "delivered",
                "attempts": 1,
                "next_attempt_at": None,
                "last_error": None,
            }
        ]
        taken = post(client, "/v1/alerts/acknowledge", cause="breaker", note="on it").json()
        assert [alert["id"] for alert in taken["acknowledged"]] == [breaker["id"]]
        assert listed(client)[1]["state"] == "acknowledged"
        everything = client.post("/v1/alerts/acknowledge").json()
        assert len(everything["acknowledged"]) == 2
        unknown = post(client, "/v1/alerts/acknowledge", id="nothing")
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "alert_not_found")
        wrong = post(client, "/v1/alerts/acknowledge", cause="boredom")
        assert wrong.status_code == 400
        assert post(client, "/v1/alerts/acknowledge", acknowledge=1).status_code == 400
        scraped = client.get("/metrics").text
        assert 'usdcop_alerts_total{cause="breaker",severity="page"} 1.0' in scraped
        assert 'usdcop_alert_deliveries_total{outcome="delivered"} 2.0' in scraped
        told = client.get("/v1/alerts").text + usdcop(server, "config").stdout
        assert SECRET not in told
        assert "alerts" not in client.get("/health").json()["components"]
        time.sleep(3)
        assert listener.titles == [TRIPPED, HALTED]
        assert SECRET not in server.log.read_text()


def test_a_target_that_is_down_is_told_once_also_across_a_kill(
    tmp_path: Path, listener: Listener
) -> None:
    server = served(tmp_path, listener)
    listener.stop()
    with server, server.client() as client:
        lose(client)
        eventually(lambda: any(delivery["attempts"] for delivery in waiting(client)))
        (delivery,) = waiting(client)
        assert SECRET not in json.dumps(delivery)
        assert delivery["last_error"]
        server.kill()
        server.start()
        assert len(listed(client)) == 1
        listener.start()
        eventually(lambda: listener.titles == [TRIPPED])
        eventually(lambda: not waiting(client))
        server.kill()
        server.start()
        time.sleep(5)
        assert listener.titles == [TRIPPED]
        assert SECRET not in server.log.read_text()


def test_workers_and_services_on_one_redis_tell_it_once(tmp_path: Path, listener: Listener) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        variables = {"REDIS_HOST": redis.host, "REDIS_PORT": str(redis.port)}
        with (
            served(tmp_path / "one", listener, **variables) as one,
            served(tmp_path / "two", listener, **variables) as two,
            one.client() as client,
            two.client() as other,
        ):
            lose(client)
            eventually(lambda: listener.titles == [TRIPPED])
            eventually(lambda: not waiting(other))
            for worker in one.workers():
                os.kill(worker, signal.SIGKILL)
            post(other, "/v1/risk/halt", reason="a worker died")
            eventually(lambda: listener.titles == [TRIPPED, HALTED])
            time.sleep(5)
            assert listener.titles == [TRIPPED, HALTED]


def test_a_ledger_that_goes_away_is_told_and_comes_back(tmp_path: Path, listener: Listener) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        variables = {
            "REDIS_HOST": redis.host,
            "REDIS_PORT": str(redis.port),
            "MLOPS__ALERTS__QUIET_MINUTES": "0.05",
        }
        with served(tmp_path / "one", listener, **variables) as server, server.client() as client:
            redis.kill()
            ledger = "PAGE: ledger store (book default)"
            eventually(lambda: ledger in listener.titles)
            assert client.get("/v1/alerts").json()["degraded"] is not None
            assert client.get("/health").json()["components"]["alerts"]["status"] == "degraded"
            redis.start()
            eventually(lambda: f"RESOLVED {ledger}" in listener.titles)
            assert listener.titles.count(ledger) == 1


def test_a_wrong_address_stops_the_start_with_one_line_that_does_not_show_it(
    tmp_path: Path,
) -> None:
    server = Server(tmp_path, {**FAST, "MLOPS__ALERTS__URLS": '["nonsense://secret-token"]'})
    server.launch()
    assert server.process.wait(60) == 2
    log = server.log.read_text()
    assert "usdcop cannot start: alerts.urls.0 is no address that Apprise can send to" in log
    assert SECRET not in log
