"""Calls to a monitor: a real HTTP server, a secret address, and silence when nothing can decide."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from api.heartbeat import Heart
from monitoring.day.pulse import BeatFailed
from monitoring.heartbeat import Heartbeat
from stores.sqlite_documents import SqliteDocuments
from tests.fakes import TroubledLedger
from tests.integration.running import Running, running

SECRET = "hunter2"


class Monitor:
    """What expects the calls."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        self.status, self.delay = 200, 0.0
        monitor = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                monitor.paths.append(self.path)
                time.sleep(monitor.delay)
                self.send_response(monitor.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                del format, arguments

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/ping/{SECRET}"


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    started = Monitor()
    yield started
    started.server.shutdown()
    started.server.server_close()


def test_a_beat_asks_for_the_address_once(monitor: Monitor) -> None:
    Heartbeat(monitor.url, 5).beat()
    assert monitor.paths == [f"/ping/{SECRET}"]


def test_a_monitor_that_refuses_hangs_or_is_away_is_an_error_without_its_address(
    monitor: Monitor,
) -> None:
    monitor.status = 404
    with pytest.raises(BeatFailed, match="answered with 404") as refused:
        Heartbeat(monitor.url, 5).beat()
    monitor.status, monitor.delay = 200, 1.0
    with pytest.raises(BeatFailed, match="cannot be reached: TimeoutError") as late:
        Heartbeat(monitor.url, 0.1).beat()
    with pytest.raises(BeatFailed, match="cannot be reached") as away:
        Heartbeat(f"http://127.0.0.1:1/{SECRET}", 5).beat()
    for error in (refused, late, away):
        assert SECRET not in str(error.value)
        assert error.value.__cause__ is None


def hearts(service: Running, monitor: Monitor, workers: int = 2) -> list[Heart]:
    pulse = Heartbeat(monitor.url, 5)
    return [Heart(service.application, pulse, 60.0) for _ in range(workers)]


def step(beating: list[Heart], times: int = 3) -> None:
    for _ in range(times):
        for heart in beating:
            heart.step()


def test_all_workers_together_beat_once_in_an_interval(monitor: Monitor) -> None:
    with running() as service:
        beating = hearts(service, monitor)
        for minutes in range(1, 4):
            step(beating)
            assert len(monitor.paths) == minutes
            service.clock.advance(minutes=1)


def test_a_halted_book_beats_and_one_that_cannot_decide_is_silent(
    monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ledger = TroubledLedger()
    with running(ledger=ledger) as service:
        beating = hearts(service, monitor)
        service.post("/v1/risk/halt", reason="look at it")
        step(beating)
        assert len(monitor.paths) == 1
        ledger.unreadable = True
        service.clock.advance(minutes=1)
        step(beating)
        assert len(monitor.paths) == 1
        ledger.unreadable = False
        step(beating)
        assert len(monitor.paths) == 2
    assert caplog.text.count("no heartbeat: the store cannot be read") == 2  # by each worker
    assert "the heart beats again" in caplog.text
    assert SECRET not in caplog.text


def test_a_book_with_another_configuration_on_record_is_silent(monitor: Monitor) -> None:
    ledger = TroubledLedger()
    with running(ledger=ledger):
        pass
    with running({"MAX_DAILY_LOSS": "-0.01"}, ledger=ledger) as service:
        step(hearts(service, monitor))
    assert monitor.paths == []


def test_a_store_that_takes_no_writes_is_silent(monitor: Monitor, tmp_path: Path) -> None:
    documents = SqliteDocuments(tmp_path / "nowhere" / "day.db")
    with running(documents=documents) as service:
        beating = hearts(service, monitor)
        step(beating)
        assert monitor.paths == []
        (tmp_path / "nowhere").mkdir()
        step(beating)
        assert len(monitor.paths) == 1


def test_a_monitor_that_is_away_is_logged_once_and_called_at_the_next_interval(
    monitor: Monitor, caplog: pytest.LogCaptureFixture
) -> None:
    with running() as service:
        (heart,) = hearts(service, monitor, workers=1)
        monitor.status = 500
        for _ in range(2):
            step([heart])
            service.clock.advance(minutes=1)
        monitor.status = 200
        step([heart])
    assert len(monitor.paths) == 3
    assert caplog.text.count("the heartbeat was not taken: the monitor answered with 500") == 1
