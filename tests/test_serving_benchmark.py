"""The benchmark of the service counts and judges rightly; what it measures is not asserted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.serving.cases import Case, Work
from benchmarks.serving.figures import Figures, Results, figures_of
from benchmarks.serving.load import load
from benchmarks.serving.page import report_page
from benchmarks.serving.report import report_json
from benchmarks.serving.run import QUICK, Findings
from benchmarks.serving.stretches import Stretch, joined
from benchmarks.serving.verdicts import Verdict, added_over_commit, verdicts
from benchmarks.serving.wrk import speed_told
from tests.answering import answering

REFUSED, APPROVED = Case("refused"), Case("approved")


def stretch(server: str, case: Case, milliseconds: float, requests: int = 1000) -> Stretch:
    latencies = np.full(requests, int(milliseconds * 1e6))
    return Stretch(server, case, latencies, requests * milliseconds / 1e3, requests, 0.5, 200, 0.1)


def results_of(*stretches: Stretch) -> Results:
    results = Results()
    for each in stretches:
        results.add(each)
    return results


@pytest.fixture
def port() -> Iterator[int]:
    """A server that is marked on every second answer, and fails on every fourth."""

    def answer(number: int) -> tuple[int, bytes]:
        marked = b'{"approved":true}' if number % 2 else b'{"approved":false}'
        return (503 if number % 4 == 0 else 200), marked

    with answering(answer) as found:
        yield found


def test_the_generator_counts_what_is_marked_and_what_failed(port: int) -> None:
    found = load(port, [("/", b"{}")], clients=3, seconds=0.2, mark=b'"approved":true')
    assert found["answered"] == len(found["latencies"]) > 3
    assert abs(found["marked"] - found["answered"] / 2) <= 1
    assert abs(found["failed"] - found["answered"] / 4) <= 1


def test_what_is_sent_while_it_warms_up_is_answered_and_not_timed(port: int) -> None:
    found = load(port, [("/", b"{}")], clients=1, seconds=0, mark=b"x", warm_seconds=0.1)
    assert found["answered"] > 1
    assert found["latencies"] == []
    assert found["seconds"] == 0


def test_a_percentile_is_told_only_where_enough_lies_beyond_it() -> None:
    latencies = np.arange(1, 1000) * 1_000_000
    found = figures_of(Stretch("sqlite", REFUSED, latencies, 1.998, 1250, 0.5, 200, 0.1))
    assert found.p50 == pytest.approx(500)
    assert found.p99 == pytest.approx(989.02)
    assert found.p999 is None
    assert found.per_second == pytest.approx(500)
    assert found.processor_ms == pytest.approx(0.4)


def test_rows_are_counted_and_not_only_requests() -> None:
    found = figures_of(stretch("sqlite", Case("batch of 64"), 10.0))
    assert found.rows_per_second == pytest.approx(6400)


def test_pieces_that_follow_one_another_are_one_stretch() -> None:
    one = joined([stretch("sqlite", REFUSED, 1.0), stretch("sqlite", REFUSED, 3.0)])
    assert len(one.latencies) == one.answered == 2000
    assert one.seconds == pytest.approx(4.0)


def test_a_ratio_is_the_median_of_those_of_the_rounds() -> None:
    rounds = [(2.0, 1.0), (9.0, 3.0), (2.0, 2.0)]
    results = results_of(
        *(stretch("sqlite", REFUSED, ours) for ours, _ in rounds),
        *(stretch("fastapi", REFUSED, theirs) for _, theirs in rounds),
    )
    assert results.ratio((REFUSED, "sqlite"), (REFUSED, "fastapi"), "p50") == pytest.approx(2.0)
    assert results.ratio((REFUSED, "redis"), (REFUSED, "fastapi"), "p50") is None


def test_a_share_of_marked_answers_outside_its_bounds_is_a_complaint() -> None:
    mixed = Work([], '"approved":true', 0.3, 0.5)
    assert mixed.complaint(40, 100) is None
    assert "10 of 100" in str(mixed.complaint(10, 100))
    assert mixed.complaint(0, 0) is not None


@pytest.mark.parametrize(
    ("measured", "most", "word"),
    [(1.0, True, "met"), (1.1, True, "NOT MET"), (1.0, False, "met"), (0.9, False, "NOT MET"),
     (None, True, "not measured")],
)  # fmt: skip
def test_a_target_is_met_from_its_own_side(measured: float | None, most: bool, word: str) -> None:
    assert Verdict("it", measured, 1.0, most).word == word


def test_approval_is_held_against_the_commit_of_its_round() -> None:
    results = results_of(
        *(stretch("sqlite", REFUSED, each) for each in (1.0, 2.0)),
        *(stretch("sqlite", APPROVED, each) for each in (1.5, 3.0)),
    )
    assert added_over_commit(results, [0.5, 0.5]) == pytest.approx(1.5)
    assert added_over_commit(Results(), [0.5]) is None


def test_what_was_not_measured_is_said_and_not_judged() -> None:
    findings = Findings({"cores": "2"}, {}, 3.0, {"p50": 0.1, "p99": 0.1})
    words = {row.what: row.word for row in verdicts(findings)}
    assert words["ensemble in process, p99"] == words["ready after `bentoml serve`"] == "met"
    assert list(words.values()).count("not measured") == len(words) - 2


def test_the_json_and_the_page_hold_what_was_found() -> None:
    findings = Findings({"processor": "one <b>"}, {}, 3.0, {"p50": 0.1, "p99": 0.1})
    findings.results = results_of(
        *(stretch(server, Case("mixed", clients), 1.0) for server in ("sqlite", "fastapi")
          for clients in (1, 8))
    )  # fmt: skip
    told = report_json(findings, QUICK)
    assert told["cases"][0]["ratio_to_fastapi"]["p50"] == pytest.approx(1.0)
    assert set(told["cases"][0]["rounds"][0]) == set(Figures.__dataclass_fields__)
    text = report_page(findings)
    assert "one &lt;b&gt;" in text
    assert 'data-plot="throughput-mixed"' in text


def test_what_wrk_prints_is_read_and_its_failures_are_raised() -> None:
    printed = "  100 requests in 1.00s, 1.00MB read\nRequests/sec:   1234.56\nTransfer/sec: 1MB\n"
    assert speed_told(printed) == 1234.56
    with pytest.raises(RuntimeError, match="Non-2xx"):
        speed_told(f"  Non-2xx or 3xx responses: 3\n{printed}")
    with pytest.raises(RuntimeError, match="unable"):
        speed_told("unable to connect")
