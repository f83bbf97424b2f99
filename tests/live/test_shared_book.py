"""One book, several services: one set of limits, one truth, and nothing that is forgotten."""

import concurrent.futures
import hashlib
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.access import digest_of
from benchmarks import outage
from tests.live.program import usdcop
from tests.live.server import ALL_DAY, Server, post
from tests.live.test_life import refused_start
from tests.live.test_routes import CONFIDENT, ZEROS
from tests.redis_server import RedisServer

pytestmark = pytest.mark.live

TRADES = 10
LIMITS = {
    "MLOPS__RISK_LIMITS__MAX_TRADES_PER_DAY": str(TRADES),
    "MLOPS__RISK_LIMITS__MAX_DAILY_RESETS": "1000",
    "MLOPS__RISK_LIMITS__COOLDOWN_AFTER_LOSS": "0",
}
NUMBER = count()


def on_redis(redis: RedisServer) -> dict[str, str]:
    return {"REDIS_HOST": redis.host, "REDIS_PORT": str(redis.port)}


@dataclass
class Places:
    """Wherever one book is served: callers may turn to any of them."""

    servers: list[Server]
    connections: int

    def everywhere(self, path: str, **body: Any) -> list[dict[str, Any]]:
        """Ask each service, over as many new connections as it takes to meet each worker."""
        answers = []
        for server in self.servers:
            for _ in range(self.connections):
                with server.client() as client:
                    answers.append(post(client, path, **body).json())
        return answers

    def at(self, index: int, path: str, **body: Any) -> dict[str, Any]:
        with self.servers[index % len(self.servers)].client() as client:
            answer = post(client, path, **body)
        assert answer.status_code == 200, answer.text
        content: dict[str, Any] = answer.json()
        return content

    def statuses(self, **body: Any) -> set[str]:
        answers = self.everywhere("/v1/inference", observation=CONFIDENT, **body)
        return {answer["risk_status"] for answer in answers}


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis") / "data") as started:
        yield started


@pytest.fixture(scope="module", params=["two services on one redis", "two workers on one file"])
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Places]:
    with ExitStack() as stack:
        if "redis" in request.param:
            redis: RedisServer = request.getfixturevalue("redis")
            servers = [
                Server(
                    tmp_path_factory.mktemp(name),
                    {**ALL_DAY, **LIMITS, **on_redis(redis), "MLOPS__BOOK": "shared"},
                )
                for name in ("one", "other")
            ]
            connections = 1
        else:
            two = {"BENTOML_CONFIG_OPTIONS": "services.usdcop.workers=2"}
            servers = [Server(tmp_path_factory.mktemp("both"), {**ALL_DAY, **LIMITS, **two})]
            connections = 12
        yield Places([stack.enter_context(server) for server in servers], connections)


@pytest.fixture
def places(served: Places) -> Places:
    """The same book, with nothing that stops an entry."""
    served.at(0, "/v1/risk/reset", scope="all", reason="the next test begins")
    served.at(0, "/v1/risk/resume", reason="the next test begins")
    with served.servers[0].client() as client:
        waiting = client.get("/v1/risk/summary").json()["open_orders"]
    for order in waiting:
        served.at(0, "/v1/orders/release", order_id=order["order_id"], outcome="expired")
    return served


def loss(percent: float) -> dict[str, Any]:
    return {
        "trade_id": f"loss-{next(NUMBER)}",
        "pnl": percent * 100_000,
        "pnl_percent": percent,
    }


def test_both_places_answer(places: Places) -> None:
    began: set[str] = set()
    deadline = time.monotonic() + 20  # which worker takes a connection is for the kernel to say
    while len(began) < 2 and time.monotonic() < deadline:
        for server in places.servers:
            with server.client() as client:
                began.add(client.get("/v1/metrics").json()["started_at"])
    assert len(began) == 2


