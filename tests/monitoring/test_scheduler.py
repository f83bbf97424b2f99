"""What begins the checks."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from monitoring.schedule import Schedule
from monitoring.scheduler import Scheduler, _ScheduleTrigger
from tests.monitoring.ticking import Every, Fixed

pytestmark = pytest.mark.asyncio


async def until(condition: Callable[[], bool]) -> None:
    begun = monotonic()
    while not condition():
        assert monotonic() - begun < 20
        await asyncio.sleep(0.01)


class Runs:
    def __init__(self) -> None:
        self.count = 0
        self.at_once = self.most_at_once = 0
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.fault: Exception | None = None

    async def __call__(self) -> None:
        self.count += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.go_on.wait()
            if self.fault is not None:
                raise self.fault
        finally:
            self.at_once -= 1


def scheduler(schedule: Schedule, runs: Runs, look_seconds: float = 20.0) -> Scheduler:
    return Scheduler(schedule, runs, grace_seconds=3600, look_seconds=look_seconds)


async def test_it_runs_at_its_start_and_at_every_tick() -> None:
    runs = Runs()
    checks = scheduler(Every(0.2), runs)
    checks.start()
    await until(lambda: runs.count >= 4)
    checks.stop()


async def test_the_next_run_is_that_of_the_schedule_and_none_once_it_is_stopped() -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    checks = scheduler(Fixed(tomorrow), Runs())
    assert checks.next_run is None
    checks.start()
    assert checks.next_run == tomorrow
    checks.stop()
    checks.stop()
    assert checks.next_run is None


async def test_a_run_that_takes_long_is_not_overtaken_and_a_failing_one_stops_nothing() -> None:
    runs = Runs()
    runs.go_on.clear()
    checks = scheduler(Every(0.1), runs)
    checks.start()
    await until(lambda: runs.count == 1)
    await asyncio.sleep(0.5)
    assert runs.count == 1
    runs.fault = RuntimeError("out of order")
    runs.go_on.set()
    await until(lambda: runs.count >= 3)
    checks.stop()
    assert runs.most_at_once == 1


async def test_it_can_be_stopped_before_it_was_started() -> None:
    scheduler(Every(1), Runs()).stop()


async def test_a_clock_that_was_set_back_moves_the_next_run_back() -> None:
    """As when the run was planned by a clock that was days ahead."""
    now = datetime.now(UTC)
    schedule = Fixed(now + timedelta(days=3))
    checks = scheduler(schedule, Runs(), look_seconds=0.05)
    checks.start()
    schedule.times.insert(0, now + timedelta(hours=1))
    await until(lambda: checks.next_run == now + timedelta(hours=1))
    checks.stop()


async def test_what_became_due_by_a_clock_that_was_set_ahead_is_run_soon() -> None:
    """As when the sleep until the planned run is longer than the clock says by now."""
    runs = Runs()
    checks = scheduler(Fixed(datetime.now(UTC) + timedelta(seconds=0.4)), runs, look_seconds=0.05)
    checks.start()
    await until(lambda: runs.count == 1)
    checks._scheduler._stop_timer()
    await until(lambda: runs.count == 2)
    checks.stop()


async def test_a_schedule_that_has_nothing_yet_is_asked_again() -> None:
    runs, schedule = Runs(), Fixed()
    checks = scheduler(schedule, runs, look_seconds=0.05)
    checks.start()
    await until(lambda: runs.count == 1)
    schedule.times.append(datetime.now(UTC) + timedelta(seconds=0.2))
    await until(lambda: runs.count == 2)
    checks.stop()


async def test_of_many_missed_runs_only_the_newest_is_counted_out() -> None:
    trigger = _ScheduleTrigger(Every(1))
    now = datetime(2026, 3, 2, 12, 0, 0, 500_000, tzinfo=UTC)
    long_ago = datetime(2006, 3, 2, tzinfo=UTC)
    assert trigger.get_next_fire_time(long_ago, now) == now.replace(microsecond=0)
    newest = trigger.get_next_fire_time(now.replace(microsecond=0), now)
    assert newest == now.replace(microsecond=0) + timedelta(seconds=1)
