"""Drift checks of running services."""

import json
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bentoml
import pytest

from tests.live.server import ALL_DAY, Server
from tests.live.test_shared_book import on_redis
from tests.redis_server import RedisServer

pytestmark = pytest.mark.live

TWO_WORKERS = {"BENTOML_CONFIG_OPTIONS": "services.usdcop.workers=2"}


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


def finished(server: Server) -> dict[str, Any] | None:
    """The newest check once its report is made."""
    with server.client() as client:
        told: dict[str, Any] = client.get("/v1/drift/latest").json()
    return told if isinstance(told.get("report"), dict) else None


def made(server: Server) -> dict[str, Any] | None:
    """A check on demand, once nobody else makes one."""
    with server.client() as client:
        answer = client.post("/v1/drift/check")
    if answer.status_code == 409:
        assert answer.json()["error"]["code"] == "drift_check_running"
        return None
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def test_a_service_checks_what_is_due_and_on_demand_and_shows_it(tmp_path: Path) -> None:
    with Server(tmp_path, {**ALL_DAY, **TWO_WORKERS}) as server:
        due = until(lambda: finished(server))
        assert due["state"] == "not_enough_data"
        assert due["next_run"] > due["at"]

        answer = until(lambda: made(server))
        assert answer["tick"].startswith("manual:")
        asked = until(
            lambda: (told := finished(server)) and told["tick"] == answer["tick"] and told
        )
        assert asked["state"] == "not_enough_data"
        with server.client() as client:
            page = client.get("/v1/drift/report")
            history = client.get("/v1/drift/latest?history=50").json()["history"]
            metrics = client.get("/metrics").text
        assert page.headers["content-type"].startswith("text/html")
        assert "Not enough data for a verdict" in page.text
        assert [entry["tick"] for entry in history] == [asked["tick"], due["tick"]]
        assert 'usdcop_drift_checks_total{report="' in metrics

        def by_client() -> Any:
            with bentoml.SyncHTTPClient(server.url) as client:
                try:
                    return client.drift_check()
                except bentoml.exceptions.BentoMLException:
                    return None

        assert until(by_client)["tick"].startswith("manual:")


def test_two_services_of_two_workers_on_one_redis_make_one_check(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "redis") as redis:
        where = {**ALL_DAY, **TWO_WORKERS, **on_redis(redis)}
        folders = [tmp_path / name for name in ("one", "other")]
        for folder in folders:
            folder.mkdir()
        with Server(folders[0], where) as one, Server(folders[1], where) as other:
            first, second = until(lambda: finished(one)), until(lambda: finished(other))
            assert first["tick"] == second["tick"]
            time.sleep(2)
            with redis.client() as client:
                log = [json.loads(entry)["tick"] for entry in client.lrange("drift:log", 0, -1)]
                assert json.loads(client.get("drift:latest"))["tick"] == first["tick"]
                assert client.get("drift:report").startswith(b"<!DOCTYPE html>")
            assert Counter(log) == {first["tick"]: 1}
