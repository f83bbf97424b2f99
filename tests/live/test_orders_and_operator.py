"""Orders, reports and the operator's acts over HTTP, and decisions that are made again."""

import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import bentoml
import httpx
import pytest

from api.access import digest_of
from benchmarks.observations import known_vectors
from tests.live.program import usdcop
from tests.live.server import ALL_DAY, Server, post, told
from tests.live.test_routes import CONFIDENT, MODELS, ZEROS

pytestmark = pytest.mark.live

KEYS = {role: f"usdcop_test-{role}" for role in ("viewer", "trader", "admin")}
VALID_SECONDS = 4
VARIABLES = {
    **ALL_DAY,
    "MLOPS_API_KEYS": ",".join(f"{role}-key:{role}:{digest_of(key)}" for role, key in KEYS.items()),
    "MLOPS__RISK_LIMITS__APPROVAL_TTL_SECONDS": str(VALID_SECONDS),
    "MLOPS__RISK_LIMITS__MARK_CONFIRM_SECONDS": "1",
    "MLOPS__RISK_LIMITS__COOLDOWN_AFTER_LOSS": "0",
    "MLOPS__RISK_LIMITS__MAX_TRADES_PER_DAY": "1000",
    "MLOPS__RISK_LIMITS__MAX_DAILY_RESETS": "1000",
}
NUMBER = count()
ROUTES = {
    "/v1/orders/release": "trader",
    "/v1/risk/position": "trader",
    "/v1/risk/mark": "trader",
    "/v1/risk/halt": "trader",
    "/v1/risk/resume": "admin",
}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("desk"), VARIABLES) as started:
        yield started


@pytest.fixture
def admin(desk: Server) -> Iterator[httpx.Client]:
    """An admin of a book that nothing stops, flat and without open orders."""
    with as_role(desk, "admin") as client:
        told(client, "/v1/risk/reset", scope="all", reason="the next test begins")
        told(client, "/v1/risk/resume", reason="the next test begins")
        told(client, "/v1/risk/position", position=0.0, as_of=now())
        told(client, "/v1/risk/mark", unrealized_pnl_percent=0.0, as_of=now())
        for order in client.get("/v1/risk/summary").json()["open_orders"]:
            told(client, "/v1/orders/release", order_id=order["order_id"], outcome="expired")
        yield client


def as_role(server: Server, role: str) -> httpx.Client:
    return server.client(Authorization=f"Bearer {KEYS[role]}")


def refused(client: httpx.Client, path: str, **body: Any) -> tuple[int, str, str]:
    answer = post(client, path, **body)
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["message"]


def decided(client: httpx.Client, **more: Any) -> dict[str, Any]:
    return told(client, "/v1/inference", **{"observation": CONFIDENT, **more})


def new_order() -> str:
    return f"order-{next(NUMBER)}"


def now(**later: float) -> str:
    return (datetime.now(UTC) + timedelta(**later)).isoformat()


def open_orders(client: httpx.Client) -> list[str]:
    waiting = client.get("/v1/risk/summary").json()["open_orders"]
    return [order["order_id"] for order in waiting]


def test_an_order_is_approved_once_and_told_again_as_often_as_it_is_asked(
    admin: httpx.Client,
) -> None:
    order = new_order()
    first = decided(admin, order_id=order)
    assert (first["approved"], first["replayed"], first["order_id"]) == (True, False, order)
    for _ in range(2):
        again = decided(admin, order_id=order)
        assert again.pop("replayed") is True
        assert {**again, "latency_ms": 0} == {
            **{name: value for name, value in first.items() if name != "replayed"},
            "latency_ms": 0,
        }
    assert open_orders(admin) == [order]
    summary = admin.get("/v1/risk/summary").json()
    assert summary["daily_stats"]["trades_today"] == 1
    assert summary["position"]["being_bought"] == pytest.approx(
        first["position_recommendation"]["position_size_percent"]
    )