def test_trades_reported_in_one_place_refuse_entries_in_all(places: Places) -> None:
    assert places.statuses() == {"APPROVED"}
    for number in range(TRADES):
        win = {"trade_id": f"win-{next(NUMBER)}", "pnl": 1, "pnl_percent": 0.00001}
        places.at(number, "/v1/risk/trade-result", **win)
    assert places.statuses() == {"MAX_TRADES_REACHED"}


def test_an_order_approved_in_one_place_is_known_in_all(places: Places) -> None:
    order_id = f"order-{next(NUMBER)}"
    approved = places.at(0, "/v1/inference", observation=CONFIDENT, order_id=order_id)
    assert approved["approved"] is True
    for again in places.everywhere("/v1/inference", observation=CONFIDENT, order_id=order_id):
        assert (again["decision_id"], again["replayed"]) == (approved["decision_id"], True)
    for answer in places.everywhere("/v1/inference", observation=ZEROS, order_id=order_id):
        assert answer["error"]["code"] == "order_conflict"
    places.at(1, "/v1/orders/release", order_id=order_id, outcome="cancelled")
    for again in places.everywhere("/v1/inference", observation=CONFIDENT, order_id=order_id):
        assert again["risk_status"] == "ORDER_CLOSED"


def test_the_trades_of_a_day_are_counted_together_under_load_from_all_sides(
    places: Places,
) -> None:
    def trade(caller: int) -> list[str]:
        """Ask, report the result, ask again, until the day is used up."""
        approved = []
        with places.servers[caller % len(places.servers)].client() as client:
            for _ in range(200):
                order_id = f"order-{next(NUMBER)}"
                answer = post(
                    client, "/v1/inference", observation=CONFIDENT, order_id=order_id
                ).json()
                if answer["approved"]:
                    approved.append(order_id)
                    win = {"trade_id": order_id, "order_id": order_id}
                    post(client, "/v1/risk/trade-result", **win, pnl=1, pnl_percent=0.00001)
                elif answer["risk_status"] == "MAX_TRADES_REACHED":
                    return approved
        raise AssertionError("the day was never used up")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        approved = [order for orders in pool.map(trade, range(8)) for order in orders]
    assert len(set(approved)) == len(approved) == TRADES
    with places.servers[0].client() as client:
        stats = client.get("/v1/risk/summary").json()["daily_stats"]
    assert (stats["results"], stats["open_orders"]) == (TRADES, 0)


def test_a_halt_in_one_place_halts_all(places: Places) -> None:
    places.at(0, "/v1/risk/halt", reason="to be sure")
    assert places.statuses() == {"TRADING_HALTED"}
    assert places.statuses(position=-0.05) == {"TRADING_HALTED"}
    places.at(1, "/v1/risk/resume", mode="REDUCING", reason="exits may go")
    assert places.statuses() == {"REDUCE_ONLY"}
    assert places.statuses(position=-0.05) == {"APPROVED"}
    places.at(0, "/v1/risk/resume", reason="all is well")
    assert places.statuses() == {"APPROVED"}


def test_a_breaker_that_trips_in_one_place_is_open_in_all_at_once(places: Places) -> None:
    assert places.statuses() == {"APPROVED"}
    tripped = places.at(1, "/v1/risk/trade-result", **loss(-0.03))
    assert tripped["tripped"] == ["daily_loss"]
    assert places.statuses() == {"CIRCUIT_BREAKER_ACTIVE"}
    assert places.statuses(position=-0.05) == {"APPROVED"}


def test_a_position_reported_in_one_place_bounds_entries_in_all(places: Places) -> None:
    now = datetime.now(UTC).isoformat()
    places.at(0, "/v1/risk/position", position=0.1, as_of=now)
    assert places.statuses() == {"POSITION_LIMIT"}
    later = datetime.now(UTC).isoformat()
    places.at(1, "/v1/risk/position", position=0.0, as_of=later)
    assert places.statuses() == {"APPROVED"}


