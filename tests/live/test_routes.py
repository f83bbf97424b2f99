"""Every route of a running service, as a caller meets it."""

import concurrent.futures
import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bentoml
import httpx
import pytest

from features.schema import USDCOP_M5
from tests.live.server import ROOT, Server, post

pytestmark = pytest.mark.live

CONFIDENT: list[float] = json.loads((ROOT / "examples" / "observation.json").read_text())[
    "observation"
]
ZEROS = [0.0] * 45
MODELS = ["ppo_usdcop_v3", "sac_usdcop_v2", "a2c_macro_v1"]


def test_the_readmes_observation_is_bought_by_an_ensemble_of_three(client: httpx.Client) -> None:
    answer = post(client, "/v1/inference", observation=CONFIDENT).json()
    assert (answer["signal"], answer["approved"]) == ("BUY", True)
    assert answer["risk_status"] == "APPROVED"
    assert answer["model_name"] == "ensemble"
    assert [model["name"] for model in answer["models"]] == MODELS
    assert sum(answer["action_probs"].values()) == pytest.approx(1)
    assert answer["position_recommendation"]["position_size_usd"] > 0
    assert datetime.fromisoformat(answer["timestamp"]).utcoffset() is not None
    assert all(check["passed"] for check in answer["checks"])


def test_the_python_client_of_bentoml_gets_the_same_answer(server: Server) -> None:
    with bentoml.SyncHTTPClient(server.url) as client:
        answer = client.inference(observation=CONFIDENT, enforce_risk_checks=True)
        assert (answer["signal"], answer["approved"]) == ("BUY", True)
        batch = client.inference_batch(observations=[CONFIDENT, ZEROS])
        assert batch["total"] == 2
        result = client.trade_result(trade_id="by-client", pnl=1.0, pnl_percent=0.00001)
        assert result["duplicate"] is False
        with pytest.raises(bentoml.exceptions.BentoMLException, match="45"):
            client.inference(observation=[1.0])


def test_a_vector_can_come_by_name_in_any_order(client: httpx.Client) -> None:
    named = dict(zip(USDCOP_M5.names, CONFIDENT, strict=True))
    backwards = dict(reversed(named.items()))
    by_order = post(client, "/v1/inference", observation=CONFIDENT).json()
    by_name = post(client, "/v1/inference", features=backwards).json()
    assert by_name["action_probs"] == by_order["action_probs"]
    del backwards["rsi_14"]
    refused = post(client, "/v1/inference", features=backwards)
    assert refused.status_code == 400
    assert "rsi_14" in refused.json()["error"]["message"]


def test_a_vector_sent_with_its_time_can_be_asked_for_by_its_time(client: httpx.Client) -> None:
    at = datetime.now(UTC).isoformat()
    before = client.get("/v1/cache/stats").json()
    sent = post(client, "/v1/inference", observation=CONFIDENT, timestamp=at).json()
    read = post(client, "/v1/inference", timestamp=at).json()
    assert read["action_probs"] == sent["action_probs"]
    after = client.get("/v1/cache/stats").json()
    assert (after["hits"], after["size"]) == (before["hits"] + 1, before["size"] + 1)
    unknown = post(client, "/v1/inference", timestamp="2026-01-05T13:00:00Z")
    assert unknown.status_code == 404
    assert unknown.json()["error"]["code"] == "features_not_found"


def test_an_old_observation_is_stale_and_not_an_error(client: httpx.Client) -> None:
    old = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    answer = post(client, "/v1/inference", observation=CONFIDENT, timestamp=old).json()
    assert (answer["signal"], answer["risk_status"]) == ("HOLD", "STALE_DATA")
    ahead = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    answer = post(client, "/v1/inference", observation=CONFIDENT, timestamp=ahead).json()
    assert answer["risk_status"] == "STALE_DATA"


def test_one_model_can_be_asked_alone(client: httpx.Client) -> None:
    for name in MODELS:
        answer = post(client, "/v1/inference", observation=ZEROS, model_name=name).json()
        assert answer["model_name"] == name
    first = post(client, "/v1/inference", observation=ZEROS, use_ensemble=False).json()
    assert first["model_name"] == MODELS[0]
    both = post(client, "/v1/inference", observation=ZEROS, model_name=MODELS[1], use_ensemble=True)
    assert both.status_code == 400