@pytest.mark.parametrize(
    ("other", "differs"),
    [
        ({"observation": [*CONFIDENT[:-1], 0.0]}, "vector"),
        ({"position": 0.01}, "position"),
        ({"capital_usd": 5_000}, "capital_usd"),
        ({"model_name": MODELS[0]}, "model_name"),
    ],
)
def test_an_order_with_other_content_is_a_conflict(
    admin: httpx.Client, other: dict[str, Any], differs: str
) -> None:
    order = new_order()
    assert decided(admin, order_id=order)["approved"] is True
    body = {"observation": CONFIDENT, "order_id": order, **other}
    status, code, message = refused(admin, "/v1/inference", **body)
    assert (status, code) == (409, "order_conflict")
    assert differs in message
    assert open_orders(admin) == [order]


def test_a_refusal_binds_no_order(admin: httpx.Client) -> None:
    order = new_order()
    assert decided(admin, observation=ZEROS, order_id=order)["risk_status"] == "STALE_DATA"
    assert decided(admin, order_id=order, dry_run=True)["risk_status"] == "DRY_RUN"
    assert decided(admin, order_id=order)["approved"] is True


def test_without_an_order_id_an_approval_reserves_nothing(admin: httpx.Client) -> None:
    assert decided(admin)["approved"] is True
    assert open_orders(admin) == []
    assert decided(admin)["approved"] is True


def test_a_result_with_its_order_closes_the_order(admin: httpx.Client) -> None:
    order = new_order()
    assert decided(admin, order_id=order)["approved"] is True
    result = {"trade_id": f"trade-{order}", "order_id": order, "pnl": 10, "pnl_percent": 0.0001}
    recorded = told(admin, "/v1/risk/trade-result", **result)
    assert (recorded["order_closed"], recorded["duplicate"]) == (True, False)
    assert recorded["risk_metrics"]["open_orders"] == 0
    assert recorded["risk_metrics"]["trades_today"] == 1
    again = told(admin, "/v1/risk/trade-result", **result)
    assert (again["duplicate"], again["event_id"]) == (True, recorded["event_id"])
    late = decided(admin, order_id=order)
    assert (late["signal"], late["approved"], late["replayed"]) == ("HOLD", False, True)
    assert late["risk_status"] == "ORDER_CLOSED"
    status, code, _ = refused(admin, "/v1/orders/release", order_id=order, outcome="cancelled")
    assert (status, code) == (409, "order_closed")


def test_a_release_frees_what_an_order_held(admin: httpx.Client) -> None:
    first, second = new_order(), new_order()
    assert decided(admin, order_id=first)["approved"] is True
    smaller = decided(admin, order_id=second)
    assert smaller["position_recommendation"]["position_size_percent"] < 0.05
    assert decided(admin)["risk_status"] == "POSITION_LIMIT"
    released = told(admin, "/v1/orders/release", order_id=first, outcome="rejected")
    assert (released["was_open"], released["duplicate"]) == (True, False)
    assert open_orders(admin) == [second]
    assert decided(admin)["approved"] is True
    again = told(admin, "/v1/orders/release", order_id=first, outcome="rejected")
    assert (again["was_open"], again["duplicate"]) == (False, True)
    assert again["event_id"] == released["event_id"]


def test_an_approval_ends_and_its_order_counts_on(admin: httpx.Client) -> None:
    order = new_order()
    approved = decided(admin, order_id=order)
    until = datetime.fromisoformat(approved["valid_until"])
    assert until - datetime.fromisoformat(approved["timestamp"]) == timedelta(seconds=VALID_SECONDS)
    time.sleep(VALID_SECONDS + 0.2)
    late = decided(admin, order_id=order)
    assert (late["approved"], late["risk_status"]) == (False, "APPROVAL_EXPIRED")
    assert open_orders(admin) == [order]