def test_a_service_with_other_limits_holds_until_the_change_is_on_record(
    redis: RedisServer, tmp_path: Path
) -> None:
    book = {**ALL_DAY, **on_redis(redis), "MLOPS__BOOK": "two-configurations"}
    (tmp_path / "one").mkdir()
    (tmp_path / "other").mkdir()
    stricter = {"MAX_DAILY_LOSS": "-0.01"}
    with (
        Server(tmp_path / "one", book) as one,
        Server(tmp_path / "other", {**book, **stricter}) as other,
        one.client() as ours,
        other.client() as theirs,
    ):

        def asked(client: httpx.Client, **more: Any) -> dict[str, Any]:
            answer: dict[str, Any] = post(
                client, "/v1/inference", observation=CONFIDENT, **more
            ).json()
            return answer

        assert asked(ours)["risk_status"] == "APPROVED"
        for more in ({}, {"position": -0.05}, {"order_id": "o"}):
            refused = asked(theirs, **more)
            assert (refused["signal"], refused["approved"]) == ("HOLD", False)
            assert refused["risk_status"] == "CONFIG_MISMATCH"
            assert "usdcop config apply" in refused["reasons"][0]
        assert theirs.get("/v1/risk/summary").json()["configuration"]["agree"] is False

        applied = usdcop(other, "config", "apply", "--reason", "less risk from now on")
        assert applied.returncode == 0, applied.stderr
        assert "risk_limits.max_daily_loss: -0.02 -> -0.01" in applied.stdout
        assert asked(theirs)["risk_status"] == "APPROVED"
        assert asked(ours)["risk_status"] == "CONFIG_MISMATCH"
        assert asked(ours, position=-0.05)["risk_status"] == "CONFIG_MISMATCH"
        # A loss is judged by the limits on record, whoever is told of it.
        tripped = post(ours, "/v1/risk/trade-result", **loss(-0.015)).json()
        assert tripped["tripped"] == ["daily_loss"]
        assert asked(theirs)["risk_status"] == "CIRCUIT_BREAKER_ACTIVE"


def test_a_store_that_was_restored_from_an_older_copy_halts_until_a_person_resumes(
    tmp_path: Path,
) -> None:
    state, older = tmp_path / "var" / "state.db", tmp_path / "older.db"
    with Server(tmp_path, {**ALL_DAY, **LIMITS}) as server, server.client() as client:
        post(client, "/v1/risk/trade-result", **loss(-0.005))
        server.stop()
        shutil.copy(state, older)
        server.start()
        assert post(client, "/v1/risk/trade-result", **loss(-0.02)).json()["tripped"]
        server.stop()

        shutil.copy(older, state)
        for beside in ("state.db-wal", "state.db-shm"):
            (tmp_path / "var" / beside).unlink(missing_ok=True)
        server.start()
        for more in ({}, {"position": -0.05}, {"order_id": "o"}, {"dry_run": True}):
            answer = post(client, "/v1/inference", observation=CONFIDENT, **more).json()
            assert (answer["signal"], answer["approved"]) == ("HOLD", False)
            assert answer["risk_status"] == "LEDGER_REGRESSED"
            assert "usdcop ledger reconcile" in answer["reasons"][0]
        report = loss(-0.001)
        refused = post(client, "/v1/risk/trade-result", **report)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
        assert post(client, "/v1/risk/resume", reason="go on").status_code == 503
        health = client.get("/health")
        assert health.status_code == 503
        assert "went backwards" in health.json()["components"]["ledger"]["reason"]
        assert client.get("/readyz").status_code == 200

        accepted = usdcop(server, "ledger", "reconcile", "--reason", "a backup was restored")
        assert accepted.returncode == 0, accepted.stderr
        assert "halted until a person resumes" in accepted.stdout
        answer = post(client, "/v1/inference", observation=CONFIDENT).json()
        assert (answer["signal"], answer["risk_status"]) == ("HOLD", "TRADING_HALTED")
        assert client.get("/health").status_code == 200
        assert post(client, "/v1/risk/trade-result", **report).status_code == 200
        again = usdcop(server, "ledger", "reconcile", "--reason", "once more")
        assert again.returncode != 0
        assert "nothing was lost" in again.stderr

        assert post(client, "/v1/risk/resume", reason="the broker agrees").status_code == 200
        answer = post(client, "/v1/inference", observation=CONFIDENT).json()
        assert answer["risk_status"] == "APPROVED"
        assert usdcop(server, "ledger", "verify").returncode == 0


