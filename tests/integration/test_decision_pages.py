"""Pages of whole decisions, and the history that replay makes of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from cli import usdcop
from features.schema import USDCOP_M5
from risk.ledger.sqlite import SqliteLedger
from simulation.exports import Export
from simulation.files import read_export
from tests.integration.running import Running, SteppedClock, running
from tests.integration.test_market import (
    HISTORY,
    bars_of,
    close_of,
    day_of,
    macro_rows,
    market,
    post,
)

DECIDED = 12


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    """A service that has decided on a dozen bars, one of them twice, and on a vector."""
    monkeypatch.chdir(tmp_path)
    clock = SteppedClock(close_of(HISTORY - 1) + timedelta(seconds=1))
    ledger = SqliteLedger(tmp_path / "var" / "state.db")
    with running({}, clock=clock, ledger=ledger) as started:
        started.post("/v1/market/macro", values=macro_rows(day_of(HISTORY)))
        started.post("/v1/market/bars", bars=bars_of(0, HISTORY))
        for index in range(HISTORY, HISTORY + DECIDED):
            post(started, index, decide=True)
        post(started, HISTORY + DECIDED - 1, decide=True)
        started.decide(dry_run=True)
        started.decide(enforce_risk_checks=False)
        yield started


def read(path: Path) -> Export:
    return read_export([path], observation_dim=45, schema=USDCOP_M5)


def test_a_full_page_holds_what_each_decision_is_by_its_id(service: Running) -> None:
    listed = service.get("/v1/decisions?limit=4")[1]
    status, full = service.get("/v1/decisions?limit=4&full=true")

    assert status == 200
    assert full["next"] == listed["next"]
    ids = [entry["decision_id"] for entry in listed["decisions"]]
    assert full["decisions"] == [service.get(f"/v1/decisions/{name}")[1] for name in ids]
    assert all("observation" not in entry for entry in listed["decisions"])


@pytest.mark.parametrize("query", ["full=perhaps", "full=true&limit=501"])
def test_a_page_that_cannot_be_is_refused(service: Running, query: str) -> None:
    assert service.get(f"/v1/decisions?{query}")[0] == 422  # which the guard tells as 400


def test_pages_and_the_ledgers_export_replay_the_same_vectors(
    service: Running, tmp_path: Path
) -> None:
    pages, query = tmp_path / "pages.json", "limit=5&full=true"
    with pages.open("w") as file:
        while True:
            _, told = service.get(f"/v1/decisions?{query}")
            json.dump(told, file)
            if told["next"] is None:
                break
            query = f"limit=5&full=true&before={told['next']}"
    lines = tmp_path / "ledger.jsonl"
    result = CliRunner().invoke(usdcop, ["ledger", "export", "--out", str(lines)])
    assert result.exit_code == 0, result.output

    of_pages, of_ledger = read(pages), read(lines)

    bars, _, series = market()
    history = of_pages.history
    assert history.starts.tolist() == bars.starts[HISTORY : HISTORY + DECIDED].tolist()
    assert history.closes.tolist() == bars.closes[HISTORY : HISTORY + DECIDED].tolist()
    rows = series.times.searchsorted(history.starts)
    assert history.matrix.tobytes() == series.matrix[rows].tobytes()
    assert history.fill_state
    assert of_ledger.history.matrix.tobytes() == history.matrix.tobytes()
    assert list(of_ledger.history.evidence) == list(history.evidence)
    assert of_ledger.as_it_was == of_pages.as_it_was
    assert of_ledger.left_out == of_pages.left_out
    assert (of_pages.left_out.dry_runs, of_pages.left_out.not_checked) == (1, 1)
    assert of_pages.left_out.repeated == 1
