"""The day of a desk with a running service: what its workers do once, and its heart."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.alerting import Listener, eventually
from tests.live.program import usdcop
from tests.live.server import ALL_DAY, Server, post
from tests.redis_server import RedisServer

pytestmark = pytest.mark.live

NOT_ARMED = "PAGE: preflight session (book default)"
SECRET = "hunter2"


def monitor(beats: list[float]) -> ThreadingHTTPServer:
    """What expects the calls of the heart."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            beats.append(time.monotonic())
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            del format, arguments

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    return server


def test_two_workers_look_once_and_are_silent_when_the_ledger_is_gone(tmp_path: Path) -> None:
    beats: list[float] = []
    with (
        RedisServer(tmp_path / "redis") as redis,
        Listener() as listener,
        monitor(beats) as watching,
    ):
        (tmp_path / "var").mkdir()
        (tmp_path / "var" / "halt").touch()
        variables = {
            **ALL_DAY,
            "BENTOML_CONFIG_OPTIONS": "services.usdcop.workers=2",
            "REDIS_HOST": redis.host,
            "REDIS_PORT": str(redis.port),
            "MLOPS__ALERTS__URLS": json.dumps([listener.url]),
            "MLOPS__ALERTS__QUIET_MINUTES": "0.05",
            "MLOPS__ALERTS__HEARTBEAT_URL": (
                f"http://127.0.0.1:{watching.server_address[1]}/{SECRET}"
            ),
            "MLOPS__ALERTS__HEARTBEAT_SECONDS": "1",
            "MLOPS__DESK__PREFLIGHT_MINUTES": "15",
        }
        with Server(tmp_path, variables) as server, server.client() as client:
            eventually(lambda: NOT_ARMED in listener.titles)
            told = client.get("/v1/preflight").json()
            assert told["by"] == "service:preflight"
            blocking = {one["name"] for one in told["checks"] if one["state"] == "not armed"}
            assert "halt file" in blocking
            (tmp_path / "var" / "halt").unlink()
            post(client, "/v1/risk/resume", reason="a test").raise_for_status()
            assert usdcop(server, "preflight").returncode == 0
            eventually(lambda: f"RESOLVED {NOT_ARMED}" in listener.titles)
            shown = usdcop(server, "ledger", "show", "--kind", "preflight").stdout
            assert shown.count("service:preflight") == 1
            assert listener.titles.count(NOT_ARMED) == 1

            begun, seen = time.monotonic(), len(beats)
            eventually(lambda: len(beats) >= seen + 3)
            assert len(beats) - seen <= time.monotonic() - begun + 2
            redis.kill()
            time.sleep(2)
            seen = len(beats)
            time.sleep(3)
            assert len(beats) == seen
            redis.start()
            eventually(lambda: len(beats) > seen)
            assert SECRET not in usdcop(server, "config").stdout
            assert SECRET not in server.log.read_text()
        watching.shutdown()