def test_what_intervened_ends_an_approval(admin: httpx.Client) -> None:
    order = new_order()
    assert decided(admin, order_id=order)["approved"] is True
    told(admin, "/v1/risk/halt", reason="a doubt")
    assert decided(admin, order_id=order)["risk_status"] == "TRADING_HALTED"
    told(admin, "/v1/risk/resume", reason="no doubt")
    assert decided(admin, order_id=order)["risk_status"] == "TRADING_HALTED"
    other = new_order()
    told(admin, "/v1/orders/release", order_id=order, outcome="cancelled")
    assert decided(admin, order_id=other)["approved"] is True
    loss = {"trade_id": f"trade-{other}", "pnl": -3000, "pnl_percent": -0.03}
    assert told(admin, "/v1/risk/trade-result", **loss)["tripped"] == ["daily_loss"]
    assert decided(admin, order_id=other)["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"


def test_the_newest_position_counts_and_makes_the_other_side_an_exit(admin: httpx.Client) -> None:
    short = told(admin, "/v1/risk/position", position=-0.05, as_of=now())
    assert (short["newest"], short["position"]) == (True, -0.05)
    older = told(admin, "/v1/risk/position", position=0.08, as_of=now(seconds=-60))
    assert (older["newest"], older["position"]) == (False, -0.05)
    exit_ = decided(admin, order_id=new_order())
    assert (exit_["approved"], exit_["reduces"]) == (True, True)
    assert exit_["position_recommendation"]["position_size_percent"] == 0.05
    assert open_orders(admin) == []
    twice = decided(admin, order_id=new_order())
    assert (twice["approved"], twice["risk_status"]) == (False, "UNRESOLVED_ORDERS")
    told(admin, "/v1/risk/position", position=0.1, as_of=now())
    assert decided(admin)["risk_status"] == "POSITION_LIMIT"


def test_a_mark_beyond_a_limit_refuses_at_once_and_trips_when_a_second_confirms_it(
    admin: httpx.Client,
) -> None:
    first = told(admin, "/v1/risk/mark", unrealized_pnl_percent=-0.03, as_of=now())
    assert (first["tripped"], first["unconfirmed"]) == ([], ["daily_loss"])
    assert decided(admin)["risk_status"] == "DAILY_LOSS_LIMIT"
    assert decided(admin, position=-0.05)["approved"] is True
    time.sleep(1.1)
    second = told(admin, "/v1/risk/mark", unrealized_pnl_percent=-0.03, as_of=now())
    assert (second["tripped"], second["breaker"]) == (["daily_loss"], "OPEN")
    assert decided(admin)["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"
    third = told(admin, "/v1/risk/mark", unrealized_pnl_percent=0.0, as_of=now())
    assert third["breaker"] == "OPEN"


def test_a_halt_only_tightens_and_a_resume_needs_a_reason(admin: httpx.Client) -> None:
    halted = told(admin, "/v1/risk/halt")
    assert (halted["mode"], halted["before"], halted["changed"]) == ("HALTED", "ACTIVE", True)
    assert halted["by"] == "admin-key"
    less = told(admin, "/v1/risk/halt", mode="REDUCING", reason="only a little")
    assert (less["mode"], less["changed"]) == ("HALTED", False)
    assert decided(admin, position=-0.05)["risk_status"] == "TRADING_HALTED"
    assert refused(admin, "/v1/risk/resume")[0] == 400
    assert refused(admin, "/v1/risk/resume", reason=" ")[0] == 400
    reducing = told(admin, "/v1/risk/resume", mode="REDUCING", reason="exits may go")
    assert (reducing["mode"], reducing["before"]) == ("REDUCING", "HALTED")
    assert decided(admin)["risk_status"] == "REDUCE_ONLY"
    assert decided(admin, position=-0.05)["approved"] is True
    active = told(admin, "/v1/risk/resume", reason="all is well")
    assert (active["mode"], active["reason"]) == ("ACTIVE", "all is well")
    status, code, _ = refused(admin, "/v1/risk/resume", mode="REDUCING", reason="less")
    assert (status, code) == (409, "not_a_resume")
    nothing = told(admin, "/v1/risk/resume", reason="once more")
    assert (nothing["changed"], nothing["event_id"]) == (False, None)
    # A reset clears counters; what a person has said it leaves alone.
    told(admin, "/v1/risk/halt", mode="REDUCING")
    told(admin, "/v1/risk/reset", scope="all", reason="again")
    assert decided(admin)["risk_status"] == "REDUCE_ONLY"


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/v1/orders/release", {"order_id": "nobody's", "outcome": "expired"}, 404, "nobody's"),
        ("/v1/orders/release", {"order_id": "o", "outcome": "filled"}, 400, "cancelled"),
        ("/v1/orders/release", {"order_id": "o"}, 400, "outcome"),
        ("/v1/orders/release", {"order_id": " o", "outcome": "expired"}, 400, "order_id"),
        ("/v1/orders/release", {"order_id": "", "outcome": "expired"}, 400, "order_id"),
        ("/v1/orders/release", {"order_id": 7, "outcome": "expired"}, 400, "order_id"),
        ("/v1/risk/position", {"position": 0.1}, 400, "as_of"),
        ("/v1/risk/position", {"position": "0.1", "as_of": now()}, 400, "position"),
        ("/v1/risk/position", {"position": 11, "as_of": now()}, 400, "position"),
        ("/v1/risk/position", {"position": 0.1, "as_of": "2026-03-02T13:05:00"}, 400, "timezone"),
        ("/v1/risk/position", {"position": 0.1, "as_of": 1_770_000_000}, 400, "ISO 8601"),
        ("/v1/risk/position", {"position": 0.1, "as_of": now(days=1)}, 400, "ahead of the clock"),
        ("/v1/risk/mark", {"unrealized_pnl_percent": -0.5, "as_of": now()}, 400, "0.005 is 0.5%"),
        ("/v1/risk/mark", {"unrealized_pnl_percent": None, "as_of": now()}, 400, "number"),
        ("/v1/risk/mark", {"unrealized_pnl_percent": 0, "as_of": now(hours=1)}, 400, "ahead"),
        ("/v1/risk/mark", {"unrealized": 0, "as_of": now()}, 400, "unrealized"),
        ("/v1/risk/halt", {"mode": "ACTIVE"}, 400, "mode"),
        ("/v1/risk/halt", {"mode": "halted"}, 400, "HALTED"),
        ("/v1/risk/halt", {"reason": 7}, 400, "reason"),
        ("/v1/risk/halt", {"until": "tomorrow"}, 400, "until"),
        ("/v1/risk/resume", {"mode": "HALTED", "reason": "r"}, 400, "mode"),
        ("/v1/risk/resume", {"reason": "r" * 501}, 400, "reason"),
    ],
)
def test_a_wrong_report_is_refused_and_says_what_would_be_right(
    admin: httpx.Client, path: str, body: dict[str, Any], status: int, says: str
) -> None:
    before = admin.get("/v1/risk/summary").json()["state_sequence"]
    answer = post(admin, path, **body)
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"code", "message", "detail"}
    assert says in answer.json()["error"]["message"]
    assert admin.get("/v1/risk/summary").json()["state_sequence"] == before


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_what_is_no_finite_number_is_no_report(admin: httpx.Client, number: str) -> None:
    for path, name in (
        ("/v1/risk/position", "position"),
        ("/v1/risk/mark", "unrealized_pnl_percent"),
    ):
        answer = admin.post(
            path,
            content=f'{{"{name}": {number}, "as_of": "{now()}"}}',
            headers={"Content-Type": "application/json"},
        )
        assert answer.status_code == 400


