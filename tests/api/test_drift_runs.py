"""Drift checks of one worker: due, on demand, failing, taken over, broken off; and the routes."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import httpx
import pytest
import pytest_asyncio

from api.drift_runs import DriftRuns
from api.web import create_web
from errors import Conflict, NotReady
from monitoring.drift.records import DocumentDriftRecords
from monitoring.drift_desk import DriftDesk
from monitoring.limited_process import Limits
from monitoring.observer import DriftChecked
from stores.lease import Lease, Standing
from tests.fakes import RecordingObserver
from tests.integration.drift_jobs import LIMITS, desk
from tests.monitoring.ticking import Fixed
from tests.shared_documents import TroubledDocuments

pytestmark = pytest.mark.asyncio

JUST_NOW = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=30)
TICK = JUST_NOW.isoformat(timespec="microseconds")

GOOD = """
import json, sys
print(json.dumps({"verdict": {"tick": sys.argv[1], "state": "alarm", "drifted_share": 0.2}}))
print(json.dumps({"report": {"method": "scipy", "seconds": 0.1}}))
"""
SLOW_REPORT = """
import json, sys, time
print(json.dumps({"verdict": {"tick": sys.argv[1], "state": "ok", "drifted_share": 0.0}}))
time.sleep(600)
"""
STUCK = "import time; time.sleep(600)"


@dataclass
class Worker:
    """A worker whose job is a small program, and the jobs it began."""

    text: str = GOOD
    documents: TroubledDocuments = field(default_factory=TroubledDocuments)
    schedule: Fixed = field(default_factory=lambda: Fixed(JUST_NOW))
    holder: str = "one"
    begun: list[str] = field(default_factory=list)
    observer: RecordingObserver = field(default_factory=RecordingObserver)
    limits: Limits = LIMITS
    seconds: float = 0.4
    enabled: bool = True

    def __post_init__(self) -> None:
        self.records = DocumentDriftRecords(self.documents)
        self.desk: DriftDesk = desk(
            self.documents,
            self.records,
            self.program,
            holder=self.holder,
            schedule=self.schedule,
            seconds=self.seconds,
            limits=self.limits,
            observer=self.observer,
            enabled=self.enabled,
        )
        self.runs = DriftRuns(self.desk)

    def program(self, tick: str, holder: str) -> list[str]:
        self.begun.append(tick)
        return [sys.executable, "-uc", self.text, tick, holder]

    def other(self, **changes: Any) -> "Worker":
        return replace(self, holder="other", begun=[], observer=RecordingObserver(), **changes)

    def lease(self, holder: str) -> Lease:
        return Lease(
            self.documents, "lease", holder=holder, seconds=self.seconds, timer=time.monotonic
        )


@pytest_asyncio.fixture
async def worker() -> AsyncIterator[Worker]:
    made = Worker()
    yield made
    await made.runs.close()


async def until(condition: Callable[[], bool]) -> None:
    begun = monotonic()
    while not condition():
        assert monotonic() - begun < 20
        await asyncio.sleep(0.01)


class TestTheCheckThatIsDue:
    async def test_is_made_once_and_told(self, worker: Worker) -> None:
        await worker.runs.catch_up()
        await worker.runs.catch_up()
        assert worker.begun == [TICK]
        status = worker.runs.status()
        assert status["last_run"]["state"] == "alarm"
        assert status["last_run"]["report"] == "scipy"
        assert (status["running"], status["last_error"], status["next_run"]) == (None, None, None)
        (seen,) = worker.observer.seen
        assert isinstance(seen, DriftChecked)
        assert (seen.state, seen.report, seen.trigger) == ("alarm", "scipy", "scheduled")

    async def test_is_made_by_one_of_several_workers(self, worker: Worker) -> None:
        other = worker.other()
        await asyncio.gather(worker.runs.catch_up(), other.runs.catch_up())
        assert worker.begun + other.begun == [TICK]

    async def test_is_left_out_when_it_is_too_late(self) -> None:
        worker = Worker(schedule=Fixed(JUST_NOW - timedelta(hours=2)))
        await worker.runs.catch_up()
        assert worker.begun == []

    async def test_comes_before_a_later_one_that_became_due_meanwhile(self) -> None:
        earlier = JUST_NOW - timedelta(minutes=5)
        worker = Worker(schedule=Fixed(earlier))
        await worker.runs.catch_up()
        worker.schedule.times += [earlier + timedelta(minutes=1), JUST_NOW]
        await worker.runs.catch_up()
        assert [tick[11:16] for tick in worker.begun] == [
            f"{at:%H:%M}" for at in worker.schedule.times
        ]

    async def test_is_not_made_again_when_all_of_it_is_published(self, worker: Worker) -> None:
        worker.records.publish({"tick": TICK, "report": {"method": "scipy"}}, b"<html>")
        await worker.runs.catch_up()
        assert worker.begun == []
        assert worker.lease("third").claim(TICK).standing is Standing.DONE

    async def test_is_made_again_when_its_report_is_missing(self, worker: Worker) -> None:
        worker.records.publish({"tick": TICK, "state": "ok"}, None)
        await worker.runs.catch_up()
        assert worker.begun == [TICK]

    async def test_is_taken_over_from_a_holder_that_died(self, worker: Worker) -> None:
        worker.lease("dead").claim(TICK)
        await worker.runs.catch_up()
        assert worker.begun == [TICK]

    async def test_one_that_was_begun_long_ago_is_taken_over_by_a_later_start(self) -> None:
        worker = Worker(schedule=Fixed())
        worker.lease("dead").claim("long ago")
        await worker.runs.catch_up()
        assert worker.begun == ["long ago"]

    async def test_waits_until_the_store_is_back(self, worker: Worker) -> None:
        worker.documents.away = True
        catching_up = asyncio.create_task(worker.runs.catch_up())
        await until(lambda: worker.runs.status()["last_error"] is not None)
        worker.documents.away = False
        await catching_up
        assert worker.begun == [TICK]

    @pytest.mark.parametrize(
        ("text", "limits", "why"),
        [
            ("raise ValueError('of no use')", LIMITS, "exit code 1: ValueError: of no use"),
            ("print('no verdict')", LIMITS, "it gave no verdict"),
            (STUCK, Limits(0.5, 512), "not done within 0.5 s"),
        ],
    )
    async def test_is_tried_three_times_and_then_given_up(
        self, text: str, limits: Limits, why: str
    ) -> None:
        worker = Worker(text=text, limits=limits)
        await worker.runs.catch_up()
        assert worker.begun == [TICK] * 3
        status = worker.runs.status()
        assert why in status["last_error"]["message"]
        assert status["last_run"]["state"] == "failed"
        assert [getattr(seen, "state", None) for seen in worker.observer.seen] == ["failed"] * 3

    async def test_a_fault_of_our_own_gives_the_lease_back(self, worker: Worker) -> None:
        def no_program(tick: str, holder: str) -> list[str]:
            raise ZeroDivisionError

        broken = Worker(documents=worker.documents)
        broken.runs = DriftRuns(replace(broken.desk, program=no_program))
        await broken.runs.catch_up()
        assert "ZeroDivisionError" in broken.runs.status()["last_error"]["message"]

    async def test_is_broken_off_when_the_lease_is_lost(self) -> None:
        worker = Worker(text=STUCK)
        catching_up = asyncio.create_task(worker.runs.catch_up())
        await until(lambda: worker.begun == [TICK])
        found = worker.documents.read("lease")
        body = {**json.loads(found.body), "holder": "somebody", "done": [TICK]}
        stolen = json.dumps(body).encode()
        while not worker.documents.write("lease", stolen, expected=found.version):
            found = worker.documents.read("lease")
        await catching_up
        assert "its lease was lost" in worker.runs.status()["last_error"]["message"]

    async def test_is_given_back_at_once_when_a_worker_is_closed(self) -> None:
        worker = Worker(text=STUCK, seconds=60)
        catching_up = asyncio.create_task(worker.runs.catch_up())
        await until(lambda: worker.begun == [TICK])
        await worker.runs.close()
        await catching_up
        assert worker.begun == [TICK]
        assert worker.lease("third").claim(TICK).standing is Standing.HELD


class TestOnDemand:
    async def test_the_verdict_is_the_answer(self, worker: Worker) -> None:
        answer = await worker.runs.check_now("7")
        assert answer["tick"] == "manual:7"
        assert answer["state"] == "alarm"

    async def test_it_does_not_wait_for_the_report(self) -> None:
        worker = Worker(text=SLOW_REPORT)
        answer = await worker.runs.check_now("7")
        assert (answer["state"], answer["report"]) == ("ok", "pending")
        assert worker.runs.status()["running"] == "manual:7"
        await worker.runs.close()

    async def test_none_is_begun_by_a_worker_that_is_closed(self) -> None:
        worker = Worker()
        await worker.runs.close()
        with pytest.raises(NotReady, match="about to stop"):
            await worker.runs.check_now("7")
        assert worker.begun == []

    async def test_it_answers_in_time_that_it_is_running(self) -> None:
        worker = Worker(text=STUCK)
        begun = monotonic()
        answer = await worker.runs.check_now("7")
        assert answer == {"state": "running", "tick": "manual:7", "report": "pending"}
        assert monotonic() - begun < 4.9
        await worker.runs.close()

    async def test_one_at_a_time_here_and_elsewhere(self) -> None:
        worker = Worker(text=SLOW_REPORT)
        other = worker.other()
        await worker.runs.check_now("7")
        for runs in (worker.runs, other.runs):
            with pytest.raises(Conflict, match="manual:7 is running") as caught:
                await runs.check_now("8")
            assert caught.value.code == "drift_check_running"
        await worker.runs.close()

    async def test_a_failure_is_said(self) -> None:
        worker = Worker(text="raise ValueError('of no use')")
        with pytest.raises(NotReady, match="of no use"):
            await worker.runs.check_now("7")

    async def test_one_whose_worker_died_is_not_made_again(self, worker: Worker) -> None:
        worker.lease("dead").claim("manual:6", resume=False)
        await worker.runs.catch_up()
        assert worker.begun == [TICK]

    async def test_an_unfinished_one_of_the_schedule_goes_first(self) -> None:
        worker = Worker(text=SLOW_REPORT)
        dead = worker.lease("dead")
        dead.claim(TICK)
        dead.release(failed=False)
        with pytest.raises(Conflict):
            await worker.runs.check_now("7")
        await until(lambda: worker.begun == [TICK])
        await worker.runs.close()

    async def test_a_caller_who_goes_away_does_not_end_it(self, worker: Worker) -> None:
        asking = asyncio.create_task(worker.runs.check_now("7"))
        await until(lambda: worker.begun == ["manual:7"])
        asking.cancel()
        await until(lambda: worker.runs.status()["last_run"] is not None)


@pytest_asyncio.fixture
async def client(worker: Worker) -> AsyncIterator[httpx.AsyncClient]:
    web = create_web()
    web.state.drift = worker.runs
    transport = httpx.ASGITransport(app=web)
    async with httpx.AsyncClient(transport=transport, base_url="http://desk") as made:
        yield made


class TestRoutes:
    @pytest.mark.parametrize("route", ["/v1/drift/latest", "/v1/drift/report"])
    async def test_before_the_first_check_there_is_nothing_and_a_way_to_get_it(
        self, client: httpx.AsyncClient, worker: Worker, route: str
    ) -> None:
        worker.schedule.times.append(datetime(2099, 3, 2, 14, tzinfo=UTC))
        answer = await client.get(route)
        assert answer.status_code == 404
        assert answer.json()["error"]["code"] == "no_drift_check"
        assert "due at 2099-03-02T14:00" in answer.json()["error"]["message"]
        assert "POST /v1/drift/check" in answer.json()["error"]["message"]

    async def test_the_newest_check_with_those_before_it(
        self, client: httpx.AsyncClient, worker: Worker
    ) -> None:
        for tick in ("9:00", "10:00"):
            worker.records.publish({"tick": tick, "state": "ok"}, b"<html>")
        told = (await client.get("/v1/drift/latest")).json()
        assert (told["tick"], told["next_run"]) == ("10:00", None)
        assert told["checks_of_worker"]["enabled"] is True
        assert "history" not in told
        told = (await client.get("/v1/drift/latest?history=5")).json()
        assert [each["tick"] for each in told["history"]] == ["10:00", "9:00"]

    async def test_the_report_is_a_page_that_loads_nothing(
        self, client: httpx.AsyncClient, worker: Worker
    ) -> None:
        worker.records.publish({"tick": "9:00"}, "<html>é</html>".encode())
        answer = await client.get("/v1/drift/report")
        assert answer.text == "<html>é</html>"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in answer.headers["content-security-policy"]

    async def test_a_store_that_is_away_is_said(
        self, client: httpx.AsyncClient, worker: Worker
    ) -> None:
        worker.documents.away = True
        answer = await client.get("/v1/drift/latest")
        assert answer.status_code == 503
        assert "the store is away" in answer.json()["error"]["message"]

    async def test_a_check_on_demand_is_answered_with_its_verdict_or_its_error(
        self, worker: Worker
    ) -> None:
        good = await worker.runs.answer("7")
        assert (good.status_code, json.loads(bytes(good.body))["tick"]) == (200, "manual:7")
        await until(lambda: not worker.runs._tasks)
        worker.documents.away = True
        assert (await worker.runs.answer("8")).status_code == 503


async def test_without_a_schedule_nothing_is_due_and_checks_are_made_on_demand() -> None:
    worker = Worker(enabled=False, schedule=Fixed(datetime(2099, 3, 2, tzinfo=UTC)))
    assert worker.runs.status()["next_run"] is None
    assert (await worker.runs.check_now("7"))["state"] == "alarm"
