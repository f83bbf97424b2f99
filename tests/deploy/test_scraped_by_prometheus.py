"""A real Prometheus scrapes a real service, and answers all that dashboards and rules ask."""

import math
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.deploy.day import checked_for_drift, decisions_and_reports, stopped_trading
from tests.deploy.emitted import emitted
from tests.deploy.prometheus_server import PrometheusServer, needs_prometheus
from tests.deploy.queries import (
    PROMETHEUS,
    inner_parts,
    panel_queries,
    rule_queries,
    rules,
    selectors,
)
from tests.live.server import ALL_DAY, Server

pytestmark = [pytest.mark.live, needs_prometheus]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    two_workers = {"BENTOML_CONFIG_OPTIONS": "services.usdcop.workers=2"}
    with Server(tmp_path_factory.mktemp("service"), {**ALL_DAY, **two_workers}) as started:
        yield started


@pytest.fixture(scope="module")
def prometheus(
    server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusServer]:
    folder = tmp_path_factory.mktemp("prometheus")
    with PrometheusServer(folder, f"127.0.0.1:{server.port}") as started, server.client() as client:
        # Rates are of what comes after the first scrapes.
        started.wait_for('count_over_time(up{job="usdcop"}[1m]) >= 3')
        decisions_and_reports(client)
        checked_for_drift(server, client)
        decisions_and_reports(client)
        stopped_trading(client)
        started.wait_for("usdcop_operator_mode == 2")
        started.wait_for("usdcop_drift_share")
        started.wait_for('increase(usdcop_alerts_total{cause="halt"}[1m]) > 0')
        started.wait_for('rate(usdcop_decisions_total{risk_status="TRADING_HALTED"}[1m])')
        yield started


def as_grafana_asks(query: str) -> str:
    for variable, value in (("$__rate_interval", "1m"), ("$__range", "6h"), ("$book", "default")):
        query = query.replace(variable, value)
    return query


def test_each_query_of_each_panel_returns_data(prometheus: PrometheusServer) -> None:
    empty = []
    for query in panel_queries():
        found = prometheus.ask(as_grafana_asks(query.text))
        if not any(math.isfinite(float(series["value"][1])) for series in found):
            empty.append(query)
    assert empty == []


def test_each_recorded_series_is_there_and_each_rule_is_evaluated(
    prometheus: PrometheusServer,
) -> None:
    running = {rule["name"]: rule for rule in prometheus.rules()}
    assert set(running) == {rule.get("alert") or rule["record"] for rule in rules()}
    assert [rule["lastError"] for rule in running.values() if rule["health"] != "ok"] == []
    assert [
        rule["record"] for rule in rules() if "record" in rule and not prometheus.ask(rule["expr"])
    ] == []


def test_each_part_of_each_rule_looks_at_series_that_are_there(
    prometheus: PrometheusServer,
) -> None:
    empty = []
    for query in rule_queries():
        parts = [*inner_parts(query.text), *(found.text for found in selectors(query.text))]
        empty += [(query.where, part) for part in parts if not prometheus.ask(part)]
    assert empty == []


def test_what_is_wrong_in_the_book_fires_and_nothing_else(prometheus: PrometheusServer) -> None:
    prometheus.wait_for('ALERTS{alertname="UsdcopHalted", alertstate="firing"}')
    firing = {
        alert["metric"]["alertname"] for alert in prometheus.ask('ALERTS{alertstate="firing"}')
    }
    # The limit of the day is used up as well, which is told after a minute.
    assert firing - {"UsdcopLimitNear"} == {"UsdcopBreakerOpen", "UsdcopHalted"}


def test_a_scrape_tells_every_metric_of_the_document_and_no_other(
    prometheus: PrometheusServer, server: Server
) -> None:
    with server.client() as client:
        lines = client.get("/metrics").text.splitlines()
    kinds = dict(line.split()[2:4] for line in lines if line.startswith("# TYPE "))
    assert kinds == {name: metric.kind for name, metric in emitted().items()}
    assert not any("no/such/path" in line for line in lines)


def test_every_worker_tells_the_same(prometheus: PrometheusServer, server: Server) -> None:
    # What a worker counts is written within a second.
    time.sleep(1.5)
    told: dict[str, str] = {}
    for _ in range(40):
        with server.client() as client:
            answer = client.get("/metrics")
        worker = answer.headers["X-Request-Id"].partition("-")[0]
        told[worker] = "\n".join(filter(of_book_and_decisions, answer.text.splitlines()))
        if len(told) == 2:
            break
    one, other = told.values()
    assert one == other
    assert "usdcop_operator_mode 2.0" in one
    assert "usdcop_workers 2.0" in one


def of_book_and_decisions(line: str) -> bool:
    """Whether a line tells of what does not move from one scrape to the next."""
    moves = ("usdcop_http", "usdcop_processor", "usdcop_memory", "usdcop_ledger_free")
    return not line.startswith(("#", *moves))


@pytest.mark.parametrize(
    "words",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "rules.yml"),
        ("test", "rules", "rules_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(words: tuple[str, ...]) -> None:
    ran = subprocess.run(
        ["promtool", *words],
        cwd=PROMETHEUS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