@pytest.mark.parametrize(("path", "least"), ROUTES.items())
def test_each_act_takes_its_role(desk: Server, path: str, least: str) -> None:
    ranks = ["viewer", "trader", "admin"]
    with desk.client() as nobody:
        assert nobody.post(path, json={"no such field": 1}).status_code == 401
    for role in ranks:
        with as_role(desk, role) as client:
            # A body that is wrong for whoever may call at all: nothing is changed by it.
            status = client.post(path, json={"no such field": 1}).status_code
        assert status == (400 if ranks.index(role) >= ranks.index(least) else 403), role


def test_a_trader_may_halt_but_not_resume(desk: Server, admin: httpx.Client) -> None:
    with as_role(desk, "trader") as trader:
        assert told(trader, "/v1/risk/halt", reason="stop")["by"] == "trader-key"
        assert refused(trader, "/v1/risk/resume", reason="go")[0] == 403
        assert decided(trader)["risk_status"] == "TRADING_HALTED"
    assert told(admin, "/v1/risk/resume", reason="go")["by"] == "admin-key"


def test_the_python_client_of_bentoml_acts_on_the_book(desk: Server, admin: httpx.Client) -> None:
    order = new_order()
    with bentoml.SyncHTTPClient(desk.url, token=KEYS["admin"]) as client:
        assert client.risk_position(position=0.0, as_of=now())["newest"] is True
        assert client.risk_mark(unrealized_pnl_percent=0.001, as_of=now())["tripped"] == []
        assert client.inference(observation=CONFIDENT, order_id=order)["approved"] is True
        assert client.order_release(order_id=order, outcome="cancelled")["was_open"] is True
        assert client.risk_halt(mode="REDUCING", reason="by program")["mode"] == "REDUCING"
        assert client.risk_resume(reason="by program")["mode"] == "ACTIVE"
        assert client.risk_halt()["mode"] == "HALTED"
        with pytest.raises(bentoml.exceptions.BentoMLException, match="nobody's"):
            client.order_release(order_id="nobody's", outcome="expired")
    assert admin.get("/v1/risk/summary").json()["operator"]["mode"] == "HALTED"


