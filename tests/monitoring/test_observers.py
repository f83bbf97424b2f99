"""Several observers as one."""

from monitoring.observer import BatchDecided, Observation, Observers, ResultRecorded
from tests.fakes import RecordingObserver
from tests.monitoring.observations import decision

SEEN: list[Observation] = [
    decision(),
    BatchDecided(rows=2, seconds=0.01),
    ResultRecorded(duplicate=False, trips=("drawdown",)),
]


def test_each_observer_is_told_of_everything_in_order() -> None:
    observers = [RecordingObserver(), RecordingObserver()]
    together = Observers(observers)
    for observation in SEEN:
        together.observe(observation)
    assert [observer.seen for observer in observers] == [SEEN, SEEN]


def test_observers_are_those_it_was_made_with() -> None:
    observers = [RecordingObserver()]
    together = Observers(observers)
    observers.append(RecordingObserver())
    together.observe(SEEN[0])
    assert [len(observer.seen) for observer in observers] == [1, 0]


def test_there_may_be_no_observers() -> None:
    assert Observers([]).observe(decision()) is None  # type: ignore[func-returns-value]