def test_a_redis_that_evicts_is_refused_in_production_and_warned_of_in_development(
    tmp_path: Path,
) -> None:
    key = {"MLOPS_API_KEYS": f"desk:admin:{digest_of('usdcop_test')}"}
    with RedisServer(tmp_path / "redis", maxmemory_policy="allkeys-lru") as evicting:
        where = {**ALL_DAY, **on_redis(evicting)}
        (tmp_path / "production").mkdir()
        line = refused_start(
            tmp_path / "production", {**where, **key, "MLOPS_ENVIRONMENT": "production"}
        )
        assert "maxmemory-policy allkeys-lru" in line
        assert "noeviction" in line
        (tmp_path / "development").mkdir()
        with Server(tmp_path / "development", where) as server, server.client() as client:
            assert "maxmemory-policy allkeys-lru" in server.log.read_text()
            answer = post(client, "/v1/inference", observation=CONFIDENT).json()
            assert answer["approved"] is True


def _alter_a_byte(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        (body,) = file.execute("SELECT body FROM event WHERE sequence = 7").fetchone()
        altered = body[:100] + bytes([body[100] ^ 1]) + body[101:]
        file.execute("UPDATE event SET body = ? WHERE sequence = 7", (altered,))


def _delete_a_record(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("DELETE FROM event WHERE sequence = 7")


def _cut_off(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def _call_it_another_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 9")


@pytest.fixture(scope="module")
def whole_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger of a few dozen decisions that a service has left behind."""
    folder = tmp_path_factory.mktemp("whole")
    with Server(folder, ALL_DAY) as server, server.client() as client:
        for _ in range(40):
            post(client, "/v1/inference", observation=CONFIDENT)
    return folder


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (_alter_a_byte, ["record 7", "usdcop ledger verify", "usdcop ledger rebuild"]),
        (_delete_a_record, ["record 7", "missing", "usdcop ledger verify"]),
        (_cut_off, ["record ", "usdcop ledger verify"]),
        (_call_it_another_version, ["version", "it says 9"]),
    ],
    ids=["an altered byte", "a deleted record", "a file cut off", "another version"],
)
def test_a_damaged_ledger_stops_the_start_by_its_first_bad_record_and_stays_as_it_is(
    whole_ledger: Path, tmp_path: Path, damage: Callable[[Path], None], says: list[str]
) -> None:
    for part in ("var", "bentoml"):
        shutil.copytree(whole_ledger / part, tmp_path / part)
    state = tmp_path / "var" / "state.db"
    damage(state)
    before = _contents(tmp_path / "var")
    line = refused_start(tmp_path, ALL_DAY)
    # Who reads such a file through SQLite leaves an empty log beside it.
    assert not (wal := tmp_path / "var" / "state.db-wal").exists() or wal.stat().st_size == 0
    assert "state.db" in line
    for word in says:
        assert word in line
    assert _contents(tmp_path / "var") == before


def _contents(folder: Path) -> Mapping[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in {".db-wal", ".db-shm"}
    }


def test_while_redis_is_gone_or_frozen_all_is_hold_and_comes_back_by_itself(
    tmp_path: Path,
) -> None:
    for found in outage.run(tmp_path, 1.5):
        assert found.wrong == []
        assert len(found.seconds("decision")) > 20
        # What is due is 250 ms and 2 s; on a busy machine it may be late, but never for long.
        assert max(found.seconds("decision")) < 1.5
        assert found.back < 10


def test_a_service_does_not_start_on_a_redis_that_is_not_there(tmp_path: Path) -> None:
    began = time.monotonic()
    nowhere = {"REDIS_HOST": "127.0.0.1", "REDIS_PORT": "1"}
    line = refused_start(tmp_path, nowhere)
    assert "127.0.0.1:1" in line
    assert time.monotonic() - began < 30
