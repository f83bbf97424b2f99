"""What a scrape finds. The registry is the process's own, so values are compared as differences."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import REGISTRY

from monitoring.book_gauges import READABLE
from monitoring.observer import (
    BatchDecided,
    DriftChecked,
    Observation,
    ResultRecorded,
    Stages,
    WorkerStanding,
)
from monitoring.prometheus import PrometheusObserver
from monitoring.prometheus_metrics import write_late
from tests.monitoring.observations import decision

Labels = dict[str, str]


def value_of(name: str, labels: Labels | None = None) -> float:
    write_late()
    return REGISTRY.get_sample_value(name, labels or {}) or 0.0


@contextmanager
def counted(name: str, by: float, /, **labels: str) -> Iterator[None]:
    """What happens within moves this sample by this much."""
    before = value_of(name, labels)
    yield
    assert value_of(name, labels) - before == pytest.approx(by)


def tell(*observations: Observation) -> None:
    observer = PrometheusObserver(["ppo_usdcop_v3"])
    for observation in observations:
        observer.observe(observation)


def test_decisions_are_counted_by_signal_status_and_model() -> None:
    bought = {"signal": "BUY", "risk_status": "APPROVED", "model_name": "ensemble"}
    held = {"signal": "HOLD", "risk_status": "LOW_CONFIDENCE", "model_name": "ppo_usdcop_v3"}
    with (
        counted("usdcop_decisions_total", 2, **bought),
        counted("usdcop_decisions_total", 1, **held),
        counted("usdcop_decisions_total", 0, **{**bought, "signal": "SELL"}),
        counted("usdcop_decisions_not_stored_total", 0),
    ):
        tell(decision(), decision(), decision(**held, approved=False))


def test_a_name_that_no_loaded_model_has_makes_no_series() -> None:
    fault = {"signal": "HOLD", "risk_status": "SYSTEM_ERROR"}
    with counted("usdcop_decisions_total", 2, **fault, model_name="other"):
        tell(decision(**fault, model_name="made up"), decision(**fault, model_name="another"))


def test_a_decision_that_is_not_on_record_is_counted() -> None:
    with counted("usdcop_decisions_not_stored_total", 1):
        tell(decision(risk_status="SYSTEM_ERROR", stored=False), decision())


@pytest.mark.parametrize(
    ("seconds", "at_most", "above"), [(0.002, "0.002", "0.001"), (0.003, "0.005", "0.002")]
)
def test_the_time_of_a_decision_falls_into_its_bucket(
    seconds: float, at_most: str, above: str
) -> None:
    buckets = "usdcop_decision_seconds_bucket"
    with (
        counted("usdcop_decision_seconds_count", 1),
        counted("usdcop_decision_seconds_sum", seconds),
        counted(buckets, 1, le=at_most),
        counted(buckets, 0, le=above),
    ):
        tell(decision(seconds=seconds))


def test_the_confidence_of_a_decision_falls_into_its_bucket() -> None:
    with (
        counted("usdcop_decision_confidence_sum", 0.6),
        counted("usdcop_decision_confidence_bucket", 1, le="0.6"),
        counted("usdcop_decision_confidence_bucket", 0, le="0.5"),
    ):
        tell(decision(confidence=0.6))


def test_a_batch_counts_its_rows_and_no_decision() -> None:
    with (
        counted("usdcop_batch_rows_total", 4096),
        counted("usdcop_batch_seconds_count", 1),
        counted("usdcop_batch_seconds_sum", 0.25),
        counted("usdcop_decision_seconds_count", 0),
        counted("usdcop_batch_faults_total", 0),
    ):
        tell(BatchDecided(rows=4096, seconds=0.25))


def test_a_batch_that_could_not_be_judged_is_counted() -> None:
    with counted("usdcop_batch_faults_total", 1), counted("usdcop_batch_rows_total", 2):
        tell(BatchDecided(rows=2, seconds=0.25, fault="the store is gone"))


def test_results_are_counted_apart_from_their_duplicates() -> None:
    with (
        counted("usdcop_trade_results_total", 2, duplicate="false"),
        counted("usdcop_trade_results_total", 1, duplicate="true"),
    ):
        tell(
            ResultRecorded(duplicate=False, trips=()),
            ResultRecorded(duplicate=False, trips=()),
            ResultRecorded(duplicate=True, trips=()),
        )


def test_each_cause_that_opened_the_breaker_is_counted() -> None:
    trips = "usdcop_breaker_trips_total"
    with (
        counted(trips, 2, cause="daily_loss"),
        counted(trips, 1, cause="drawdown"),
        counted(trips, 0, cause="consecutive_losses"),
    ):
        tell(
            ResultRecorded(duplicate=False, trips=("daily_loss", "drawdown")),
            ResultRecorded(duplicate=False, trips=("daily_loss",)),
        )


def test_drift_checks_are_counted_by_their_end_and_by_what_began_them() -> None:
    checks = "usdcop_drift_checks_total"
    with (
        counted(checks, 1, state="alarm", report="evidently", trigger="scheduled"),
        counted(checks, 1, state="failed", report="none", trigger="manual"),
        counted("usdcop_drift_check_seconds_sum", 12.5),
    ):
        tell(
            DriftChecked(state="alarm", seconds=12.0, report="evidently", trigger="scheduled"),
            DriftChecked(state="failed", seconds=0.5, report="none", trigger="manual"),
        )


def test_requests_are_counted_by_route_and_status_and_timed_by_route() -> None:
    route = "/v1/decisions/{id}"
    observer = PrometheusObserver()
    with (
        counted("usdcop_http_requests_total", 2, route=route, status="200"),
        counted("usdcop_http_requests_total", 1, route=route, status="404"),
        counted("usdcop_http_request_seconds_count", 3, route=route),
        counted("usdcop_http_request_seconds_bucket", 2, route=route, le="0.001"),
    ):
        observer.count_request(route, 200, 0.0007)
        observer.count_request(route, 200, 0.0008)
        observer.count_request(route, 404, 0.3)


def test_a_scrape_says_all_of_it() -> None:
    observer = PrometheusObserver()
    observer.count_request("/metrics", 200, 0.001)
    text = observer.exposition([READABLE.reads(1)]).decode()
    assert observer.content_type.startswith("text/plain")
    assert 'usdcop_http_requests_total{route="/metrics",status="200"}' in text
    assert "# TYPE usdcop_decision_seconds histogram" in text
    assert "# TYPE usdcop_ledger_readable gauge\nusdcop_ledger_readable 1.0\n" in text


def test_each_thing_that_spoke_against_an_observation_is_counted() -> None:
    with (
        counted("usdcop_vetoes_total", 2, kind="outside", name="atr_14"),
        counted("usdcop_vetoes_total", 1, kind="stale", name="equal_closes"),
    ):
        tell(
            decision(vetoes=(("outside", "atr_14"), ("stale", "equal_closes"))),
            decision(vetoes=(("outside", "atr_14"),)),
            decision(),
        )


def test_the_stages_of_a_decision_are_timed_where_they_took_place() -> None:
    stages = "usdcop_decision_stage_seconds"
    with (
        counted(f"{stages}_count", 2, stage="read"),
        counted(f"{stages}_sum", 0.0005, stage="append"),
        counted(f"{stages}_bucket", 2, stage="judge", le="0.0001"),
        counted(f"{stages}_count", 1, stage="persist"),
    ):
        refused = Stages(read=60_000, judge=90_000, append=250_000)
        tell(
            decision(stages=refused), decision(stages=refused._replace(persist=400_000)), decision()
        )


def test_each_call_of_a_model_is_timed() -> None:
    durations = PrometheusObserver().model_durations("ppo_usdcop_v3")
    with (
        counted("usdcop_model_seconds_sum", 0.00004, model_name="ppo_usdcop_v3"),
        counted("usdcop_model_seconds_bucket", 1, model_name="ppo_usdcop_v3", le="5e-05"),
        counted("usdcop_model_seconds_bucket", 0, model_name="ppo_usdcop_v3", le="2.5e-05"),
    ):
        durations(40_000)


def test_a_worker_writes_what_its_cache_has_read_since_it_wrote_last() -> None:
    observer = PrometheusObserver()
    fine = WorkerStanding(
        cache_hits=3,
        cache_misses=1,
        cache_degraded=False,
        market_degraded=False,
        alerts_degraded=False,
        append_failing=False,
    )
    with (
        counted("usdcop_cache_reads_total", 5, outcome="hit"),
        counted("usdcop_cache_reads_total", 1, outcome="miss"),
    ):
        observer.write(fine)
        observer.write(fine._replace(cache_hits=5, append_failing=True))
    assert value_of("usdcop_ledger_append_failing") == 1
    assert value_of("usdcop_cache_degraded") == 0
    assert value_of("usdcop_memory_bytes") > 10_000_000
    assert value_of("usdcop_processor_seconds_total") > 0