def test_a_halt_file_halts_without_anybody_asking_and_stands_against_a_resume(
    desk: Server, admin: httpx.Client
) -> None:
    assert decided(admin)["approved"] is True
    file = desk.folder / "var" / "halt"
    file.touch()
    began = time.monotonic()
    try:
        while True:
            summary = admin.get("/v1/risk/summary").json()
            operator = summary["operator"]
            if operator["halted"] or time.monotonic() - began > 10:
                break
            time.sleep(0.05)
        # One second is the interval; the rest is for a busy machine.
        assert operator["halted"] is True
        assert time.monotonic() - began < 2.5
        assert (operator["by"], operator["halt_file"]) == ("halt-file", True)
        assert decided(admin)["risk_status"] == "TRADING_HALTED"
        status, code, _ = refused(admin, "/v1/risk/resume", reason="go on")
        assert (status, code) == (409, "halt_file_present")
        time.sleep(1.5)
        again = admin.get("/v1/risk/summary").json()
        assert again["state_sequence"] == summary["state_sequence"]  # not one for each look
    finally:
        file.unlink()
    time.sleep(1.2)
    assert decided(admin)["risk_status"] == "TRADING_HALTED"
    told(admin, "/v1/risk/resume", reason="the file is gone")
    assert decided(admin)["approved"] is True


def test_one_document_lists_every_new_route_with_its_fields(desk: Server) -> None:
    with as_role(desk, "viewer") as client:
        document = client.get("/docs.json").json()
    for path in ROUTES:
        assert "post" in document["paths"][path], path
    fields = {
        "Position": {"position", "as_of"},
        "Mark": {"unrealized_pnl_percent", "as_of", "confirm"},
        "Release": {"order_id", "outcome"},
        "Halt": {"mode", "reason"},
        "Resume": {"mode", "reason"},
    }
    for name, due in fields.items():
        schema = document["components"]["schemas"][f"{name}Request"]
        assert set(schema["properties"]) == due


DECISIONS = 1000


def an_eventful_day(client: httpx.Client) -> None:
    """At least a thousand decisions of every sort, over many states of the book."""
    chance = random.Random(20260302)
    made = 0
    while made < DECISIONS:
        made += a_decision(client, chance)
        if made % 7 == 0:
            a_report(client, chance)


def a_decision(client: httpx.Client, chance: random.Random) -> bool:
    """One of some sort; whether it is a new one."""
    body: dict[str, Any] = {
        "observation": chance.choices(
            [
                CONFIDENT,
                known_vectors()[chance.randrange(1000)].tolist(),
                ZEROS,
                [round(chance.gauss(0, 1), 4) for _ in range(45)],
            ],
            [6, 6, 1, 1],
        )[0]
    }
    if chance.random() < 0.4:
        body["order_id"] = new_order()
    if chance.random() < 0.2:
        body["position"] = round(chance.uniform(-0.1, 0.1), 3)
    if chance.random() < 0.2:
        body["model_name"] = chance.choice(MODELS)
    if chance.random() < 0.2:
        body["capital_usd"] = chance.choice([1_000, 250_000.5])
    if chance.random() < 0.2:
        body["timestamp"] = now(seconds=chance.choice([0, -30, -3600]))
    sort = chance.random()
    if sort < 0.15:
        body["dry_run"] = True
    elif sort < 0.25:
        body["enforce_risk_checks"] = False
    answer = told(client, "/v1/inference", **body)
    assert answer["risk_status"] != "SYSTEM_ERROR"
    if "order_id" in body and chance.random() < 0.1:
        told(client, "/v1/inference", **body)  # a replay, or a second refusal
    return answer["replayed"] is False


