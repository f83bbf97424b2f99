"""What a service writes while it serves: every line in one form, and no secret in any."""

import hashlib
import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.alerting import eventually
from tests.live.server import ALL_DAY, Server, post
from tests.live.test_routes import CONFIDENT
from tests.redis_server import RedisServer

pytestmark = pytest.mark.live

KEY = "usdcop_" + "k" * 43
PASSWORD = "pw-of-redis-5f2c"
ALERT_PASSWORD = "pw-of-alerts-91ab"
ALERT_TOKEN = "token-in-path-77d0"
FORGED = "2026-11-29T15:00:00.000Z CRITICAL usdcop.decisions: forged"
TEXT_LINE = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z [A-Z]+ [a-z._]+: |  \| ")


BENTOML_IMPORTS = re.compile(r"\S+ \[DEBUG\] \[(cli|:1)\] ")
"""What BentoML writes with --verbose before it has read the service that forms its lines."""


def objects(log: Path, *, verbose: bool) -> list[dict[str, Any]]:
    """Every line, as the object that it is."""
    lines = log.read_text().splitlines()
    return [json.loads(line) for line in lines if not (verbose and BENTOML_IMPORTS.match(line))]


def nobody_listens() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.mark.parametrize("verbose", [False, True])
def test_each_line_of_a_whole_run_is_an_object_and_none_shows_a_secret(
    tmp_path: Path, verbose: bool
) -> None:
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    alerts = f"json://desk:{ALERT_PASSWORD}@127.0.0.1:{nobody_listens()}/{ALERT_TOKEN}"
    redis = RedisServer(tmp_path / "redis", requirepass=PASSWORD).start()
    variables = {
        **ALL_DAY,
        "MLOPS_ENVIRONMENT": "production",
        "MLOPS__BOOK": "main",
        "MLOPS__LOGGING__LEVEL": "DEBUG",
        "MLOPS_API_KEYS": f"desk:admin:{digest}",
        "REDIS_HOST": redis.host,
        "REDIS_PORT": str(redis.port),
        "REDIS_PASSWORD": PASSWORD,
        "MLOPS__ALERTS__URLS": json.dumps([alerts]),
        "MLOPS__ALERTS__RETRY_SECONDS": "0.5",
    }
    # Verbose: every line of BentoML and of every library too.
    server = Server(tmp_path, variables, options=["--verbose"] if verbose else [])
    try:
        with server, server.client(Authorization=f"Bearer {KEY}") as client:
            approved = post(client, "/v1/inference", observation=CONFIDENT, order_id="O-1").json()
            assert approved["approved"]
            post(client, "/v1/risk/halt", reason=f"why\n{FORGED}").raise_for_status()
            post(client, "/v1/drift/check")  # one is made at the start; both write their lines
            assert client.get("/health", headers={"Authorization": "Bearer wrong"}).status_code
            eventually(lambda: "target 1 (json)" in server.log.read_text())
            redis.kill()
            unknown = post(client, "/v1/inference", observation=CONFIDENT, order_id="O-2").json()
            assert unknown["risk_status"] == "SYSTEM_ERROR"
            assert post(client, "/v1/risk/halt").status_code == 503
    finally:
        redis.kill()
    lines = objects(server.log, verbose=verbose)
    for line in lines:
        assert {"time", "level", "logger", "process", "message", "book"} <= set(line)
        assert line["book"] == "main"
    assert {"bentoml.serve", "usdcop.decisions", "usdcop.alerts"} <= {
        line["logger"] for line in lines
    }
    assert len({line["process"] for line in lines}) == 2, "the arbiter and its worker"
    by_id = {line["decision_id"]: line for line in lines if "decision_id" in line}
    for answer, level in ((approved, "DEBUG"), (unknown, "ERROR")):
        line = by_id[answer["decision_id"]]
        told = {name: line[name] for name in ("level", "caller", "order_id", "risk_status")}
        assert told == {
            "level": level,
            "caller": "desk",
            "order_id": answer["order_id"],
            "risk_status": answer["risk_status"],
        }
    written = server.log.read_text()
    for secret in (KEY, digest, PASSWORD, ALERT_PASSWORD, ALERT_TOKEN):
        assert secret not in written
    assert str(CONFIDENT[3]) not in written, "an observation is on the log"


def test_no_caller_can_make_up_a_line_of_text(tmp_path: Path) -> None:
    server = Server(tmp_path, {**ALL_DAY, "MLOPS__LOGGING__LEVEL": "DEBUG"})
    with server, server.client() as client:
        post(client, "/v1/inference", observation=CONFIDENT, order_id=f"O\n{FORGED}")
        post(client, "/v1/inference", observation=CONFIDENT, model_name=f"m\n{FORGED}")
        post(client, "/v1/risk/halt", reason=f"{FORGED}\x1b[2J")
        post(client, "/v1/risk/halt", reason=f"why\r\n{FORGED}").raise_for_status()
        post(client, "/v1/alerts/acknowledge", note=f"seen\u2028{FORGED}")
        client.get(f"/v1/decisions/x%0A{FORGED}")
    lines = server.log.read_text().split("\n")[:-1]
    assert [line for line in lines if not TEXT_LINE.match(line)] == []
    assert [line for line in lines if line.startswith(FORGED)] == []
    assert any(r"HALTED by local: why\r\n2026" in line for line in lines)
