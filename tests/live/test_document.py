"""Every route is held against the one document of the service, with every role and with none.

`SCHEMATHESIS_EXAMPLES=500 pytest tests/live/test_document.py` sends more: so many bodies a route.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from api.access import OPEN, ROUTES, digest_of, may
from config.settings import Role
from tests.alerting import eventually
from tests.live.server import ALL_DAY, ROOT, Server
from tests.live.test_market import HISTORY, bar_rows, macro_rows
from tests.live.test_routes import CONFIDENT

pytestmark = [pytest.mark.live, pytest.mark.timeout(3600)]

KEYS = {role: f"usdcop_test-key-{role}" for role in Role}
EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "3")
LONG = "SCHEMATHESIS_EXAMPLES" in os.environ
OTHER_PAGES = ("/dashboard", "/static_content/")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    listed = ",".join(f"{role}-key:{role}:{digest_of(key)}" for role, key in KEYS.items())
    look = {"MLOPS__DESK__PREFLIGHT_MINUTES": "15"}
    variables = {**ALL_DAY, **look, "MLOPS_API_KEYS": listed}
    with Server(tmp_path_factory.mktemp("document"), variables) as started:
        have_an_eventful_day(started)
        yield started


@pytest.fixture(scope="module")
def open_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("without-keys"), ALL_DAY) as started:
        yield started


def as_role(server: Server, role: Role | None) -> httpx.Client:
    return server.client(**({} if role is None else {"Authorization": f"Bearer {KEYS[role]}"}))


def have_an_eventful_day(server: Server) -> None:
    """Leave something to tell about in every answer: bars, orders, causes, alerts."""
    loss = {"trade_id": "T-1", "pnl": -3_000, "pnl_percent": -0.03, "unrealized_pnl_percent": -0.01}
    with as_role(server, Role.TRADER) as client:
        for path, body in (
            ("/v1/market/macro", {"values": macro_rows()}),
            ("/v1/market/bars", {"bars": bar_rows(0, HISTORY), "decide": True}),
            ("/v1/inference", {"observation": CONFIDENT, "order_id": "O-1"}),
            ("/v1/inference", {"observation": CONFIDENT, "dry_run": True}),
            ("/v1/risk/position", {"position": 0.08, "as_of": datetime.now(UTC).isoformat()}),
            ("/v1/risk/trade-result", loss),
            ("/v1/risk/halt", {"mode": "REDUCING", "reason": "the loss"}),
        ):
            assert client.post(path, json=body).status_code == 200, path
        client.post("/v1/drift/check")  # one that is due may be running
        told = client.get("/v1/risk/summary").json()
        assert told["open_orders"]
        assert told["breaker"]["causes"]
        assert client.get("/v1/features/latest").status_code == 200
        eventually(lambda: client.get("/v1/preflight").status_code == 200)


def hold_against_its_document(
    server: Server, folder: Path, role: Role | None, *, keys: bool, phases: str
) -> None:
    document = folder / "docs.json"
    with as_role(server, Role.VIEWER if keys else None) as client:
        document.write_text(client.get("/docs.json").text)
    command = [
        *(sys.executable, "-m", "schemathesis.cli"),
        *("--config-file", str(ROOT / "tests" / "live" / "schemathesis.toml"), "run"),
        *(str(document), "--url", server.url, "--seed", "20260302", "--generation-database=none"),
        *("--max-examples", EXAMPLES, "--phases", phases, "--warnings", "off"),
        *("--continue-on-failure", "--no-color"),
        *("--exclude-path", "/v1/live"),  # it has no end
    ]
    if role is not None:
        command += ["--header", f"Authorization: Bearer {KEYS[role]}"]
    variables = {
        **{name: value for name, value in os.environ.items() if name != "ROLE"},
        "SCHEMATHESIS_HOOKS": "tests.live.document_checks",
        "PYTHONPATH": str(ROOT),
        "KEYS": "true" if keys else "false",
        **({} if role is None else {"ROLE": role.value}),
    }
    run = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    print(run.stdout[-2_000:])  # noqa: T201 - the figures of a long run; shown with -s
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]


@pytest.mark.parametrize("role", [Role.TRADER, Role.ADMIN])
def test_who_may_act_gets_what_the_document_says_whatever_is_sent(
    desk: Server, tmp_path: Path, role: Role
) -> None:
    phases = "examples,coverage,fuzzing,stateful" if role is Role.ADMIN or LONG else "fuzzing"
    hold_against_its_document(desk, tmp_path, role, keys=True, phases=phases)


@pytest.mark.parametrize("role", [Role.VIEWER, None])
def test_who_may_not_act_is_refused_as_the_document_says(
    desk: Server, tmp_path: Path, role: Role | None
) -> None:
    phases = "examples,coverage,fuzzing" if LONG else "examples,fuzzing"
    hold_against_its_document(desk, tmp_path, role, keys=True, phases=phases)


def test_without_keys_the_document_asks_for_none_and_holds(
    open_desk: Server, tmp_path: Path
) -> None:
    phases = "examples,coverage,fuzzing" if LONG else "examples,fuzzing"
    hold_against_its_document(open_desk, tmp_path, None, keys=False, phases=phases)


def test_every_route_is_in_the_document_with_its_role(desk: Server) -> None:
    with as_role(desk, Role.VIEWER) as client:
        document = client.get("/docs.json").json()
    told = {
        f"{method.upper()} {path}": operation["security"]
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    }
    told["GET /v1/decisions/{id}"] = told.pop("GET /v1/decisions/{decision_id}")
    due = {
        route: [] if role is OPEN or route == "GET /metrics" else [{"key": [role]}]
        for route, role in ROUTES.items()
        if not route.partition(" ")[2].startswith(OTHER_PAGES)
    }
    told = {
        route: security
        for route, security in told.items()
        if not route.partition(" ")[2].startswith(OTHER_PAGES)
    }
    assert told == due


@pytest.mark.parametrize("role", [None, *Role])
def test_each_route_serves_the_roles_that_it_is_for_and_no_other(
    desk: Server, role: Role | None
) -> None:
    with as_role(desk, role) as client:
        for route, least in ROUTES.items():
            method, _, path = route.partition(" ")
            if route == "GET /metrics" or path.startswith(OTHER_PAGES):
                continue
            wrong = {"nothing": "reads this"} if method == "POST" else None
            asked = path.replace("{", "").replace("}", "")
            with client.stream(method, asked, json=wrong) as answer:
                status = answer.status_code
            if least is OPEN:
                assert status == 200, route
            elif role is None:
                assert status == 401, route
            elif may(role, least):
                assert status not in (401, 403), route
            else:
                assert status == 403, route