def a_report(client: httpx.Client, chance: random.Random) -> None:
    for order in open_orders(client):
        if chance.random() < 0.5:
            told(client, "/v1/orders/release", order_id=order, outcome="expired")
    percent = round(chance.gauss(-0.006, 0.003), 5)
    name = f"trade-{next(NUMBER)}"
    act = chance.randrange(8)
    if act < 3:
        result = {"trade_id": name, "pnl": percent * 100_000, "pnl_percent": percent}
        told(client, "/v1/risk/trade-result", **result)
    elif act == 3:
        told(client, "/v1/risk/mark", unrealized_pnl_percent=percent, as_of=now())
    elif act == 4:
        position = round(chance.uniform(-0.1, 0.1), 4)
        told(client, "/v1/risk/position", position=position, as_of=now())
    elif act == 5:
        told(client, "/v1/risk/halt", mode=chance.choice(["HALTED", "REDUCING"]))
    elif act == 6:
        told(client, "/v1/risk/resume", reason="go on")
    else:
        told(client, "/v1/risk/resume", reason="go on")
        told(client, "/v1/risk/reset", scope="all", reason="go on")


@pytest.mark.timeout(600)
def test_a_thousand_decisions_of_a_live_service_come_out_identical_when_made_again(
    tmp_path: Path,
) -> None:
    with Server(tmp_path, VARIABLES) as server, as_role(server, "admin") as client:
        an_eventful_day(client)
        assert usdcop(server, "ledger", "verify").returncode == 0  # while it is served
        server.stop()
        state = tmp_path / "var" / "state.db"
        statuses = _statuses(state)
        assert sum(statuses.values()) >= DECISIONS
        assert {
            "APPROVED", "DRY_RUN", "NOT_CHECKED", "HOLD_SIGNAL", "LOW_CONFIDENCE", "STALE_DATA",
            "TRADING_HALTED", "REDUCE_ONLY", "CIRCUIT_BREAKER_ACTIVE", "POSITION_LIMIT",
        } <= set(statuses)  # fmt: skip

        replayed = usdcop(server, "ledger", "replay", "--all")
        total = f"{sum(statuses.values()):,}"
        assert f"{total} of {total} decisions come out identical" in replayed.stdout
        assert replayed.returncode == 0, replayed.stdout + replayed.stderr

        whole = usdcop(server, "ledger", "verify")
        assert whole.returncode == 0, whole.stderr
        altered = _alter_a_byte(state)
        found = usdcop(server, "ledger", "verify")
        assert found.returncode != 0
        assert f"record {altered}:" in found.stderr


def _statuses(state: Path) -> dict[str, int]:
    with closing(sqlite3.connect(state)) as file:
        rows = file.execute(
            "SELECT json_extract(CAST(body AS TEXT), '$.payload.answer.risk_status'), count(*) "
            "FROM event WHERE kind = 'decision' GROUP BY 1"
        )
        return dict(rows.fetchall())


def _alter_a_byte(state: Path) -> int:
    """Changes one digit of one decision's confidence; the record that it is in."""
    with closing(sqlite3.connect(state)) as file, file:
        sequence, body = file.execute(
            "SELECT sequence, body FROM event WHERE kind = 'decision' "
            "ORDER BY sequence LIMIT 1 OFFSET 500"
        ).fetchone()
        at = body.index(b'"confidence":') + len(b'"confidence":0.')
        digit = b"1" if body[at : at + 1] != b"1" else b"2"
        altered = body[:at] + digit + body[at + 1 :]
        file.execute("UPDATE event SET body = ? WHERE sequence = ?", (altered, sequence))
    return int(sequence)
