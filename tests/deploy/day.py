"""An hour of a desk in two seconds: traffic that reaches every kind of metric."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import httpx

from monitoring.drift.records import DocumentDriftRecords
from stores.sqlite_documents import SqliteDocuments
from tests.live.server import ROOT, Server, post

__all__ = ["checked_for_drift", "decisions_and_reports", "stopped_trading"]

CONFIDENT: list[float] = json.loads((ROOT / "examples" / "observation.json").read_text())[
    "observation"
]
ZEROS = [0.0] * 45


def decisions_and_reports(client: httpx.Client) -> None:
    """Approvals, refusals, batches, bars, results, reports, and requests that are wrong."""
    now = datetime.now(UTC)
    at = now.isoformat()
    for number in range(3):
        order = f"O-{at}-{number}"
        post(client, "/v1/inference", observation=CONFIDENT, order_id=order)
        post(client, "/v1/orders/release", order_id=order, outcome="cancelled")
    post(client, "/v1/inference", observation=CONFIDENT, timestamp=at)
    post(client, "/v1/inference", timestamp=at)
    post(client, "/v1/inference", timestamp=(now - timedelta(days=1)).isoformat())
    post(client, "/v1/inference", observation=ZEROS)
    post(client, "/v1/inference", observation=ZEROS, model_name="a2c_macro_v1")
    post(client, "/v1/inference", observation=CONFIDENT, dry_run=True)
    post(client, "/v1/inference", observation=[1.0])
    post(client, "/v1/inference/batch", observations=[CONFIDENT, ZEROS])
    bar = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    post(client, "/v1/market/bars", bars=[{"time": bar.isoformat(), "close": 3642.7}])
    post(client, "/v1/risk/position", position=0.05, as_of=at)
    post(client, "/v1/risk/mark", unrealized_pnl_percent=-0.001, as_of=at)
    post(client, "/v1/risk/trade-result", trade_id=f"T-{at}", pnl=10.0, pnl_percent=0.0001)
    for path in ("/health", "/v1/risk/summary", "/v1/models", "/no/such/path"):
        client.get(path)


def checked_for_drift(server: Server, client: httpx.Client) -> None:
    """A check of this service, and then the verdict of another replica, which is the newest."""
    asked = False
    deadline = time.monotonic() + 30
    while not (asked and isinstance((told := latest(client)).get("report"), dict)):
        assert time.monotonic() < deadline
        asked = asked or client.post("/v1/drift/check").status_code == 200
        time.sleep(0.3)
    records = DocumentDriftRecords(SqliteDocuments(server.folder / "var" / "drift.db"))
    entry = {**told, "tick": "of another replica", "drifted_share": 0.25, "state": "alarm"}
    records.publish(entry, None)
    records.close()


def latest(client: httpx.Client) -> dict[str, object]:
    told: dict[str, object] = client.get("/v1/drift/latest").json()
    return told


def stopped_trading(client: httpx.Client) -> None:
    """A loss that opens the breaker, and a person who halts."""
    post(client, "/v1/risk/trade-result", trade_id="T-loss", pnl=-2500.0, pnl_percent=-0.025)
    post(client, "/v1/inference", observation=CONFIDENT)
    post(client, "/v1/risk/halt", mode="HALTED", reason="enough for today")
    post(client, "/v1/inference", observation=CONFIDENT)