def test_risk_checks_and_dry_runs_can_be_chosen(client: httpx.Client) -> None:
    raw = post(client, "/v1/inference", observation=CONFIDENT, enforce_risk_checks=False).json()
    assert (raw["signal"], raw["approved"], raw["risk_status"]) == ("BUY", False, "NOT_CHECKED")
    dry = post(client, "/v1/inference", observation=CONFIDENT, dry_run=True).json()
    assert (dry["approved"], dry["would_approve"]) == (False, True)


def test_a_bad_row_of_a_batch_sinks_no_other(client: httpx.Client) -> None:
    rows: list[Any] = [CONFIDENT, ZEROS[:-1], "text", [*ZEROS[:-1], True], ZEROS]
    content = post(client, "/v1/inference/batch", observations=rows).json()
    assert (content["total"], content["errors"]) == (5, 3)
    results = content["results"]
    assert results[0]["raw_signal"] == "BUY"
    assert results[0]["approved"] is False
    assert "row 1" in results[1]["error"]["message"]
    assert "44 values" in results[1]["error"]["message"]
    assert "error" in results[2]
    assert "bool" in results[3]["error"]["message"]
    assert "signal" in results[4]


def test_a_batch_is_limited(client: httpx.Client) -> None:
    allowed = post(client, "/v1/inference/batch", observations=[ZEROS] * 4096)
    assert allowed.status_code == 200
    assert allowed.json()["total"] == 4096
    too_many = post(client, "/v1/inference/batch", observations=[ZEROS] * 4097)
    assert too_many.status_code == 413
    assert "4096" in too_many.json()["error"]["message"]
    assert post(client, "/v1/inference/batch", observations=[]).status_code == 400


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"observation": ZEROS[:-1]}, "44 values; the models read 45"),
        ({"observation": [*ZEROS, 0.0]}, "46 values; the models read 45"),
        ({"observation": ZEROS, "unknown": 1}, "unknown field 'unknown'"),
        ({"observation": ZEROS, "model_name": "nobody"}, "ppo_usdcop_v3"),
        ({"observation": ["1"] * 45}, "must be a number"),
        ({"observation": [True] * 45}, "must be a number"),
        ({"observation": [1e39, *ZEROS[1:]]}, "32-bit"),
        ({"observation": "text"}, "must be a list"),
        ({"observation": ZEROS, "features": {}}, "both given"),
        ({"observation": ZEROS, "timestamp": "2026-03-02T13:05:00"}, "timezone"),
        ({"observation": ZEROS, "timestamp": 1_770_000_000}, "ISO 8601"),
        ({"observation": ZEROS, "timestamp": "1770000000"}, "ISO 8601"),
        ({"observation": ZEROS, "timestamp": "0001-01-01T00:00:00+14:00"}, "year"),
        ({"observation": ZEROS, "timestamp": "9999-12-31T23:59:59-14:00"}, "year"),
        ({"observation": ZEROS, "capital_usd": 0}, "capital_usd"),
        ({"observation": ZEROS, "capital_usd": -5}, "capital_usd"),
        ({"observation": ZEROS, "dry_run": "yes"}, "true or false"),
        ({"features": {"rsi_14": 1.0}}, "rsi_9"),
        ({}, "observation"),
        ([1, 2], "JSON object"),
    ],
)
def test_a_wrong_body_is_400_and_says_what_would_be_right(
    client: httpx.Client, body: Any, says: str
) -> None:
    answer = client.post("/v1/inference", json=body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"error"}
    assert says in answer.json()["error"]["message"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_what_is_no_finite_number_is_400(client: httpx.Client, number: str) -> None:
    zeros = ",".join(["0"] * 44)
    for path, body in (
        ("/v1/inference", f'{{"observation": [{number},{zeros}]}}'),
        ("/v1/risk/trade-result", f'{{"trade_id": "t", "pnl": {number}, "pnl_percent": -0.01}}'),
        ("/v1/risk/trade-result", f'{{"trade_id": "t", "pnl": -1, "pnl_percent": {number}}}'),
    ):
        answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400, path
        assert set(answer.json()["error"]) == {"code", "message", "detail"}
    batch = f'{{"observations": [[{number},{zeros}]]}}'
    answer = client.post(
        "/v1/inference/batch", content=batch, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (b"not json", "application/json", 400),
        (b'{"observation": ', "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "application/json", 400),
        (b'{"observation": [0]}', "text/plain", 415),
        (b"observation=1", "application/x-www-form-urlencoded", 415),
        (b'{"observation": [0]}', "", 415),
        (b'{"observation": [' + b"0," * 5_000_000 + b"0]}", "application/json", 413),
    ],
)
def test_a_body_that_is_none_is_refused_by_its_kind(
    client: httpx.Client, content: bytes, content_type: str, status: int
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    answer = client.post("/v1/inference", content=content, headers=headers)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "detail"}


def test_a_chunked_body_without_a_length_is_counted(server: Server) -> None:
    chunk = b" " * 65_536
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/inference HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        # Just beyond the limit, so that the answer is there before the connection is reset.
        for _ in range(3):
            connection.sendall(b"10000\r\n" + chunk + b"\r\n")
        received = connection.recv(65_536)
    assert b" 413 " in received.split(b"\r\n")[0]


def test_unknown_paths_and_methods_have_the_one_shape(client: httpx.Client) -> None:
    for method, path, status in (
        ("GET", "/v1/nothing", 404),
        ("POST", "/v1/nothing", 404),
        ("GET", "/v1/inference", 405),
        ("POST", "/health", 405),
        ("DELETE", "/v1/decisions", 405),
        ("GET", "/v1/decisions/unknown", 404),
        ("GET", "/v1/decisions?limit=0", 400),
        ("GET", "/v1/decisions?limit=many", 400),
        ("GET", "/v1/decisions?before=0", 400),
        ("GET", f"/v1/decisions?before={2**63}", 400),
        ("HEAD", "/health", 405),
    ):
        answer = client.request(method, path)
        assert answer.status_code == status, (method, path)
        if method != "HEAD":
            assert set(answer.json()["error"]) == {"code", "message", "detail"}


def test_a_long_list_of_what_is_no_number_is_refused_at_its_first(client: httpx.Client) -> None:
    answer = post(client, "/v1/inference", observation=[""] * 4000)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == "observation.0: must be a number"
    too_long = post(client, "/v1/inference", observation=[0] * 5000)
    assert too_long.status_code == 400
    large = post(client, "/v1/inference", observation=[""] * 100_000)
    assert large.status_code == 413


def test_a_page_of_another_origin_may_not_call(client: httpx.Client) -> None:
    answer = client.post(
        "/v1/inference", json={"observation": ZEROS}, headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403
    rebound = client.get("/v1/risk/summary", headers={"Host": "evil.example"})
    assert rebound.status_code == 403


def test_decisions_come_newest_first_and_one_by_one(client: httpx.Client) -> None:
    made = [
        post(client, "/v1/inference", observation=CONFIDENT).json()["decision_id"] for _ in range(3)
    ]
    first = client.get("/v1/decisions", params={"limit": 2}).json()
    second = client.get("/v1/decisions", params={"limit": 2, "before": first["next"]}).json()
    listed = [entry["decision_id"] for entry in first["decisions"] + second["decisions"]]
    assert listed[:3] == made[::-1]
    one = client.get(f"/v1/decisions/{made[0]}").json()
    assert one["observation"] == pytest.approx(CONFIDENT, rel=1e-6)
    assert len(one["hash"]) == len(one["previous_hash"]) == len(one["configuration"]) == 64
    assert one["caller"] == "local"


def test_the_summary_tells_what_the_limits_are_about(client: httpx.Client) -> None:
    summary = client.get("/v1/risk/summary").json()
    assert summary["trading_status"] == "ACTIVE"
    assert set(summary["daily_stats"]) >= {
        "date", "pnl", "pnl_percent", "trades_today", "consecutive_losses", "drawdown", "win_rate",
    }  # fmt: skip
    assert summary["limits"]["max_position_size"] == 0.1
    assert set(summary["risk_utilization"]) == {
        "daily_loss", "drawdown", "consecutive_losses", "trades", "unresolved_orders", "position",
    }  # fmt: skip
    assert summary["breaker"]["state"] == "CLOSED"
    assert summary["calendar"]["open"] is True


def test_health_and_probes_are_open_and_run_no_inference(client: httpx.Client) -> None:
    before = client.get("/v1/metrics").json()["decisions"]["total"]
    health = client.get("/health")
    assert health.status_code == 200
    assert health.json()["status"] == "healthy"
    assert health.json()["components"]["models"]["loaded"] == 3
    for probe in ("/livez", "/readyz", "/healthz"):
        assert client.get(probe).status_code == 200
    assert client.get("/v1/metrics").json()["decisions"]["total"] == before


def test_models_name_their_version_their_hash_and_their_latency(client: httpx.Client) -> None:
    post(client, "/v1/inference", observation=ZEROS)
    models = client.get("/v1/models").json()["models"]
    assert [model["name"] for model in models] == MODELS
    for model in models:
        assert model["tag"] == f"{model['name']}:{model['version']}"
        assert len(model["sha256"]) == 64
        assert model["metadata"]["feature_schema"] == USDCOP_M5.hash
        assert model["latency"]["count"] > 0
    assert sum(model["share"] for model in models) == pytest.approx(1)


def test_metrics_come_as_json_and_for_prometheus(client: httpx.Client) -> None:
    post(client, "/v1/inference", observation=CONFIDENT)
    metrics = client.get("/v1/metrics").json()
    assert metrics["decisions"]["by_signal"]["BUY"] > 0
    assert metrics["latency_ms"]["p99"] >= metrics["latency_ms"]["p50"] > 0
    text = client.get("/metrics").text
    approved = [
        line
        for line in text.splitlines()
        if line.startswith("usdcop_decisions_total{") and 'risk_status="APPROVED"' in line
    ]
    assert approved
    assert float(approved[0].split()[-1]) > 0


def test_a_path_that_leads_nowhere_makes_no_series_of_its_own(client: httpx.Client) -> None:
    paths = [f"/v1/decisions/none-{number}" for number in range(20)] + ["/setup.php", "/.env"]
    assert {client.get(path).status_code for path in paths} == {404}
    scraped = client.get("/metrics").text
    assert not [path for path in paths if path in scraped]
    counted = [line for line in scraped.splitlines() if "usdcop_http_requests_total{" in line]
    decisions = 'usdcop_http_requests_total{route="/v1/decisions/{id}",status="404"} '
    assert any(line.startswith(decisions) and float(line.split()[-1]) >= 20 for line in counted)
    assert any('route="other",status="404"' in line for line in counted)


def test_one_document_lists_every_route(client: httpx.Client) -> None:
    paths = client.get("/docs.json").json()["paths"]
    for method, path in (
        ("post", "/v1/inference"),
        ("post", "/v1/inference/batch"),
        ("post", "/v1/risk/trade-result"),
        ("post", "/v1/risk/reset"),
        ("post", "/v1/risk/position"),
        ("post", "/v1/risk/mark"),
        ("post", "/v1/orders/release"),
        ("post", "/v1/risk/halt"),
        ("post", "/v1/risk/resume"),
        ("get", "/v1/risk/summary"),
        ("get", "/v1/decisions"),
        ("get", "/v1/decisions/{decision_id}"),
        ("get", "/v1/models"),
        ("get", "/v1/metrics"),
        ("get", "/v1/cache/stats"),
        ("get", "/health"),
        ("get", "/metrics"),
    ):
        assert method in paths[path], path
    assert client.get("/").status_code == 200
    assert client.get("/schema.json").status_code == 200


def test_every_answer_names_its_request(client: httpx.Client) -> None:
    ids = [client.get("/health").headers["x-request-id"] for _ in range(2)]
    assert ids[0] != ids[1]


def test_the_same_result_may_be_sent_again_and_another_one_is_a_conflict(
    client: httpx.Client,
) -> None:
    report = {"trade_id": "again", "pnl": -10.0, "pnl_percent": -0.0001}
    first = client.post("/v1/risk/trade-result", json=report).json()
    again = client.post("/v1/risk/trade-result", json=report).json()
    assert (first["duplicate"], again["duplicate"]) == (False, True)
    assert first["event_id"] == again["event_id"]
    other = client.post("/v1/risk/trade-result", json={**report, "pnl": -11.0})
    assert other.status_code == 409
    wrong_unit = client.post(
        "/v1/risk/trade-result", json={"trade_id": "unit", "pnl": -500, "pnl_percent": -0.5}
    )
    assert wrong_unit.status_code == 400
    assert "0.005 is 0.5%" in wrong_unit.json()["error"]["message"]


def test_many_callers_at_once_are_all_answered(server: Server) -> None:
    def ask(number: int) -> int:
        with server.client() as client:
            return sum(
                post(client, "/v1/inference", observation=CONFIDENT).json()["approved"]
                for _ in range(5)
            )

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(16))) == 80


def test_what_a_caller_gets_wrong_leaves_no_traceback_on_the_log(server: Server) -> None:
    with server.client() as client:
        post(client, "/v1/inference", observation=["x"])
        post(client, "/v1/inference", observation=[1])
    assert "Traceback" not in Path(server.log).read_text()
