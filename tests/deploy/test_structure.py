"""What dashboards and rules say can be read without starting anything."""

import re
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.emitted import emitted, series_names
from tests.deploy.queries import (
    DASHBOARDS,
    PROMETHEUS,
    dashboard,
    panel_queries,
    rule_queries,
    rules,
    selectors,
)

ALERTS = [rule for rule in rules() if "alert" in rule]
# Of Prometheus itself, and the labels that a target has.
ITS_OWN = {"up": frozenset[str](), "scrape_duration_seconds": frozenset[str]()}
OF_TARGETS = frozenset({"job", "instance", "book"})


def alert_name(rule: dict[str, Any]) -> str:
    return str(rule["alert"])


def stem(path: Path) -> str:
    return path.stem


def test_every_metric_and_label_of_a_query_is_one_that_the_code_emits() -> None:
    recorded = {rule["record"]: frozenset[str]() for rule in rules() if "record" in rule}
    known = {**series_names(), **ITS_OWN, **recorded}
    queries = [*panel_queries(), *rule_queries()]
    assert len(queries) > 80
    for query in queries:
        found = selectors(query.text)
        assert found, query
        for selector in found:
            assert selector.name in known, (query.where, selector.name)
            assert selector.labels <= known[selector.name] | OF_TARGETS, (query.where, selector)


def test_every_metric_is_on_a_dashboard_or_in_a_rule() -> None:
    asked = {selector.name for query in panel_queries() for selector in selectors(query.text)}
    asked |= {selector.name for query in rule_queries() for selector in selectors(query.text)}
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in asked}
    unseen = {name for name in emitted() if name not in shown | asked}
    assert unseen == NOT_SHOWN


NOT_SHOWN = {
    # `/v1/risk/summary` says more of it.
    "usdcop_position_known",
    # The time that a batch takes is seen by its route.
    "usdcop_batch_seconds",
}


@pytest.mark.parametrize("rule", ALERTS, ids=alert_name)
def test_an_alert_says_how_urgent_it_is_what_it_saw_and_where_help_is(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"page", "report"}
    told = rule["annotations"]
    assert set(told) == {"summary", "description", "runbook"}
    assert told["summary"]
    assert "$value" in told["description"]
    assert told["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"


@pytest.mark.parametrize("rule", ALERTS, ids=alert_name)
def test_an_alert_is_tested_firing(rule: dict[str, Any]) -> None:
    tests = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]
    fires = f'{{alertname="{rule["alert"]}", severity="{rule["labels"]["severity"]}"}}'
    assert any(
        sample["labels"] == fires
        for test in tests
        for expected in test["promql_expr_test"]
        for sample in expected["exp_samples"]
    )


def test_no_two_rules_have_one_name() -> None:
    names = Counter(rule.get("alert") or rule["record"] for rule in rules())
    assert [name for name, times in names.items() if times > 1] == []


def test_prometheus_reads_the_rules_and_scrapes_the_service_of_the_compose_file() -> None:
    settings = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    assert [(PROMETHEUS / name).is_file() for name in settings["rule_files"]] == [True]
    (job,) = settings["scrape_configs"]
    assert (job["job_name"], job["metrics_path"]) == ("usdcop", "/metrics")
    assert job["static_configs"] == [{"targets": ["usdcop:8090"], "labels": {"book": "default"}}]


def test_grafana_finds_its_datasource_and_its_dashboards() -> None:
    provisioning = PROMETHEUS.parent / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert (source["uid"], source["type"]) == ("prometheus", "prometheus")
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards/usdcop.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert [path.stem for path in DASHBOARDS] == ["desk", "service"]
    assert len({dashboard(path)["uid"] for path in DASHBOARDS}) == len(DASHBOARDS)


@pytest.mark.parametrize("path", DASHBOARDS, ids=stem)
def test_no_two_panels_share_an_id_or_a_place(path: Path) -> None:
    panels = dashboard(path)["panels"]
    assert max(Counter(panel["id"] for panel in panels).values()) == 1
    for panel in panels:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24, panel["title"]
    for one, other in combinations(panels, 2):
        assert not overlap(one["gridPos"], other["gridPos"]), (one["title"], other["title"])


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


@pytest.mark.parametrize("path", DASHBOARDS, ids=stem)
def test_every_panel_says_what_it_shows_and_where_it_gets_it(path: Path) -> None:
    content = dashboard(path)
    assert content["schemaVersion"] >= 39
    assert content["templating"]["list"][0]["datasource"]["uid"] == "prometheus"
    for panel in content["panels"]:
        if panel["type"] == "row":
            continue
        assert panel["title"]
        assert panel["description"], panel["title"]
        assert panel["datasource"]["uid"] == "prometheus"
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["targets"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"prometheus"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for target in panel["targets"]:
            assert 'book="$book"' in target["expr"], panel["title"]
