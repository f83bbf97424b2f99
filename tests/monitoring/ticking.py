"""Schedules for tests, which need no session."""

from datetime import UTC, datetime, timedelta

from monitoring.schedule import Schedule, Tick

BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


class Every:
    """A check at every full so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._length = timedelta(seconds=seconds)

    def next_tick(self, after: datetime) -> Tick:
        at = BEGINNING + ((after - BEGINNING) // self._length + 1) * self._length
        return Tick(at, at)

    def latest_due(self, now: datetime) -> Tick:
        at = BEGINNING + ((now - BEGINNING) // self._length) * self._length
        return Tick(at, at)


class Fixed:
    """A check at each of these times."""

    def __init__(self, *times: datetime) -> None:
        self.times = list(times)

    def next_tick(self, after: datetime) -> Tick | None:
        return next((Tick(at, at) for at in self.times if at > after), None)

    def latest_due(self, now: datetime) -> Tick | None:
        return next((Tick(at, at) for at in reversed(self.times) if at <= now), None)


def due_after(schedule: Schedule, after: datetime, count: int) -> list[str]:
    """When the next so many are due."""
    found = []
    for _ in range(count):
        tick = schedule.next_tick(after)
        assert tick is not None
        found.append(f"{tick.due:%m-%d %H:%M}")
        after = tick.due
    return found
